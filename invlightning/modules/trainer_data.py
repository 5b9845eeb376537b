"""The data module behind a trainer."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from invlightning.backbones import Backbone
from invlightning.data.module import ImplicitDataModule
from invlightning.losses.base import Loss


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


def start_fit(
    trainer: pl.Trainer, *learners: Backbone | Loss | None, observed: bool = False
) -> None:
    """Shows the training data to whatever wants to see it before training.

    Args:
        trainer: Without a data module of ours that is set up, nothing is shown.
        learners: Backbones and losses; None is passed over.
        observed: Whether they learn of exposure: all rows, labeled and exposed, as positives.
    """
    data = implicit_data(trainer)
    bases = (Backbone.start_fit, Loss.start_fit)
    wanting = [one for one in learners if one is not None and type(one).start_fit not in bases]
    if data is None or not data.is_set_up or not wanting:
        return
    facts = data.training_facts()
    facts = facts.as_exposure() if observed else facts
    for learner in wanting:
        learner.start_fit(facts)
