"""Optimizers whose step costs what the batch costs."""

from invlightning.optim.clipping import clip_gradients
from invlightning.optim.row_sparse_adam import RowSparseAdam

__all__ = ["RowSparseAdam", "clip_gradients"]
