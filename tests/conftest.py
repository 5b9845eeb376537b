"""Shared set-up of the tests."""

import os
import sys
from pathlib import Path

# Before the libraries read them: tests fork, and a fork leaves threads behind in the middle of
# what they were doing.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402
import torch  # noqa: E402
from pytorch_lightning import seed_everything  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# Lightning 2.6 still calls jsonargparse by names that 4.49 deprecates.
os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"


def pytest_collection_modifyitems(items):
    """Tests that fork come first, while the process that they copy is small.

    After two thousand other tests about one in a hundred and fifty forked trainings with sparse
    tables ended with a broken heap in a thread of gloo; from a young process none of five hundred
    did.
    """
    items.sort(key=lambda item: item.get_closest_marker("ddp") is None)


@pytest.fixture(autouse=True)
def _seed():
    """Every test starts from the same random state."""
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
