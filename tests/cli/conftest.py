"""A folder for every test of the command line, and a finished run for those that go on."""

import contextlib
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from invlightning.cli import console, run
from tests.helpers.cli_runs import FAST, SMALL


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Every test runs in a folder of its own and leaves ``sys.path`` as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(console.DEBUG, raising=False)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished ``fit``: its folder, checkpoint, config and what it printed.

    The learning rate is so high that the last epoch is not the best.
    """
    home, out = Path.cwd(), io.StringIO()
    folder = tmp_path_factory.mktemp("trained")
    os.chdir(folder)
    with contextlib.redirect_stdout(out):
        done = run(["fit", "--config=ig_ncf.yaml", *SMALL, "--trainer.max_epochs=4", *FAST])
    os.chdir(home)
    checkpoint = folder / done.trainer.checkpoint_callback.best_model_path
    config = folder / done.trainer.log_dir / "config.yaml"
    return SimpleNamespace(
        folder=folder, checkpoint=checkpoint, config=config, out=out.getvalue(), cli=done
    )
