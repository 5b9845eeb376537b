"""Shared set-up of the tests."""

import os
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning import seed_everything

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Lightning 2.6 still calls jsonargparse by names that 4.49 deprecates.
os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"


@pytest.fixture(autouse=True)
def _seed():
    """Every test starts from the same random state."""
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
