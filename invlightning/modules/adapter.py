"""What the mixin and the callback share: the engine driven by a Lightning trainer."""

from collections.abc import Callable
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy
from torch import Tensor

from invlightning.inverse import BatchSign, Decision, DirectionName, InverseGradient, StepRecord
from invlightning.losses import UnlabeledLoss
from invlightning.modes import evaluation_mode
from invlightning.modules.trainer_data import any_data, implicit_data, train_labels

Schedule = Literal["phased", "joint"]
OuterState = Literal["persistent", "fresh"]


def build_engine(
    inner_lr: float, direction: DirectionName, decision: Decision | None
) -> InverseGradient:
    """The engine; without a decision it is that of the paper, one choice a batch."""
    return InverseGradient(inner_lr, direction, decision if decision is not None else BatchSign())


def is_inverse_batch(schedule: Schedule, batch: Any) -> bool:
    """Whether this batch takes an inverse gradient step.

    Args:
        schedule: ``joint`` takes one on every batch, ``phased`` on batches of the meta part.
        batch: For ``phased``, a batch with a boolean ``is_meta``.

    Raises:
        ValueError: If the schedule is unknown or the batch does not tell its part.
    """
    if schedule not in ("phased", "joint"):
        raise ValueError(f"schedule must be 'phased' or 'joint', got {schedule!r}.")
    if schedule == "joint":
        return True
    if not hasattr(batch, "is_meta"):
        raise ValueError(
            f"schedule='phased' needs batches with an attribute is_meta, got "
            f"{type(batch).__name__}: use a data module of invlightning, or schedule='joint'."
        )
    return bool(batch.is_meta)


def start_unlabeled_loss(criterion: UnlabeledLoss, trainer: pl.Trainer) -> None:
    """Shows an unlabeled loss the labels of the training rows, if a data module has them."""
    data = implicit_data(trainer)
    if data is not None:
        criterion.start_fit(train_labels(data))


def inverse_step(
    engine: InverseGradient,
    module: pl.LightningModule,
    unlabeled_loss: Callable[[], Tensor],
    labeled_loss: Callable[[], Tensor],
) -> StepRecord:
    """One inner step on the parameters of ``module``, agreed on by all processes."""
    trainer = module.trainer

    def risk() -> Tensor:
        with evaluation_mode(module):
            return labeled_loss()

    def mean(values: Tensor) -> Tensor:
        reduced: Tensor = trainer.strategy.reduce(values, reduce_op="mean")
        return reduced

    return engine.step(
        [p for p in module.parameters() if p.requires_grad],
        unlabeled_loss,
        risk,
        reduce=mean if trainer.world_size > 1 else None,
        scaler=getattr(trainer.precision_plugin, "scaler", None),
    )


def check_losses(module: pl.LightningModule, *names: str) -> None:
    """Checks that a module defines what an inverse gradient step calls.

    Raises:
        ValueError: If one of the methods is missing.
    """
    for name in names:
        if not callable(getattr(module, name, None)):
            raise ValueError(
                f"{type(module).__name__} must define {name}(batch) to train with inverse "
                "gradients."
            )


def check_phases(trainer: pl.Trainer, schedule: Schedule) -> None:
    """Checks that a phased schedule will see meta rows.

    Raises:
        ValueError: If the data module keeps no meta part.
    """
    meta = getattr(any_data(trainer), "meta", None)
    if schedule == "phased" and meta is not None and not meta.any():
        raise ValueError(
            "schedule='phased' takes inverse gradient steps on the meta part, but the data module "
            "has none: set meta_fraction above 0, or use schedule='joint'."
        )


def check_strategy(trainer: pl.Trainer) -> None:
    """Refuses strategies under which candidates cannot be compared.

    Raises:
        ValueError: Under FSDP1 or DeepSpeed.
    """
    if isinstance(trainer.strategy, (FSDPStrategy, DeepSpeedStrategy)):
        raise ValueError(
            f"inverse gradients do not work under {type(trainer.strategy).__name__}, which keeps "
            "its own copies of the parameters: use strategy='ddp'."
        )


def check_optimizers(trainer: pl.Trainer) -> None:
    """Refuses optimizers that cannot take one step a batch.

    Raises:
        ValueError: With several optimizers, or one that evaluates the loss by itself.
    """
    if len(trainer.optimizers) != 1:
        raise ValueError(
            f"inverse gradients work with one optimizer, got {len(trainer.optimizers)}: give all "
            "parameters to one optimizer, in parameter groups where they differ."
        )
    if isinstance(trainer.optimizers[0], torch.optim.LBFGS):
        raise ValueError(
            "inverse gradients do not work with LBFGS, which evaluates the loss several times a "
            "step: use torch.optim.Adam or torch.optim.SGD."
        )
