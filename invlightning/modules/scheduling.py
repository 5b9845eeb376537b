"""Learning-rate schedulers under manual optimization, where Lightning leaves them alone."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

Monitors = dict[Any, str | None]


def take_monitors(configured: Any) -> Monitors:
    """Takes the ``monitor`` of each scheduler out of what ``configure_optimizers`` returned.

    Lightning warns of the key under manual optimization and drops it.

    Args:
        configured: Any form that ``configure_optimizers`` may return; edited in place.

    Returns:
        The monitored key by scheduler.
    """
    if isinstance(configured, dict):
        found = [configured["lr_scheduler"]] if "lr_scheduler" in configured else []
    elif isinstance(configured, tuple) and len(configured) == 2:
        found = list(configured[1])
    elif isinstance(configured, (list, tuple)):
        parts = [take_monitors(part) for part in configured]
        return {scheduler: monitor for part in parts for scheduler, monitor in part.items()}
    else:
        found = []
    dicts = [entry for entry in found if isinstance(entry, dict)]
    return {entry["scheduler"]: entry.pop("monitor", None) for entry in dicts}


def step_schedulers(
    module: pl.LightningModule, monitors: Monitors, interval: str, plateau: bool = False
) -> None:
    """Steps the schedulers that are due, counting as automatic optimization does.

    Args:
        module: The module in training.
        monitors: The monitored key by scheduler.
        interval: ``step`` or ``epoch``.
        plateau: True for the schedulers that watch a metric, False for the others.
    """
    trainer = module.trainer
    done = 1 + (trainer.fit_loop.batch_idx if interval == "step" else trainer.current_epoch)
    # Read anew each time: the learning-rate finder and weight averaging exchange them.
    for config in trainer.lr_scheduler_configs:
        is_plateau = isinstance(config.scheduler, ReduceLROnPlateau)
        due = config.interval == interval and done % config.frequency == 0
        if is_plateau is plateau and due:
            watched = _watched(trainer, monitors.get(config.scheduler)) if plateau else None
            module.lr_scheduler_step(config.scheduler, watched)


def _watched(trainer: pl.Trainer, monitor: str | None) -> Tensor:
    metrics = trainer.callback_metrics
    if monitor not in metrics:
        raise ValueError(
            f"ReduceLROnPlateau monitors {monitor!r}, which is not logged; logged are "
            f"{sorted(metrics)}."
        )
    return metrics[monitor]
