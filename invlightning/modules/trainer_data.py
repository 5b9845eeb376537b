"""The data module behind a trainer."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from invlightning.data.module import ImplicitDataModule
from invlightning.types import TrainingFacts


def any_data(trainer: pl.Trainer) -> Any:
    """The data module that the trainer works with, of whatever class; None without one."""
    return getattr(trainer, "datamodule", None)


def implicit_data(trainer: pl.Trainer) -> ImplicitDataModule | None:
    """The data module if it is one of ours, which knows rows, labels and raw ids."""
    data = any_data(trainer)
    return data if isinstance(data, ImplicitDataModule) else None


def train_labels(data: ImplicitDataModule) -> Tensor:
    """Labels ``(L,)`` of the labeled training rows."""
    return data.rows.labeled().labels


def training_facts(data: ImplicitDataModule) -> TrainingFacts:
    """What a backbone may know: labeled training rows, and features of users and items."""
    return data.rows.training_facts(*data.side_features())
