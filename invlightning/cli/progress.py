"""Progress of a run whose output is read later: a line for every epoch in place of a bar."""

import sys
import time

import pytorch_lightning as pl
from jsonargparse import Namespace
from typing_extensions import override


def choose_progress(trainer: Namespace) -> bool:
    """Takes the progress bar away where nobody watches it.

    A bar redraws its line, which a file keeps as thousands of them.

    Args:
        trainer: The arguments of the Trainer as parsed; ``enable_progress_bar`` becomes False if
            nothing was said about it and the standard output is no terminal.

    Returns:
        Whether :class:`EpochLines` should take its place.
    """
    if trainer.enable_progress_bar is not None or sys.stdout.isatty():
        return False
    trainer.enable_progress_bar = False
    return True


class EpochLines(pl.Callback):
    """Prints number, seconds and metrics of every epoch, those that a progress bar would show."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._start = time.monotonic()

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the line; by now the validation of the epoch is over."""
        if not trainer.is_global_zero:
            return
        limit = trainer.max_epochs
        of = f"/{limit}" if limit is not None and limit > 0 else ""
        metrics = [
            f"{name} {value:.4f}"
            for name, value in trainer.progress_bar_metrics.items()
            if isinstance(value, float)
        ]
        seconds = time.monotonic() - self._start
        head = f"epoch {trainer.current_epoch + 1}{of}  {seconds:.1f} s"
        print("  ".join([head, *metrics]), flush=True)
