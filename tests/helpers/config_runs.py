"""What the tests of ``configs/`` share: tiny runs of the command line, and what they leave."""

from pathlib import Path

import pytorch_lightning as pl
import yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
QUICK = [
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
TINY = [
    "--data.num_users=40",
    "--data.num_items=240",
    "--data.interactions_per_user=25",
    "--data.batch_size=128",
]


def content(name):
    """A packaged config, by its path in the folder."""
    return yaml.safe_load((CONFIGS / name).read_text())


def saved_config(trainer):
    """The config that a run left behind."""
    return yaml.safe_load(Path(trainer.log_dir, "config.yaml").read_text())


def holds(saved, given):
    """True if the saved config has everything the given one says, apart from :data:`TINY`."""
    if not isinstance(given, dict):
        return saved == given
    skip = {"batch_size", "root", "num_users", "num_items"}
    return all(key in skip or holds(saved[key], value) for key, value in given.items())


class KeepStart(pl.Callback):
    """Keeps the parameters as they were before training."""

    def on_fit_start(self, trainer, pl_module):
        self.parameters = {
            name: p.detach().clone() for name, p in pl_module.backbone.named_parameters()
        }
