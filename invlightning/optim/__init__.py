"""Optimizers whose step costs what the batch costs."""

from invlightning.optim.default import default_adam
from invlightning.optim.row_sparse_adam import RowSparseAdam
from invlightning.sparse import clip_gradients

__all__ = ["RowSparseAdam", "clip_gradients", "default_adam"]
