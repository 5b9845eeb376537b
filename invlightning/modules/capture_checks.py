"""Checks at set-up of what no CUDA graph can hold, each in one clear sentence."""

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from pytorch_lightning.strategies import SingleDeviceStrategy

from invlightning.inverse import Decision
from invlightning.modules.trainer_data import implicit_data
from invlightning.sparse import sparse_tables


def check_capture(trainer: pl.Trainer) -> None:
    """Refuses what cannot be captured.

    Args:
        trainer: The trainer at ``setup``.

    Raises:
        ValueError: With the reason: no CUDA device, several processes, a gradient scaler, or
            batches of changing shapes.
    """
    check_device(trainer)
    _check_shapes(trainer)
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        raise ValueError(
            "the gradient scaler of precision='16-mixed' waits for the device in every step: use "
            "precision='bf16-mixed', or leave capture out."
        )


def check_captured_gradients(module: pl.LightningModule) -> None:
    """Refuses what does not fit a backward pass that is part of a captured step.

    Args:
        module: The module at ``setup``, attached to its trainer.

    Raises:
        ValueError: With the reason: see :func:`check_capture`; accumulation, or hooks that want the
            graph of the loss.
    """
    check_capture(module.trainer)
    _check_accumulation(module.trainer)
    _check_hooks(module)


def check_device(trainer: pl.Trainer) -> None:
    """Refuses devices without CUDA graphs, and several processes.

    Raises:
        ValueError: Unless the steps run on one CUDA device.
    """
    device = trainer.strategy.root_device
    if device.type != "cuda":
        raise ValueError(
            f"capture records CUDA graphs, but this run trains on {device.type}: use "
            "accelerator='gpu', or leave capture out."
        )
    if not isinstance(trainer.strategy, SingleDeviceStrategy):
        raise ValueError(
            f"captured steps exchange nothing between processes, but the strategy is "
            f"{type(trainer.strategy).__name__}: use devices=1 and strategy='auto', or leave "
            "capture out."
        )


def _check_accumulation(trainer: pl.Trainer) -> None:
    schedulers = (
        c
        for c in trainer.callbacks  # type: ignore[attr-defined]
        if isinstance(c, GradientAccumulationScheduler)
    )
    if trainer.accumulate_grad_batches != 1 or next(schedulers, None) is not None:
        raise ValueError(
            "captured steps overwrite the gradients of the step before, so they cannot be "
            "accumulated: use accumulate_grad_batches=1 and a larger batch_size, or leave capture "
            "out."
        )


def _check_shapes(trainer: pl.Trainer) -> None:
    data = implicit_data(trainer)
    if data is not None and data.num_unlabeled and data.active_sampler.has_saturated_users:
        raise ValueError(
            "some users know every item, so that the number of drawn pairs changes from batch to "
            "batch, and captured steps need one shape: remove those users, or leave capture out."
        )


def _check_hooks(module: pl.LightningModule) -> None:
    owner = next(c for c in type(module).__mro__ if "training_step" in vars(c))
    if not owner.__module__.startswith("invlightning."):
        raise ValueError(
            f"{owner.__name__} defines training_step, whose loss has no graph where steps are "
            "captured: define step_loss(batch) or further_loss(batch) instead, or leave capture "
            "out."
        )
    callbacks = module.trainer.callbacks  # type: ignore[attr-defined]
    own = type(module).on_before_backward is not pl.LightningModule.on_before_backward
    theirs = [c for c in callbacks if type(c).on_before_backward != pl.Callback.on_before_backward]
    for hooks in [*([module] if own else []), *theirs]:
        raise ValueError(
            f"{type(hooks).__name__}.on_before_backward would see a loss without a graph, as a "
            "captured step includes the backward pass: leave it or capture out."
        )


def check_captured_tables(module: pl.LightningModule) -> None:
    """Refuses sparse gradients, whose number of rows changes from batch to batch.

    Raises:
        ValueError: If the module has sparse embeddings.
    """
    if sparse_tables(module):
        raise ValueError(
            "captured steps have dense gradients only, but the backbone has sparse embeddings: "
            "build it with sparse=False, or leave capture out."
        )


def check_captured_decision(decision: Decision, varies_in_training: bool, compiled: bool) -> None:
    """Refuses decisions that a graph cannot hold.

    Args:
        decision: Judges the inner steps.
        varies_in_training: Whether the network has dropout or the like.
        compiled: Whether it is compiled.

    Raises:
        ValueError: If the decision looks at single rows of such a network.
    """
    if not decision.looks_at_rows or not (varies_in_training or compiled):
        return
    why = "is compiled" if compiled else "may differ in training, as with dropout"
    raise ValueError(
        f"{type(decision).__name__} looks at every unlabeled row by forward-mode differentiation, "
        f"which cannot be captured where the network {why}: use BatchSign, or leave capture out."
    )


def check_captured_optimizers(trainer: pl.Trainer) -> None:
    """Refuses optimizers that evaluate the loss several times a step.

    Raises:
        ValueError: With LBFGS.
    """
    if any(isinstance(optimizer, torch.optim.LBFGS) for optimizer in trainer.optimizers):
        raise ValueError(
            "LBFGS evaluates the loss several times a step, where a captured step has one: use "
            "torch.optim.Adam, or leave capture out."
        )
