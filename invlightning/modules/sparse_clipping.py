"""The Trainer's gradient clipping for backbones with row-sparse gradients."""

from typing import Any, Literal

import pytorch_lightning as pl
from torch.optim import Optimizer

from invlightning.modules.checks import sparse_tables
from invlightning.optim import clip_gradients


class SparseClippingModule(pl.LightningModule):
    """A LightningModule whose ``sparse=True`` embeddings may be clipped like any other."""

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: Any = None,
    ) -> None:
        """Clips as the Trainer says; torch alone would refuse row-sparse gradients."""
        if not gradient_clip_val or not sparse_tables(self):
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        # A string or an enumeration of strings; None means "norm" to Lightning.
        algorithm: Literal["norm", "value"] = (
            "value" if gradient_clip_algorithm == "value" else "norm"
        )
        clip_gradients(parameters, gradient_clip_val, algorithm)
