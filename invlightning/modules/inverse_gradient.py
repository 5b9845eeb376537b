"""Inverse Gradient through Lightning's manual optimization: a mixin for any module."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from invlightning.inverse import Decision, DirectionName, StepRecord
from invlightning.modules.capture import CapturedGradients
from invlightning.modules.checks import check_averaging, check_callbacks
from invlightning.modules.driver import InverseGradientDriver, OuterState, Schedule
from invlightning.modules.inverse_checks import check_optimizers, check_own_step
from invlightning.modules.scheduling import (
    Watches,
    check_schedulers,
    step_schedulers,
    take_watches,
)

if TYPE_CHECKING:
    # The mixin stands left of a LightningModule; for the type checker it is one.
    _Module = pl.LightningModule
else:
    _Module = object


class InverseGradientMixin(_Module):
    """Adds inverse gradient steps to any LightningModule with two losses.

    Stand it left of the module: ``class Mine(InverseGradientMixin, pl.LightningModule)``. The
    module defines ``labeled_loss(batch)`` and ``unlabeled_loss(batch)``, each returning a mean,
    and ``configure_optimizers``; it sets the attributes below. The training step comes from here,
    by manual optimization: an inverse gradient step (:mod:`invlightning.inverse.engine`), then
    one optimizer step on the labeled loss. ``gradient_clip_val``, ``accumulate_grad_batches`` and
    learning-rate schedulers of the Trainer work as under automatic optimization; a subclass that
    overrides a hook defined here calls ``super()``.

    Under ``ModelParallelStrategy`` a subclass shards its network in ``configure_model``, as by
    ``fully_shard(self.backbone, mesh=self.device_mesh["data_parallel"])`` (FSDP2).

    Attributes:
        inner_lr: Length of the inner step; must be set.
        direction: Rule of the inner step: ``adam``, ``sgd`` or ``sign``.
        decision: Judges the step; None means one choice a batch among direct, none and inverse.
        schedule: ``every_batch`` takes an inverse gradient step on every batch; ``phased`` on
            batches whose ``is_meta`` is true, the others being supervised steps on the labeled
            loss.
        outer_state: ``fresh`` forgets the state of the optimizer at every inverse gradient step,
            as the reference implementation does; ``persistent`` keeps it.
        varies_in_training: Whether ``labeled_loss`` may differ between training and evaluation
            mode, as with dropout. Where it cannot, the risk of the chosen candidate is the loss of
            the outer step, which saves a forward pass on a processor.
        last_step: What the last inverse gradient step chose; None after a supervised step.
        captures: Whether the inner steps are captured as CUDA graphs, for batches that are named
            tuples. The recommenders of this package capture the outer loss with its gradients too.
        captured_gradients: Computes that loss and its gradients where they are captured.
    """

    inner_lr: float
    direction: DirectionName = "adam"
    decision: Decision | None = None
    schedule: Schedule = "every_batch"
    outer_state: OuterState = "persistent"
    varies_in_training: bool = True
    last_step: StepRecord | None = None
    captures: bool = False
    captured_gradients: CapturedGradients | None = None

    _driver: InverseGradientDriver | None = None
    _watches: Watches = {}  # noqa: RUF012  # never edited in place
    _resumed_metrics: dict[str, Tensor] = {}  # noqa: RUF012  # never edited in place

    if TYPE_CHECKING:  # the module defines them; a definition here would hide those
        labeled_loss: Callable[[Any], Tensor]
        unlabeled_loss: Callable[[Any], Tensor]

    @property  # type: ignore[explicit-override]
    @override
    def automatic_optimization(self) -> bool:
        """False: the steps are taken in ``training_step``."""
        return False

    @automatic_optimization.setter
    @override
    def automatic_optimization(self, value: bool) -> None:
        if value:
            raise ValueError(f"{type(self).__name__} takes its steps by manual optimization.")

    # ------------------------------------------------------------------------------- set-up

    @override
    def configure_callbacks(self) -> Any:
        """Keeps the Trainer flags that Lightning refuses in manual optimization."""
        trainer = self.trainer
        self._kept_flags = (trainer.gradient_clip_val, trainer.accumulate_grad_batches)
        trainer.gradient_clip_val, trainer.accumulate_grad_batches = None, 1
        return super().configure_callbacks()

    @override
    def setup(self, stage: str) -> None:
        """Gives the Trainer its flags back, and refuses what cannot work."""
        trainer = self.trainer
        trainer.gradient_clip_val, trainer.accumulate_grad_batches = self._kept_flags
        check_averaging(self)
        super().setup(stage)
        if stage != "fit":
            return
        check_own_step(self, InverseGradientMixin)
        self._driver = None  # attributes may have changed since it was built
        self.driver.check(trainer, self)
        check_callbacks(trainer)
        # Lightning's advice does not fit here: a checkpoint holds the weights after the step.
        warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization")

    @property
    def driver(self) -> InverseGradientDriver:
        """Takes the inner steps; built from the attributes when it is first asked for.

        Raises:
            ValueError: If ``inner_lr`` is not set.
        """
        if self._driver is None:
            if not hasattr(self, "inner_lr"):
                name = type(self).__name__
                raise ValueError(f"{name} must set self.inner_lr in its constructor.")
            self._driver = InverseGradientDriver(
                self.inner_lr,
                self.direction,
                self.decision,
                self.schedule,
                self.outer_state,
                captures=self.captures,
            )
        return self._driver

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keeps what schedulers watch, wherever ``configure_optimizers`` is defined."""
        super().__init_subclass__(**kwargs)
        own = getattr(cls, "configure_optimizers", None)
        if own is None or hasattr(own, "__wrapped__"):
            return

        @wraps(own)
        def configure_optimizers(self: "InverseGradientMixin") -> Any:
            configured, watches = take_watches(own(self))
            self._watches = {**self._watches, **watches}
            return configured

        cls.configure_optimizers = configure_optimizers  # type: ignore[assignment, method-assign]

    @override
    def on_fit_start(self) -> None:
        """Refuses several optimizers and optimizers that evaluate the loss themselves."""
        super().on_fit_start()
        check_optimizers(self.trainer)
        check_schedulers(self.trainer, self._watches)
        self.driver.start_fit(self)

    @override
    def on_fit_end(self) -> None:
        """Lets captured steps go."""
        super().on_fit_end()
        self.driver.end_fit()

    # ----------------------------------------------------------------------------- training

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """An inverse gradient step where the schedule has one, then an outer step.

        Returns:
            The labeled loss and what is minimized beside it, divided by
            ``accumulate_grad_batches``, without a graph.
        """
        trainer = self.trainer
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)  # one optimizer: see on_fit_start
        window = trainer.accumulate_grad_batches
        is_last = trainer.is_last_batch or batch_idx + 1 == trainer.num_training_batches
        steps = is_last or (batch_idx + 1) % window == 0
        loss = None
        if batch_idx % window == 0:
            optimizer.zero_grad()
            keeps = not self.varies_in_training
            record = self.driver.step(self, batch, optimizer.optimizer, keeps)
            if record is not None:  # no graph is kept longer than needed
                loss, record = record.loss, record._replace(loss=None)
            self.last_step = record
        waits = not steps and isinstance(trainer.strategy, ParallelStrategy)
        with trainer.strategy.block_backward_sync() if waits else nullcontext():  # type: ignore[attr-defined]
            if self.captured_gradients is None:
                loss = self.step_loss(batch, loss) / window
            else:
                loss = self.captured_gradients(batch)
            self.manual_backward(loss)
        if steps:
            optimizer.step()
            self.driver.forget(optimizer.optimizer, self.last_step)
            step_schedulers(self, self._watches, "step", batch_idx + 1)
        if is_last:
            step_schedulers(self, self._watches, "epoch", self.current_epoch + 1)
        return loss.detach()

    def step_loss(self, batch: Any, labeled_loss: Tensor | None = None) -> Tensor:
        """What the outer step minimizes at a batch, a scalar.

        Args:
            batch: What the losses look at.
            labeled_loss: The labeled loss of the batch, if it is known. None computes it.
        """
        loss = self.labeled_loss(batch) if labeled_loss is None else labeled_loss
        further = self.further_loss(batch)
        return loss if further is None else loss + further

    def further_loss(self, batch: Any) -> Tensor | None:
        """What the outer step minimizes beside the labeled loss; nothing unless overridden.

        A module to the right of the mixin that defines it is asked.
        """
        own = getattr(super(), "further_loss", None)
        found: Tensor | None = own(batch) if own is not None else None
        return found

    @override
    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clips gradients as the Trainer says; here they are unscaled in every precision."""
        super().on_before_optimizer_step(optimizer)
        self.configure_gradient_clipping(
            optimizer, self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm
        )

    @override
    def on_train_epoch_end(self) -> None:
        """Steps schedulers that watch a metric."""
        super().on_train_epoch_end()
        metrics = {**self._resumed_metrics, **self.trainer.callback_metrics}
        step_schedulers(self, self._watches, "epoch", self.current_epoch + 1, metrics)

    # -------------------------------------------------------------------------- checkpoints

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the decision learned, and metrics that schedulers watch after a validation."""
        super().on_save_checkpoint(checkpoint)
        metrics = self.trainer.callback_metrics
        names = {watch.monitor for watch in self._watches.values() if watch.is_plateau}
        checkpoint["watched_metrics"] = {k: value for k, value in metrics.items() if k in names}
        learned = self.driver.state_dict()
        if learned:
            checkpoint["decision"] = learned

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up the decision, and metrics of a validation that a resumed run does not repeat."""
        super().on_load_checkpoint(checkpoint)
        self._resumed_metrics = checkpoint.get("watched_metrics", {})
        if "decision" in checkpoint:
            self.driver.load_state_dict(checkpoint["decision"])
