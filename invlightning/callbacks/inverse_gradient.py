"""Inverse Gradient as a callback over a module with automatic optimization."""

from typing import Any

import pytorch_lightning as pl
from typing_extensions import override

from invlightning.inverse import Decision, DirectionName
from invlightning.losses import UnlabeledLoss
from invlightning.modules.checks import check_averaging, check_exposed
from invlightning.modules.driver import InverseGradientDriver, OuterState, Schedule
from invlightning.modules.inverse_checks import check_optimizers
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
            gradients. None uses ``unlabeled_loss(batch)`` of the module, unless there is an
            exposed loss.
        exposed_loss: Likewise for exposed rows, over a module with ``exposed_logits(batch)``. An
            ``embedding_l2`` of the module covers the rows of the module's own losses.
        capture: Whether inverse gradient steps are captured as CUDA graphs, which takes one CUDA
            device and batches that are named tuples. The steps of a ``Recommender`` are captured by
            its own ``capture``.

    Raises:
        ValueError: At set-up, if the module optimizes manually or lacks the losses.
    """

    _told_epoch: int | None = None  # so that the loss hears of every epoch once

    def __init__(
        self,
        inner_lr: float = 1e-3,
        direction: DirectionName = "adam",
        schedule: Schedule = "every_batch",
        decision: Decision | None = None,
        outer_state: OuterState = "persistent",
        unlabeled_loss: UnlabeledLoss | None = None,
        exposed_loss: UnlabeledLoss | None = None,
        capture: bool = False,
    ) -> None:
        given = (("unlabeled_logits", unlabeled_loss), ("exposed_logits", exposed_loss))
        criteria = [(method, loss) for method, loss in given if loss is not None]
        self.unlabeled_criterion, self.exposed_criterion = unlabeled_loss, exposed_loss
        self.criteria = [criterion for _, criterion in criteria]
        self.driver = InverseGradientDriver(
            inner_lr, direction, decision, schedule, outer_state, criteria, capture
        )

    @override
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
        self.driver.check(trainer, pl_module)
        check_averaging(pl_module)

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuses several optimizers, and shows the unlabeled loss the training data."""
        check_optimizers(trainer)
        check_exposed(trainer, self.exposed_criterion)
        for criterion in self.criteria:
            start_fit(trainer, criterion)
            criterion.to(pl_module.device)  # with all that it made of the data
        self.driver.start_fit(pl_module)

    @override
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lets captured steps go."""
        self.driver.end_fit()

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Tells the unlabeled loss the epoch, which a checkpoint may have left in the middle."""
        pl_module.last_step = None  # training may go on within an accumulation window
        self._told_epoch = None
        self._set_epoch(trainer.current_epoch)

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells the unlabeled loss the epoch."""
        self._set_epoch(trainer.current_epoch)

    def _set_epoch(self, epoch: int) -> None:
        if self._told_epoch == epoch:
            return
        self._told_epoch = epoch
        for criterion in self.criteria:
            criterion.set_epoch(epoch)

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """The inverse gradient step, at the first batch of an accumulation window."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        with trainer.precision_plugin.train_step_context():
            pl_module.last_step = self.driver.step(pl_module, batch, trainer.optimizers[0])

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Forgets the state of the optimizer again, if it is to be fresh."""
        self.driver.forget(trainer.optimizers[0], pl_module.last_step)

    # -------------------------------------------------------------------------- checkpoints

    @override
    def state_dict(self) -> dict[str, Any]:
        """What the decision learned; part of the checkpoint."""
        return self.driver.state_dict()

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what the decision had learned."""
        self.driver.load_state_dict(state_dict)
