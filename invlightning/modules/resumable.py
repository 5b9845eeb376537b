"""Training that goes on from a checkpoint as if it had never stopped."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from invlightning.modules.adapter import OUTER, seed_batch
from invlightning.modules.progress import is_mid_window, repair_progress

_GRADIENTS = "unfinished_gradients"


class ResumableModule(pl.LightningModule):
    """A LightningModule that resumes after any batch with the same weights, bit for bit.

    Random numbers of a step (dropout) depend on the batch alone: the global generators are seeded
    from ``batch.seed`` before each, where a batch has one. So nothing that happens between two
    batches, such as a validation or a restart, changes them, and processes differ. The progress
    in a checkpoint is put right (:mod:`invlightning.modules.progress`), and gradients of an
    unfinished accumulation window are part of it.

    A subclass that overrides a hook defined here calls ``super()``.
    """

    _resumed_gradients: dict[str, Tensor] | None = None

    def on_train_start(self) -> None:
        """Puts back the gradients of an unfinished accumulation window."""
        super().on_train_start()
        gradients, self._resumed_gradients = self._resumed_gradients, None
        for name, gradient in (gradients or {}).items():
            self.get_parameter(name).grad = gradient.to(self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seeds the random numbers of the batch."""
        super().on_train_batch_start(batch, batch_idx)
        seed_batch(batch, OUTER)

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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes training go on with the first batch that was not trained on."""
        super().on_load_checkpoint(checkpoint)
        trainer = self._trainer
        if trainer is None or trainer.state.fn != TrainerFn.FITTING:
            return
        repair_progress(checkpoint, trainer.max_steps != -1, trainer.accumulate_grad_batches)
        self._resumed_gradients = checkpoint.get(_GRADIENTS)
