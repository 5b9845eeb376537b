"""Inverse Gradient as a callback over a module with automatic optimization."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from invlightning.inverse import Decision, DirectionName
from invlightning.losses import UnlabeledLoss
from invlightning.modules.adapter import (
    OuterState,
    Schedule,
    build_engine,
    check_decision,
    check_losses,
    check_optimizers,
    check_phases,
    check_strategy,
    forget_state,
    inverse_step,
    is_inverse_batch,
)
from invlightning.modules.checks import check_averaging
from invlightning.modules.trainer_data import start_fit


class InverseGradientCallback(pl.Callback):
    """Takes an inverse gradient step before every batch; Lightning then takes the outer step.

    It works over any module with automatic optimization that defines ``labeled_loss(batch)`` and
    ``unlabeled_loss(batch)`` and returns the labeled loss from ``training_step``. The weights are
    those of :class:`invlightning.InverseGradientMixin`, bit for bit, and every Trainer feature of
    automatic optimization works.

    Args:
        inner_lr: Length of the inner step.
        direction: Rule of the inner step: ``adam``, ``sgd`` or ``sign``.
        schedule: ``every_batch`` takes a step on every batch, ``phased`` on the meta part of the
            data.
        decision: Judges the step. None means one choice a batch, as in the paper.
        outer_state: ``fresh`` forgets the state of the optimizer at every inverse gradient step.
        unlabeled_loss: Takes the place of the module's own, over a module with
            ``unlabeled_logits(batch)``: the way to train a labeled-only Recommender with inverse
            gradients. None uses ``unlabeled_loss(batch)`` of the module.

    Raises:
        ValueError: At set-up, if the module optimizes manually or lacks the losses.
    """

    def __init__(
        self,
        inner_lr: float = 1e-3,
        direction: DirectionName = "adam",
        schedule: Schedule = "every_batch",
        decision: Decision | None = None,
        outer_state: OuterState = "persistent",
        unlabeled_loss: UnlabeledLoss | None = None,
    ) -> None:
        self.engine = build_engine(inner_lr, direction, decision)
        self.schedule = schedule
        self.outer_state = outer_state
        self.unlabeled_criterion = unlabeled_loss

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses modules and strategies it cannot work with."""
        if stage != "fit":
            return
        if not pl_module.automatic_optimization:
            raise ValueError(
                f"{type(pl_module).__name__} optimizes manually and would take the inverse "
                "gradient step twice: drop the callback, or use a module with automatic "
                "optimization such as Recommender."
            )
        source = "unlabeled_loss" if self.unlabeled_criterion is None else "unlabeled_logits"
        check_losses(pl_module, "labeled_loss", source)
        check_strategy(trainer)
        check_decision(self.engine.decision, pl_module, self._criterion(pl_module))
        check_averaging(pl_module)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuses several optimizers, and a phased schedule without a meta part."""
        check_optimizers(trainer)
        check_phases(trainer, self.schedule)
        if self.unlabeled_criterion is not None:
            self.unlabeled_criterion.to(pl_module.device)
            start_fit(trainer, self.unlabeled_criterion)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells the unlabeled loss the epoch that a checkpoint left off in."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells the unlabeled loss the epoch."""
        if self.unlabeled_criterion is not None:
            self.unlabeled_criterion.set_epoch(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """The inverse gradient step, at the first batch of an accumulation window."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        pl_module.last_step = None
        if not is_inverse_batch(self.schedule, batch):
            return
        if self.outer_state == "fresh":
            forget_state(trainer.optimizers[0])

        def criterion_loss(batch: Any) -> Tensor:
            logits = pl_module.unlabeled_logits(batch)
            loss: Tensor = criterion(logits) if logits.numel() else logits.sum()
            return loss

        own, criterion = self.unlabeled_criterion is None, self._criterion(pl_module)
        with trainer.precision_plugin.train_step_context():
            pl_module.last_step = inverse_step(
                self.engine,
                pl_module,
                batch,
                pl_module.unlabeled_loss if own else criterion_loss,
                pl_module.labeled_loss,
                criterion,
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Forgets the state of the optimizer again, if it is to be fresh."""
        if self.outer_state == "fresh" and pl_module.last_step is not None:
            forget_state(trainer.optimizers[0])

    def _criterion(self, pl_module: pl.LightningModule) -> Any:
        """The loss of unlabeled logits: of the callback, else of the module, else None."""
        own = self.unlabeled_criterion
        return own if own is not None else getattr(pl_module, "unlabeled_criterion", None)

    # -------------------------------------------------------------------------- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """What the decision learned; part of the checkpoint."""
        return self.engine.decision.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what the decision had learned."""
        self.engine.decision.load_state_dict(state_dict)
