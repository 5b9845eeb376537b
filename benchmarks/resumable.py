"""Long runs, row by row in a CSV, that go on where they were interrupted."""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch

Row = dict[str, Any]


def quiet() -> None:
    """One thread, so that CPU seconds mean something, and no chatter."""
    torch.set_num_threads(1)
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", ".* does not have many workers")
    warnings.filterwarnings("ignore", ".* of the unlabeled rows are annotated")


def quiet_trainer(
    epochs: int, callbacks: Sequence[pl.Callback], checkpoints: bool = True
) -> pl.Trainer:
    """A Trainer on the CPU that prints and writes nothing but its checkpoints.

    Args:
        epochs: Most epochs to train.
        callbacks: What else happens.
        checkpoints: Whether checkpoints are written.
    """
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        enable_checkpointing=checkpoints,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def metrics_of(
    trainer: pl.Trainer, data: pl.LightningDataModule, checkpoint: str
) -> dict[str, float]:
    """The test metrics of a checkpoint, of all loaders together."""
    found = trainer.test(ckpt_path=checkpoint, datamodule=data, verbose=False)
    return {name: value for result in found for name, value in result.items()}


def run_missing(
    keys: tuple[str, str],
    tasks: Mapping[tuple[str, int], Callable[[], list[Row]]],
    path: Path,
    shown: Sequence[str],
) -> pd.DataFrame:
    """Runs what the CSV does not hold yet and prints progress and the time left.

    Args:
        keys: Columns that name a run: the name and the seed.
        tasks: By name and seed, what makes the other columns of the rows of a run.
        path: The CSV.
        shown: Columns to print of the first row of a run.

    Returns:
        All rows of the CSV.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {(row[keys[0]], row[keys[1]]) for row in rows}
    todo = [key for key in tasks if key not in done]
    start = time.monotonic()
    for number, key in enumerate(todo, start=1):
        found = [dict(zip(keys, key, strict=True)) | row for row in tasks[key]()]
        rows += found
        pd.DataFrame(rows).round(5).to_csv(path, index=False)
        left = (time.monotonic() - start) / number * (len(todo) - number) / 60
        values = "  ".join(f"{name} {found[0][name]:.3f}" for name in shown)
        place = f"[{number}/{len(todo)}, {left:.0f} min left]"
        print(f"{place} {key[0]}, seed {key[1]}: {values}", flush=True)
    return pd.read_csv(path)


def mean_and_deviation(values: pd.Series) -> str:
    """Mean and standard deviation over seeds, as tables show them."""
    return f"{values.mean():.3f} ± {values.std():.3f}"
