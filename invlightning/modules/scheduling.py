"""Learning-rate schedulers under manual optimization, where Lightning leaves them alone."""

from typing import Any, NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

_KEYS = ("monitor", "strict", "reduce_on_plateau")


class Watch(NamedTuple):
    """What Lightning drops of a scheduler's settings under manual optimization.

    Attributes:
        monitor: The metric it watches.
        strict: Whether it is an error if that metric is not logged.
        is_plateau: Whether it steps on the metric.
    """

    monitor: str | None = None
    strict: bool = True
    is_plateau: bool = False


Watches = dict[Any, Watch]


def take_watches(configured: Any) -> tuple[Any, Watches]:
    """Takes the settings that Lightning would warn of and drop under manual optimization.

    Args:
        configured: Any form that ``configure_optimizers`` may return.

    Returns:
        The same without those settings, and the settings by scheduler.
    """
    if isinstance(configured, dict):
        if "lr_scheduler" not in configured:
            return configured, {}
        entry, watch = _split(configured["lr_scheduler"], configured.get("monitor"))
        return {**configured, "lr_scheduler": entry}, watch
    if isinstance(configured, tuple) and len(configured) == 2:
        optimizers, entries = configured
        parts = [_split(entry) for entry in entries]
        kept: Any = (optimizers, [entry for entry, _ in parts])
    elif isinstance(configured, (list, tuple)):
        parts = [take_watches(part) for part in configured]
        kept = type(configured)(part for part, _ in parts)
    else:
        return configured, {}
    return kept, {scheduler: w for _, watches in parts for scheduler, w in watches.items()}


def _split(entry: Any, monitor: str | None = None) -> tuple[Any, Watches]:
    settings = entry if isinstance(entry, dict) else {"scheduler": entry}
    scheduler = settings["scheduler"]
    watch = Watch(
        settings.get("monitor", monitor),
        settings.get("strict", True),
        settings.get("reduce_on_plateau", isinstance(scheduler, ReduceLROnPlateau)),
    )
    if isinstance(entry, dict):
        entry = {key: value for key, value in entry.items() if key not in _KEYS}
    return entry, {scheduler: watch}


def check_schedulers(trainer: pl.Trainer, watches: Watches) -> None:
    """Refuses schedulers that cannot step under manual optimization.

    Raises:
        ValueError: If a scheduler that watches a metric names none, or steps every batch.
    """
    for config in trainer.lr_scheduler_configs:
        watch, name = watches.get(config.scheduler, Watch()), type(config.scheduler).__name__
        if watch.is_plateau and config.interval == "step":
            raise ValueError(
                f"{name} with interval='step' does not work with InverseGradientMixin: use "
                "interval='epoch', or InverseGradientCallback."
            )
        if watch.is_plateau and watch.monitor is None:
            raise ValueError(
                f"{name} watches a metric but names none: return "
                '{"scheduler": ..., "monitor": "val_log_loss"} from configure_optimizers.'
            )


def step_schedulers(
    module: pl.LightningModule,
    watches: Watches,
    interval: str,
    done: int,
    metrics: dict[str, Tensor] | None = None,
) -> None:
    """Steps the schedulers that are due, counting as automatic optimization does.

    Args:
        module: The module in training.
        watches: Settings by scheduler.
        interval: ``step`` or ``epoch``.
        done: Batches of the epoch, or epochs, that are done.
        metrics: What was logged, for the schedulers that watch a metric; None for the others.

    Raises:
        ValueError: If a scheduler watches a metric that was not logged.
    """
    # Read anew each time: the learning-rate finder and weight averaging exchange them.
    for config in module.trainer.lr_scheduler_configs:
        watch = watches.get(config.scheduler, Watch())
        due = config.interval == interval and done % config.frequency == 0
        if watch.is_plateau != (metrics is not None) or not due:
            continue
        value = _watched(watch, metrics) if metrics is not None else None
        if value is not None or metrics is None:
            module.lr_scheduler_step(config.scheduler, value)


def _watched(watch: Watch, metrics: dict[str, Tensor]) -> Tensor | None:
    if watch.monitor in metrics:
        return metrics[watch.monitor]
    message = (
        f"the learning-rate scheduler monitors {watch.monitor!r}, which is not logged; logged are "
        f"{sorted(metrics)}: monitor one of them, or set strict=False to skip the step."
    )
    if watch.strict:
        raise ValueError(message)
    rank_zero_warn(message)
    return None
