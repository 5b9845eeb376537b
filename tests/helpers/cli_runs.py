"""What the tests of the command line share."""

import re
import sys

import pytest
import pytorch_lightning as pl
import yaml
from pytorch_lightning.cli import LightningCLI

from invlightning.cli import run

QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
TINY = [
    "--data.num_users=30",
    "--data.num_items=40",
    "--data.interactions_per_user=20",
    "--data.exposed_per_user=4",
    "--data.batch_size=64",
]
SMALL = ["--model.backbone=GMF", "--model.backbone.embedding_dim=4", *TINY, *QUIET]

FAST = ["--model.optimizer.lr=0.1"]

# For files with runs of a few tiny epochs.
TINY_RUNS = pytest.mark.filterwarnings(
    "ignore:.* of the unlabeled rows are annotated",  # of a tiny epoch
    "ignore:The dirpath has changed",  # Lightning, where a run goes on in a new folder
)


def plain_lightning_cli(monkeypatch, *args):
    """Lightning's own command line, as another project has it, run with some arguments."""
    monkeypatch.setattr(sys, "argv", ["project", *args])
    return LightningCLI(
        pl.LightningModule,
        pl.LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
    )


def printed_config(capsys, *args):
    """What ``--print_config`` says, read as YAML."""
    with pytest.raises(SystemExit) as stop:
        run(["fit", *args, "--print_config"])
    assert stop.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def rejected(capsys, *args):
    """The message of an argument error."""
    with pytest.raises(SystemExit) as stop:
        run(["fit", *args])
    assert stop.value.code == 2
    return capsys.readouterr().err


def metric_lines(text):
    return [
        line for line in text.splitlines() if re.match(r"  (val|test)_\S+ +-?\d+\.\d{4}$", line)
    ]
