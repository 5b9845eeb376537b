"""Whether what callbacks monitor is something that a validation gives."""

import difflib
from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric

from invlightning.data.rows import VAL
from invlightning.modules.evaluation import EvaluatedModule
from invlightning.modules.trainer_data import implicit_data

LABELED_PAIR_METRICS = ("auc", "gauc", "mrr", "ndcg@", "harm@")


def check_monitors(trainer: pl.Trainer) -> None:
    """Checks that no callback monitors a metric which a validation will not give.

    Raises:
        ValueError: If AUC or a per-user metric is monitored, but the validation rows are all
            positive or all negative; or if no metric has that name.
    """
    _check_names(trainer)
    labels = labels_lacking_a_class(trainer)
    if labels is None:
        return
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if needs_both_classes(callback):
            found = "no rows" if not len(labels) else "one class only"
            raise ValueError(
                f"{type(callback).__name__} monitors {callback.monitor!r}, which needs labeled "
                f"positives and negatives, but the validation part holds {found}: monitor a "
                "full-catalogue metric such as 'val_recall@20', or keep rows for validation."
            )


def labels_lacking_a_class(trainer: pl.Trainer) -> Tensor | None:
    """Labels ``(n,)`` of the validation rows if they are not of both classes; else None.

    None, too, where the data module is none of ours.
    """
    data = implicit_data(trainer)
    labels = None if data is None else data.rows.labeled(VAL).labels
    both = labels is None or (len(labels) > 0 and bool(labels.min() != labels.max()))
    return None if both else labels


def needs_both_classes(callback: pl.Callback) -> bool:
    """Whether a callback monitors a metric that positives and negatives define together."""
    monitor = getattr(callback, "monitor", None) or ""
    return bool(monitor.removeprefix("val_").startswith(LABELED_PAIR_METRICS))


def _check_names(trainer: pl.Trainer) -> None:
    module, callbacks = trainer.lightning_module, trainer.callbacks  # type: ignore[attr-defined]
    if not isinstance(module, EvaluatedModule) or not _reports_alone(module, callbacks):
        return
    known = set(reported_metrics(module))
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None) or ""
        if monitor.startswith("val_") and monitor not in known:
            close = difflib.get_close_matches(monitor, known, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(
                f"{type(callback).__name__} monitors {monitor!r}, which no validation of "
                f"{type(module).__name__} gives: {hint}It gives {', '.join(sorted(known))}."
            )


def _reports_alone(module: EvaluatedModule, callbacks: list[pl.Callback]) -> bool:
    """Whether nobody but the metrics of a ready module can log the values of a validation."""
    hooks = ("validation_step", "on_validation_epoch_end")
    plain = all(getattr(type(module), name) is getattr(EvaluatedModule, name) for name in hooks)
    ours = ("pytorch_lightning", "invlightning")
    return plain and all(type(c).__module__.partition(".")[0] in ours for c in callbacks)


def reported_metrics(module: EvaluatedModule) -> Iterator[str]:
    """Names under which a validation logs the metrics of a module, by trying them on a user."""
    labeled, ranking = module.configure_metrics()
    scores, users = torch.tensor([1.0, 0.0]), torch.zeros(2, dtype=torch.int64)
    hits = torch.zeros(1, module.top_k, dtype=torch.bool)
    for metrics, given in (
        (labeled, (scores, torch.tensor([1, 0]), users)),
        (ranking, (hits, torch.ones(1, dtype=torch.int64))),
    ):
        for metric in metrics:
            metric.update(*given)
            yield from (f"val_{name}" for name in _named(metric))


def _named(metric: Metric) -> list[str]:
    found = metric.compute()
    return list(found) if isinstance(found, dict) else [type(metric).__name__.lower()]
