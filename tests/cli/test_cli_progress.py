"""The command line: what a run prints while it goes, and what it says to do next."""

import logging
import re
import shlex
import sys

import pytest
import pytorch_lightning as pl
from jsonargparse import Namespace

from invlightning.cli import console, run
from invlightning.cli.progress import choose_progress
from tests.helpers.cli_runs import QUIET, SMALL, TINY_RUNS, metric_lines

pytestmark = TINY_RUNS
BAR = "--trainer.enable_progress_bar=false"
LOGGED = [option for option in SMALL if option != BAR]


def test_a_redirected_log_has_a_line_for_every_epoch(capsys):
    """It was 270 KB of carriage returns."""
    done = run(["fit", "--config=ig_ncf.yaml", *LOGGED, "--trainer.max_epochs=2"])
    out = capsys.readouterr().out
    assert done.trainer.progress_bar_callback is None
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    pattern = r"epoch {}/2  \d+\.\d s  train_loss \d\.\d{{4}}  val_auc \d\.\d{{4}}"
    assert all(re.fullmatch(pattern.format(n), line) for n, line in zip((1, 2), lines, strict=True))
    assert "\r" not in out
    assert len(out) < 3000


@pytest.mark.parametrize(
    ("given", "terminal", "lines", "bar"),
    [
        (None, False, True, False),
        (None, True, False, None),
        (True, False, False, True),
        (False, False, False, False),
    ],
)
def test_who_shows_progress(given, terminal, lines, bar, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    trainer = Namespace(enable_progress_bar=given)
    assert choose_progress(trainer) is lines
    assert trainer.enable_progress_bar is bar


def test_nothing_is_advertised(caplog):
    """Seen to fail without the filter: Lightning recommends a service at every start."""
    log = logging.getLogger(console.LIGHTNING_LOG)
    caplog.set_level(logging.INFO, logger=console.LIGHTNING_LOG)  # others may have raised it
    monitored = caplog.handler
    log.addHandler(monitored)
    try:
        with console.console():
            pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    finally:
        log.removeHandler(monitored)
        log.removeFilter(console.is_no_advertisement)
    assert "TPU available" in caplog.text
    assert "Tip" not in caplog.text


def test_the_report_says_what_to_do_next(trained, capsys, monkeypatch):
    """Its commands run as printed."""
    monkeypatch.chdir(trained.folder)
    text = trained.out[trained.out.index("What next?") :].replace("\\\n", " ")
    commands = [shlex.split(line)[1:] for line in text.splitlines() if "invlightning " in line]
    assert [command[0] for command in commands] == ["test", "predict", "fit"]
    run([*commands[0], *QUIET])
    assert len(metric_lines(capsys.readouterr().out)) > 5
    run([*commands[1], *QUIET])
    assert "recommendations" in capsys.readouterr().out
    assert len(trained.out.splitlines()) < 45
