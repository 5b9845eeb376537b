"""Training that goes on from a checkpoint as if it had never stopped.

What is random about a batch depends on its seed alone, and Lightning's counters are put right where
they err. Lightning 2.6 goes on exactly from checkpoints of the middle of an epoch and, where
``max_epochs`` alone ends the training, of its end. It loses or repeats batches after checkpoints
that were written

- at the end of an epoch, if ``max_steps`` is set: an empty epoch follows, and an order is skipped;
- after a run that stopped within an epoch: the epoch counts as done, and its rest is skipped;
- while a batch was in flight, by an exception: the loader has handed it out, so it is skipped.

Each of these is rewritten to what a checkpoint of the last finished batch would have said.
"""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from invlightning.compat import FitProgress, trainer_of
from invlightning.data.seeding import OUTER, seed_batch
from invlightning.modules.resumed_settings import check_same_network, optimizer_changes, take_up

_GRADIENTS = "unfinished_gradients"


class ResumableModule(pl.LightningModule):
    """A LightningModule that resumes after any batch with the same weights, bit for bit.

    Random numbers of a step (dropout) depend on the batch alone: the global generators are seeded
    from ``batch.seed`` before each, where a batch has one. So nothing that happens between two
    batches, such as a validation or a restart, changes them, and processes differ. The progress
    in a checkpoint is put right (:func:`repair_progress`), and gradients of an unfinished
    accumulation window are part of it.

    A subclass that overrides a hook defined here calls ``super()``.
    """

    _resumed_gradients: dict[str, Tensor] | None = None
    _changed_of_optimizer: list[str] | None = None

    @override
    def on_train_start(self) -> None:
        """Puts back the gradients of an unfinished window, and new arguments of the optimizer."""
        super().on_train_start()
        gradients, self._resumed_gradients = self._resumed_gradients, None
        for name, gradient in (gradients or {}).items():
            self.get_parameter(name).grad = gradient.to(self.device)
        changed, self._changed_of_optimizer = self._changed_of_optimizer, None
        if changed:
            take_up(self.trainer, changed)

    @override
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seeds the random numbers of the batch."""
        super().on_train_batch_start(batch, batch_idx)
        seed_batch(batch, OUTER)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the gradients of an unfinished accumulation window."""
        super().on_save_checkpoint(checkpoint)
        trainer = self.trainer
        if not is_mid_window(checkpoint, trainer.accumulate_grad_batches):
            return
        if trainer.world_size > 1:
            rank_zero_warn(
                "this checkpoint is written within a window of accumulate_grad_batches="
                f"{trainer.accumulate_grad_batches} and holds the gradients of the first process "
                "only: training does not go on from it with exactly the same weights. Save after "
                "optimizer steps, for example with ModelCheckpoint(every_n_train_steps=...)."
            )
        checkpoint[_GRADIENTS] = {
            name: p.grad for name, p in self.named_parameters() if p.grad is not None
        }

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes training go on with the first batch that was not trained on."""
        super().on_load_checkpoint(checkpoint)
        trainer = trainer_of(self)
        if trainer is None:
            return
        check_same_network(self, checkpoint)
        if trainer.state.fn != TrainerFn.FITTING:
            return
        stored = checkpoint.get("hyper_parameters") or {}
        self._changed_of_optimizer = optimizer_changes(stored, self.hparams)
        repair_progress(checkpoint, trainer.max_steps != -1, trainer.accumulate_grad_batches)
        self._resumed_gradients = checkpoint.get(_GRADIENTS)


def repair_progress(checkpoint: dict[str, Any], counts_steps: bool, window: int) -> None:
    """Makes training go on with the first batch that was not trained on.

    Nothing is done unless the only training loader tells its epoch and position, as
    :class:`invlightning.data.loader.TrainLoader` does.

    Args:
        checkpoint: A checkpoint that a Trainer wrote; its progress is edited in place.
        counts_steps: Whether ``max_steps`` of the Trainer is set.
        window: Batches of a gradient accumulation window.
    """
    progress = FitProgress(checkpoint)
    if len(progress.loaders) != 1 or not {"epoch", "position"} <= progress.loaders[0].keys():
        return
    [loader] = progress.loaders
    done = progress.batches_done
    is_whole = progress.is_last_batch and not progress.is_in_flight
    is_counted = progress.epochs_done > loader["epoch"]
    if not progress.is_in_flight and not (is_counted and (counts_steps or not is_whole)):
        return
    loader["position"] = done
    stepped = done > 0 and (is_whole or done % window == 0)
    progress.reopen(loader["epoch"], is_whole, stepped)


def is_mid_window(checkpoint: dict[str, Any], window: int) -> bool:
    """Whether gradients were being accumulated when a checkpoint was written.

    Args:
        checkpoint: A checkpoint that a Trainer wrote.
        window: Batches of a gradient accumulation window.
    """
    progress = FitProgress(checkpoint)
    return not progress.is_last_batch and progress.batches_done % window != 0
