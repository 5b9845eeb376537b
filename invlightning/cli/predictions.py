"""What ``predict`` leaves behind: a table of recommendations."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from typing_extensions import override


class PredictionWriter(pl.Callback):
    """Writes the tables that ``predict_step`` returns to ``predictions.csv``, batch by batch.

    The file lies in the folder of the logger. With several processes each writes its own users, to
    ``predictions-0.csv``, ``predictions-1.csv`` and so on.
    """

    def __init__(self) -> None:
        self._path = Path()
        self._rows = 0

    @override
    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses the file."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        suffix = f"-{trainer.global_rank}" if trainer.world_size > 1 else ""
        self._path, self._rows = folder / f"predictions{suffix}.csv", 0

    @override
    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds the rows of a batch.

        Raises:
            TypeError: If the module predicts something else than tables.
        """
        if not isinstance(outputs, pd.DataFrame):
            raise TypeError(
                f"predict_step of {type(pl_module).__name__} returned {type(outputs).__name__}, "
                "expected a pandas.DataFrame to write: use Trainer.predict from Python."
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        first = self._rows == 0
        outputs.to_csv(self._path, mode="w" if first else "a", header=first, index=False)
        self._rows += len(outputs)
        if batch_idx == 0 and trainer.is_global_zero:
            print(f"\n{outputs.head(10).to_string(index=False)}")

    @override
    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says where the table lies."""
        print(f"\n  {self._rows} recommendations  {self._path}")
