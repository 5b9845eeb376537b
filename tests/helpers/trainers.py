"""The one quiet trainer of the tests."""

import pytorch_lightning as pl


def make_trainer(folder=None, **flags):
    """A trainer of three epochs on one processor; it saves where, and if, it is given a folder."""
    defaults = {
        "max_epochs": 3,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": folder is not None,
        "default_root_dir": folder,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(**{**defaults, **flags})
