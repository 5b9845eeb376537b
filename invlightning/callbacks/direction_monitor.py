"""Watching what inverse gradient steps choose."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from typing_extensions import override

from invlightning.compat import logged_step
from invlightning.inverse.decisions import DIRECT, INVERSE, NONE

CHOICES = {NONE: "none", INVERSE: "inverse", DIRECT: "direct"}


def log_values(trainer: pl.Trainer, values: dict[str, Tensor]) -> None:
    """Writes scalars to the loggers and to ``trainer.callback_metrics``."""
    trainer.callback_metrics.update(values)
    step = logged_step(trainer)
    for logger in trainer.loggers:
        logger.log_metrics({name: value.item() for name, value in values.items()}, step=step)


class DirectionMonitor(pl.Callback):
    """Logs what inverse gradient steps chose.

    Keys: ``direction/direct``, ``direction/inverse``, ``direction/none`` (shares of the steps
    since the last log) and ``risk/direct``, ``risk/inverse``, ``risk/none`` (mean labeled risk
    at the three candidates).

    Args:
        every_n_steps: Inverse gradient steps between two logs; what is left is logged at the end
            of an epoch.

    Raises:
        ValueError: If ``every_n_steps`` is below 1.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}.")
        self.every_n_steps = every_n_steps
        self._steps = 0
        self._shares: Tensor | None = None
        self._risks: Tensor | None = None

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds a step to the buffers on the device."""
        record = getattr(pl_module, "last_step", None)
        if record is None:
            return
        if self._shares is None or self._risks is None:
            self._shares, self._risks = record.shares, record.risks
        else:
            self._shares, self._risks = self._shares + record.shares, self._risks + record.risks
        self._steps += 1
        if self._steps == self.every_n_steps:
            self._flush(trainer)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs what is left in the buffers."""
        self._flush(trainer)

    def _flush(self, trainer: pl.Trainer) -> None:
        if self._shares is None or self._risks is None:
            return
        values = {}
        for index, name in CHOICES.items():
            values[f"direction/{name}"] = self._shares[index] / self._steps
            if not self._risks[index].isnan():  # not every decision measures all three
                values[f"risk/{name}"] = self._risks[index] / self._steps
        self._steps, self._shares, self._risks = 0, None, None
        log_values(trainer, values)
