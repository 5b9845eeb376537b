"""Whole epochs: what Lightning adds to a bare loop, and an epoch of inverse gradients."""

import io
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger

import invlightning as il
from benchmarks.figures import Figure
from benchmarks.timing import threads
from invlightning.data import RandomSplit
from invlightning.losses import BinaryCrossEntropy, InverseDualLoss

USERS, ITEMS = 6_041, 3_953
# CPU-seconds of the released code for the same epoch, measured once.
RELEASE_SECONDS = 33.0


def make_data(rows: int, batch_size: int, meta_fraction: float) -> il.ArrayDataModule:
    """Labeled training rows of the size of a MovieLens 1M sample; nothing else."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randperm(USERS * ITEMS, generator=generator)[:rows]
    data = il.ArrayDataModule(
        pairs // ITEMS,
        pairs % ITEMS,
        torch.randint(2, (rows,), generator=generator).float(),
        num_users=USERS,
        num_items=ITEMS,
        split=RandomSplit(0.0, 0.0),
        meta_fraction=meta_fraction,
        batch_size=batch_size,
    )
    data.setup()
    return data


class Stopwatch(pl.Callback):
    """CPU-seconds of the first epoch, from its first hook to its last."""

    seconds = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Starts."""
        self.seconds = -time.process_time()

    def on_train_end(self, *_: Any) -> None:
        """Stops, after everything that ends an epoch."""
        self.seconds += time.process_time()


def lightning_epoch(model: pl.LightningModule, data: pl.LightningDataModule, shows: bool) -> float:
    """CPU-seconds of one epoch in a Trainer, with progress bar and CSV logger if it ``shows``."""
    watch = Stopwatch()
    bars = [TQDMProgressBar()] if shows else []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            limit_val_batches=0,
            callbacks=[*bars, watch],
            logger=CSVLogger(folder) if shows else False,
            enable_progress_bar=shows,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            trainer.fit(model, data)
    return watch.seconds


def bare_epoch(data: il.ArrayDataModule) -> float:
    """CPU-seconds of the same steps in a loop of plain PyTorch."""
    backbone = il.backbones.NeuMF(USERS, ITEMS, 32)
    optimizer = torch.optim.Adam(backbone.parameters(), lr=1e-3, fused=True)
    labeled, unlabeled = BinaryCrossEntropy(), InverseDualLoss()
    start = time.process_time()
    for batch in data.train_dataloader():
        items = torch.cat([batch.items.unsqueeze(1), data.draw_unlabeled(batch)], 1)
        optimizer.zero_grad()
        logits = backbone(batch.users.unsqueeze(1), items)
        loss = labeled(logits[:, 0], batch.labels) + unlabeled(logits[:, 1:])
        loss.backward()
        optimizer.step()
    return time.process_time() - start


def alternate(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Medians of what the runs return, in turns, the first turn uncounted."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in runs if number % 2 else reversed(runs):
            value = runs[name]()
            if number:
                found[name].append(value)
    return {name: median(values) for name, values in found.items()}


def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    rows, size, rounds = (2_000, 256, 1) if quick else (240_000, 4_096, 5)
    neumf = partial(il.backbones.NeuMF, embedding_dim=32)
    gmf = partial(il.backbones.GMF, embedding_dim=32)
    data, phased = make_data(rows, size, 0.0), make_data(rows, size // 4, 0.1)
    with threads(1):
        seconds = alternate(
            {
                "bare": lambda: bare_epoch(data),
                "lightning": lambda: lightning_epoch(
                    il.Recommender(neumf, unlabeled_loss=InverseDualLoss()), data, shows=True
                ),
                "ig": lambda: lightning_epoch(
                    il.InverseGradientRecommender(gmf, inner_lr=1e-3), phased, shows=False
                ),
            },
            rounds,
        )
    bare, lightning = seconds["bare"], seconds["lightning"]
    return [
        Figure(
            "Lightning epoch / bare PyTorch loop",
            lightning / bare,
            1.08,
            detail=f"IDL, NeuMF d=32, {rows:,} rows, batch {size:,}, progress bar and CSV logger "
            f"on, one thread: {lightning:.2f} s, {bare:.2f} s",
        ),
        Figure(
            "GMF IG, one Lightning epoch",
            seconds["ig"],
            1.0,
            unit="CPU-s",
            detail=f"d=32, {rows:,} rows, batch {size // 4:,}, phased 90/10, one thread; the "
            f"released code takes {RELEASE_SECONDS:.0f}",
        ),
    ]
