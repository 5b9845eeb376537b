"""Checks at set-up: each problem is one clear sentence before any training starts."""

import pytorch_lightning as pl
import torch
from torch import nn

from invlightning.modules.trainer_data import implicit_data

LABELED_PAIR_METRICS = ("auc", "gauc", "mrr", "ndcg@", "harm@")


def check_monitors(trainer: pl.Trainer) -> None:
    """Checks that no callback monitors a metric which the validation rows cannot give.

    Raises:
        ValueError: If AUC or a per-user metric is monitored, but the validation rows are all
            positive or all negative.
    """
    data = implicit_data(trainer)
    if data is None:
        return
    labels = data.interactions.labels[data.parts == 1]
    if len(labels) and labels.min() != labels.max():
        return
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        monitor = getattr(callback, "monitor", None) or ""
        if monitor.removeprefix("val_").startswith(LABELED_PAIR_METRICS):
            found = "no rows" if not len(labels) else "one class only"
            raise ValueError(
                f"{type(callback).__name__} monitors {monitor!r}, which needs labeled positives "
                f"and negatives, but the validation part holds {found}: monitor a full-catalogue "
                "metric such as 'val_recall@20', or keep rows for validation."
            )


def check_sparse_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Checks that the optimizer takes the gradients of ``sparse=True`` embeddings.

    Raises:
        ValueError: If it refuses sparse gradients, or takes sparse gradients only.
    """
    embeddings = [m for m in module.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    if not any(embedding.sparse for embedding in embeddings):
        return
    takes_both = (torch.optim.SGD, torch.optim.Adagrad)
    torch_own = type(optimizer).__module__.startswith("torch.optim")
    if torch_own and not isinstance(optimizer, takes_both):
        raise ValueError(
            f"the backbone has sparse embeddings, but {type(optimizer).__name__} does not take "
            "sparse and dense gradients together: use torch.optim.SGD or torch.optim.Adagrad, or "
            "build the backbone with sparse=False."
        )
