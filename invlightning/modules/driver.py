"""Inverse gradient steps driven by a Lightning trainer: what the mixin and the callback share."""

from collections.abc import Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from invlightning.compat import is_compiled
from invlightning.data.seeding import INNER, OUTER, seed_batch
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
from invlightning.losses import UnlabeledLoss
from invlightning.modules.capture import CapturedFunction
from invlightning.modules.capture_checks import (
    check_capture,
    check_captured_decision,
    check_captured_tables,
)
from invlightning.modules.inverse_checks import (
    check_decision,
    check_losses,
    check_phases,
    check_strategy,
)
from invlightning.modules.training import loss_of
from invlightning.optim import RowSparseAdam
from invlightning.sparse import sparse_tables

Schedule = Literal["phased", "every_batch"]
OuterState = Literal["persistent", "fresh"]


class InverseGradientDriver:
    """Takes inverse gradient steps on the parameters of a module in training.

    Args:
        inner_lr: Length of the inner step, > 0.
        direction: Rule of the inner step: ``adam``, ``sgd`` or ``sign``.
        decision: Judges the step. None means one choice a batch, as in the paper.
        schedule: ``every_batch`` takes a step on every batch, ``phased`` on those of the meta part.
        outer_state: ``fresh`` forgets the state of the optimizer at every step, ``persistent``
            keeps it.
        criteria: Losses in place of the module's own ``unlabeled_loss(batch)``, each with the name
            of the method that gives its logits: ``unlabeled_logits`` for drawn pairs,
            ``exposed_logits`` for exposed ones. Empty takes those of the module.
        captures: Whether the inner steps of a fit are captured as CUDA graphs.

    Raises:
        ValueError: If an argument is unknown or out of its range.
    """

    def __init__(
        self,
        inner_lr: float,
        direction: DirectionName,
        decision: Decision | None,
        schedule: Schedule,
        outer_state: OuterState,
        criteria: Sequence[tuple[str, UnlabeledLoss]] = (),
        captures: bool = False,
    ) -> None:
        if schedule not in ("phased", "every_batch"):
            raise ValueError(f"schedule must be 'phased' or 'every_batch', got {schedule!r}.")
        if outer_state not in ("persistent", "fresh"):
            raise ValueError(f"outer_state must be 'persistent' or 'fresh', got {outer_state!r}.")
        decision = decision if decision is not None else BatchSign()
        self.engine = InverseGradient(inner_lr, direction, decision)
        self.schedule, self.outer_state, self.criteria = schedule, outer_state, criteria
        self.captures = captures
        self._captured: CapturedFunction[StepRecord] | None = None

    def check(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Refuses modules and trainers with which the steps cannot work, at set-up.

        Raises:
            ValueError: If the module lacks a loss, the strategy keeps copies of the parameters, a
                phased schedule finds no meta part, or no graph can hold the steps.
        """
        sources = [method for method, _ in self.criteria] or ["unlabeled_loss"]
        check_losses(module, "labeled_loss", *sources)
        check_strategy(trainer)
        check_decision(self.engine.decision, module, self._kinds(module))
        check_phases(trainer, self.schedule)
        if self.captures:
            check_capture(trainer)

    def start_fit(self, module: Any) -> None:
        """Prepares the capture, now that the parameters lie on their device.

        Args:
            module: The module in training.

        Raises:
            ValueError: If the decision or the tables need what no graph can hold.
        """
        self._captured = None
        if not self.captures:
            return
        check_captured_tables(module)
        varies = getattr(module, "varies_in_training", True)
        check_captured_decision(self.engine.decision, varies, is_compiled(module))
        losses = [criterion for _, criterion in self._kinds(module)]
        self._captured = CapturedFunction(
            lambda batch: self._inner_step(module, batch), list(module.parameters()), losses
        )

    def end_fit(self) -> None:
        """Lets captured steps and their memory go."""
        self._captured = None

    def step(
        self,
        module: Any,
        batch: Any,
        optimizer: torch.optim.Optimizer,
        keep_graphs: bool = False,
    ) -> StepRecord | None:
        """Takes the inner step of a batch, agreed on by all processes.

        Args:
            module: The module in training, which defines the losses.
            batch: What the losses look at.
            optimizer: That of the outer step.
            keep_graphs: Whether the record brings the labeled loss of the chosen candidate, for
                modules whose labeled loss is the same in training and in evaluation mode. Only on
                one processor.

        Returns:
            What was chosen; None where the schedule has no step for this batch.
        """
        if not self._is_due(batch):
            return None
        if self.outer_state == "fresh":
            forget_state(optimizer)
        seed_batch(batch, INNER)
        if self._captured is None:
            record = self._inner_step(module, batch, keep_graphs)
        else:
            static = self._captured(batch)  # what the next step overwrites
            record = StepRecord(static.shares.clone(), static.risks.clone())
        seed_batch(batch, OUTER)
        return record

    def _inner_step(self, module: Any, batch: Any, keep_graphs: bool = False) -> StepRecord:
        context = step_context(module)
        if context.moved is not None:
            context.moved()  # a gathered module hides the parameters that the optimizer steps
        return self.engine.step(
            [p for p in module.parameters() if p.requires_grad],
            lambda: self._unlabeled_loss(module, batch),
            lambda: _risk(module, batch),
            context,
            self._rows(module, batch) if self.engine.decision.looks_at_rows else None,
            keep_graphs,
        )

    def forget(self, optimizer: torch.optim.Optimizer, record: StepRecord | None) -> None:
        """Forgets, after the outer step of an inner step, the state of a fresh optimizer."""
        if self.outer_state == "fresh" and record is not None:
            forget_state(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """What the decision learned; empty if nothing."""
        return self.engine.decision.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` returned."""
        self.engine.decision.load_state_dict(state)

    def _is_due(self, batch: Any) -> bool:
        if self.schedule == "every_batch":
            return True
        if not hasattr(batch, "is_meta"):
            raise ValueError(
                f"schedule='phased' needs batches with an attribute is_meta, got "
                f"{type(batch).__name__}: use a data module of invlightning, or "
                "schedule='every_batch'."
            )
        return bool(batch.is_meta)

    def _unlabeled_loss(self, module: Any, batch: Any) -> Tensor:
        if not self.criteria:
            loss: Tensor = module.unlabeled_loss(batch)
            return loss
        losses = [loss_of(c, getattr(module, method)(batch)) for method, c in self.criteria]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _kinds(self, module: Any) -> list[tuple[str, Any]]:
        """The kinds of unlabeled rows: the method that gives their logits, and their loss."""
        if self.criteria:
            return list(self.criteria)
        own = (
            ("unlabeled_logits", getattr(module, "unlabeled_criterion", None)),
            ("exposed_logits", getattr(module, "exposed_criterion", None)),
        )
        return [(method, criterion) for method, criterion in own if criterion is not None]

    def _rows(self, module: Any, batch: Any) -> UnlabeledRows:
        """The unlabeled rows one by one, for the decisions that look at them."""
        (method, criterion), *more = self._kinds(module)
        return UnlabeledRows(module, method, batch, criterion, *more)


def _risk(module: Any, batch: Any) -> Tensor:
    with evaluation_mode(module):
        risk: Tensor = module.labeled_loss(batch)
    return risk


def forget_state(optimizer: torch.optim.Optimizer) -> None:
    """Forgets the state of an optimizer; that of large tables in place."""
    if isinstance(optimizer, RowSparseAdam):
        optimizer.forget()
    else:
        optimizer.state.clear()


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
