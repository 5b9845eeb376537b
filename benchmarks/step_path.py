"""What one inverse gradient step runs through: ``python -m benchmarks.step_path``.

Trains NeuMF with an inverse gradient on every batch and one choice a batch, in one process, and
lists the functions of the package that the third batch enters, file by file: from the first
``on_train_batch_start`` of the module to the end of its ``on_train_batch_end``. Reading batches and
evaluation lie outside. A function is a ``def``, nested ones and methods included, and counts once
however often it is called; lambdas and comprehensions belong to the function they stand in, and
generated code such as constructors of dataclasses belongs to no file.
"""

import logging
import sys
import warnings
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytorch_lightning as pl

import invlightning as il

PACKAGE = Path(il.__file__).parent
WATCHED_BATCH = 2  # the third: what only the first batch does is over, and more batches follow
BATCHES, BATCH_SIZE = 5, 64

StepPath = dict[str, list[str]]


class Listener:
    """Notes the functions of the package that are entered."""

    def __init__(self) -> None:
        self.entered: dict[tuple[str, int], str] = {}  # name by file and line

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Called by the interpreter at every call and return."""
        code = frame.f_code
        if event != "call" or code.co_name.startswith("<"):  # <lambda>, <listcomp>
            return
        path = Path(code.co_filename)
        if path.is_relative_to(PACKAGE):
            name = getattr(code, "co_qualname", code.co_name)  # Python 3.10 knows no classes here
            self.entered[path.relative_to(PACKAGE).as_posix(), code.co_firstlineno] = name


class Watched(il.InverseGradientRecommender):
    """Has one of its batches listened to."""

    listener: Listener

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Begins to listen."""
        if batch_idx == WATCHED_BATCH:
            sys.setprofile(self.listener.note)
        super().on_train_batch_start(batch, batch_idx)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stops listening."""
        super().on_train_batch_end(outputs, batch, batch_idx)
        if batch_idx == WATCHED_BATCH:
            sys.setprofile(None)


def make_data() -> il.ArrayDataModule:
    """Random labels: what a step calls does not depend on them."""
    rows, generator = 2 * BATCHES * BATCH_SIZE, np.random.default_rng(0)
    pairs = generator.choice(100 * 50, rows, replace=False)
    labels = generator.integers(0, 2, rows)
    return il.ArrayDataModule(pairs // 50, pairs % 50, labels, batch_size=BATCH_SIZE)


def step_path() -> StepPath:
    """Returns the functions that the watched batch enters, in the order of their lines, by file."""
    backbone = partial(il.backbones.NeuMF, embedding_dim=8)
    model = Watched(backbone, schedule="every_batch")
    model.listener = Listener()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        limit_train_batches=BATCHES,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    before = sys.getprofile()
    try:
        trainer.fit(model, make_data())
    finally:
        sys.setprofile(before)
    path: StepPath = {}
    for (file, _), name in sorted(model.listener.entered.items()):
        path.setdefault(file, []).append(name)
    return path


def main() -> None:
    """Prints the path and its length."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    path = step_path()
    for file, names in path.items():
        print(f"{file}\n    {', '.join(names)}")
    print(f"{len(path)} files, {sum(map(len, path.values()))} functions")


if __name__ == "__main__":
    main()
