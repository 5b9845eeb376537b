"""Checks at set-up of what inverse gradients cannot work with, each in one clear sentence."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from invlightning.data import ImplicitDataModule
from invlightning.data.loader import TrainLoader
from invlightning.inverse import Decision
from invlightning.modules.trainer_data import implicit_data


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


def check_phases(trainer: pl.Trainer, schedule: str) -> None:
    """Checks that a phased schedule will see meta rows.

    Raises:
        ValueError: If the data module keeps no meta part, or ``limit_train_batches`` cuts it off.
    """
    data = implicit_data(trainer)
    if schedule == "phased" and data is not None and data.epoch == "exposed":
        raise ValueError(
            "schedule='phased' takes inverse gradient steps on the meta part, which an epoch over "
            "exposed rows has not: use schedule='every_batch', or epoch='labeled' of the data."
        )
    if schedule == "phased" and data is not None and not data.rows.meta.any():
        raise ValueError(
            "schedule='phased' takes inverse gradient steps on the meta part, but the data module "
            "has none: set meta_fraction above 0, or use schedule='every_batch'."
        )
    if schedule == "phased" and data is not None:
        _check_limit(trainer, data)


def _check_limit(trainer: pl.Trainer, data: ImplicitDataModule) -> None:
    """Refuses a limit before the meta part, which comes last in an epoch; a dry run may have it."""
    limit = trainer.limit_train_batches
    dry_run = trainer.fast_dev_run  # type: ignore[attr-defined]
    if dry_run or limit is None or (isinstance(limit, float) and limit == 1.0):
        return
    loader = data.train_dataloader()
    assert isinstance(loader, TrainLoader)  # an epoch over exposed rows has no phases
    supervised, total = loader.supervised_batches, len(loader)
    taken = int(limit * total) if isinstance(limit, float) else min(limit, total)
    if 0 < taken <= supervised:
        raise ValueError(
            f"limit_train_batches={limit} ends an epoch after {taken} of {total} batches, before "
            f"the meta part begins at batch {supervised + 1}: no inverse gradient step would be "
            "taken. Use schedule='every_batch', a larger meta_fraction, or no limit."
        )


def check_strategy(trainer: pl.Trainer) -> None:
    """Refuses strategies under which candidates cannot be compared.

    Raises:
        ValueError: Under FSDP1 or DeepSpeed.
    """
    if isinstance(trainer.strategy, (FSDPStrategy, DeepSpeedStrategy)):
        raise ValueError(
            f"inverse gradients do not work under {type(trainer.strategy).__name__}, which keeps "
            "its own copies of the parameters: use strategy='ddp', or ModelParallelStrategy with "
            "fully_shard in configure_model (FSDP2)."
        )


def check_decision(
    decision: Decision, module: pl.LightningModule, kinds: Sequence[tuple[str, Any]]
) -> None:
    """Checks that a decision about single rows finds them, and parameters it can differentiate in.

    Args:
        decision: Judges the steps.
        module: The module in training, attached to its trainer.
        kinds: The kinds of unlabeled rows: the method that gives their logits, and their loss.

    Raises:
        ValueError: If such a decision meets a module without unlabeled logits, or
            ModelParallelStrategy.
    """
    if not decision.looks_at_rows:
        return
    name = type(decision).__name__
    if not kinds or not all(callable(getattr(module, method, None)) for method, _ in kinds):
        raise ValueError(
            f"{name} looks at every unlabeled row: {type(module).__name__} must define "
            "unlabeled_logits(batch) and unlabeled_criterion, a loss of logits; or use BatchSign."
        )
    if isinstance(module.trainer.strategy, ModelParallelStrategy):
        raise ValueError(
            f"{name} looks at every unlabeled row by forward-mode differentiation, which does not "
            "reach the sharded parameters of ModelParallelStrategy: use strategy='ddp', or "
            "BatchSign, which works with both."
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


def check_own_step(module: pl.LightningModule, mixin: type) -> None:
    """Refuses a training step that stands in the way of the one of the mixin.

    Args:
        module: The module in training.
        mixin: The class whose training step takes the inner and the outer step.

    Raises:
        ValueError: If a subclass defines ``training_step``; nothing would be trained.
    """
    owner = next(c for c in type(module).__mro__ if "training_step" in vars(c))
    if owner is not mixin:
        raise ValueError(
            f"{owner.__name__} defines training_step, in whose place {mixin.__name__} takes its "
            "steps: define labeled_loss(batch) and unlabeled_loss(batch) instead, or use "
            "InverseGradientCallback over a module with a training_step of its own."
        )
