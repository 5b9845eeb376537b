"""The data module behind a trainer."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from invlightning.backbones import TrainingFacts
from invlightning.data.module import ImplicitDataModule


def any_data(trainer: pl.Trainer) -> Any:
    """The data module that the trainer works with, of whatever class; None without one."""
    return getattr(trainer, "datamodule", None)


def implicit_data(trainer: pl.Trainer) -> ImplicitDataModule | None:
    """The data module if it is one of ours, which knows rows, labels and raw ids."""
    data = any_data(trainer)
    return data if isinstance(data, ImplicitDataModule) else None


def train_labels(data: ImplicitDataModule) -> Tensor:
    """Labels ``(N,)`` of the labeled training rows."""
    return torch.from_numpy(data.interactions.labels[data.train_rows])


def training_facts(data: ImplicitDataModule) -> TrainingFacts:
    """What a backbone may know: labeled training rows, and features of users and items."""
    table, rows = data.interactions, data.train_rows
    users, items = (torch.from_numpy(ids[rows]).long() for ids in (table.users, table.items))
    times = None if table.timestamps is None else torch.from_numpy(table.timestamps[rows])
    return TrainingFacts(users, items, train_labels(data), times, *data.side_features())
