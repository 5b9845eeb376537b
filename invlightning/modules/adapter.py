"""What the mixin and the callback share: the engine driven by a Lightning trainer."""

from collections.abc import Callable
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from invlightning.data.seeding import mix_seed
from invlightning.evaluation_mode import evaluation_mode
from invlightning.inverse import (
    BatchSign,
    Decision,
    DirectionName,
    InverseGradient,
    StepContext,
    StepRecord,
)
from invlightning.inverse.unlabeled_rows import UnlabeledRows
from invlightning.modules.checks import sparse_tables
from invlightning.modules.trainer_data import implicit_data
from invlightning.optim import RowSparseAdam

Schedule = Literal["phased", "every_batch"]
OuterState = Literal["persistent", "fresh"]
INNER, OUTER = 1, 2


def build_engine(
    inner_lr: float, direction: DirectionName, decision: Decision | None
) -> InverseGradient:
    """The engine; without a decision it is that of the paper, one choice a batch."""
    return InverseGradient(inner_lr, direction, decision if decision is not None else BatchSign())


def is_inverse_batch(schedule: Schedule, batch: Any) -> bool:
    """Whether this batch takes an inverse gradient step.

    Args:
        schedule: ``every_batch`` takes one on every batch, ``phased`` on batches of the meta part.
        batch: For ``phased``, a batch with a boolean ``is_meta``.

    Raises:
        ValueError: If the schedule is unknown or the batch does not tell its part.
    """
    if schedule not in ("phased", "every_batch"):
        raise ValueError(f"schedule must be 'phased' or 'every_batch', got {schedule!r}.")
    if schedule == "every_batch":
        return True
    if not hasattr(batch, "is_meta"):
        raise ValueError(
            f"schedule='phased' needs batches with an attribute is_meta, got "
            f"{type(batch).__name__}: use a data module of invlightning, or schedule='every_batch'."
        )
    return bool(batch.is_meta)


def seed_batch(batch: Any, use: int) -> None:
    """Seeds the global random generators from ``batch.seed``; batches without one change nothing.

    Args:
        batch: A batch, best with a ``seed`` that is its own.
        use: ``INNER`` or ``OUTER``; they draw different numbers.
    """
    seed = getattr(batch, "seed", 0)
    if seed:
        torch.manual_seed(mix_seed(seed, use))


def forget_state(optimizer: torch.optim.Optimizer) -> None:
    """Forgets the state of an optimizer; that of large tables in place."""
    if isinstance(optimizer, RowSparseAdam):
        optimizer.forget()
    else:
        optimizer.state.clear()


def inverse_step(
    engine: InverseGradient,
    module: pl.LightningModule,
    batch: Any,
    unlabeled_loss: Callable[[Any], Tensor],
    labeled_loss: Callable[[Any], Tensor],
    criterion: Callable[[Tensor], Tensor] | None = None,
    keep_graphs: bool = False,
) -> StepRecord:
    """One inner step on the parameters of ``module``, agreed on by all processes.

    Args:
        engine: Takes the step.
        module: The module in training.
        batch: What the losses look at.
        unlabeled_loss: Mean loss on the unlabeled rows of a batch.
        labeled_loss: Mean loss on the labeled rows of a batch.
        criterion: The loss of unlabeled logits, for decisions about single rows; with a module
            that defines ``unlabeled_logits(batch)``.
        keep_graphs: Whether the record brings the labeled loss of the chosen candidate, for
            modules whose labeled loss is the same in training and in evaluation mode. Only on one
            processor.

    Returns:
        What was chosen.
    """

    def risk() -> Tensor:
        with evaluation_mode(module):
            return labeled_loss(batch)

    context = step_context(module)
    if context.moved is not None:
        context.moved()  # a gathered module does not show the parameters that the optimizer steps
    seed_batch(batch, INNER)
    parameters = [p for p in module.parameters() if p.requires_grad]
    rows = None
    if criterion is not None and hasattr(module, "unlabeled_logits"):
        rows = UnlabeledRows(module, "unlabeled_logits", batch, criterion)
    record = engine.step(
        parameters, lambda: unlabeled_loss(batch), risk, context, rows, keep_graphs
    )
    seed_batch(batch, OUTER)
    return record


def step_context(module: pl.LightningModule) -> StepContext:
    """What the trainer of ``module`` adds around a step."""
    trainer = module.trainer
    strategy = trainer.strategy
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if trainer.world_size == 1:
        return StepContext(scaler=scaler)

    def mean(values: Tensor) -> Tensor:
        reduced: Tensor = strategy.reduce(values, reduce_op="mean")
        return reduced

    def gather(values: Tensor) -> Tensor:
        found = [torch.empty_like(values) for _ in range(trainer.world_size)]
        torch.distributed.all_gather(found, values)  # that of the strategy warns on torch 2.13
        return torch.stack(found)

    def reshard() -> None:
        # A module that stayed gathered would go on with the weights from before the edit.
        for m in module.modules():
            if isinstance(m, FSDPModule):
                m.reshard()

    row_sparse = frozenset(id(table.weight) for table in sparse_tables(module))
    return StepContext(mean, gather, row_sparse, scaler, reshard)


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
    data = implicit_data(trainer)
    if schedule == "phased" and data is not None and not data.rows.meta.any():
        raise ValueError(
            "schedule='phased' takes inverse gradient steps on the meta part, but the data module "
            "has none: set meta_fraction above 0, or use schedule='every_batch'."
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
    decision: Decision, module: pl.LightningModule, criterion: Callable[[Tensor], Tensor] | None
) -> None:
    """Checks that a decision about single rows finds them, and parameters it can differentiate in.

    Args:
        decision: Judges the steps.
        module: The module in training, attached to its trainer.
        criterion: The loss of unlabeled logits, if there is one.

    Raises:
        ValueError: If such a decision meets a module without unlabeled logits, or
            ModelParallelStrategy.
    """
    if not decision.looks_at_rows:
        return
    name = type(decision).__name__
    if criterion is None or not callable(getattr(module, "unlabeled_logits", None)):
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
