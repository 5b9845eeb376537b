"""A sanity check against RecBole 1.2.1: ``python -m benchmarks.recbole_protocol --root FOLDER``.

Its protocol on MovieLens 100K: every rating is a positive; 8:1:1 at random for each user; ranking
of all items that the user has no other pair with; dimension 64; batches of 2,048 rows, in which
BPR's negatives stand beside the positives and those of cross entropy are half of the rows; one
uniform negative for each positive; training stops after ten epochs without a better validation
MRR@10, and the best epoch is tested. A run that was interrupted goes on where it stopped: finished
rows are kept in the CSV.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

import invlightning as il
from benchmarks.resumable import (
    Row,
    mean_and_deviation,
    metrics_of,
    quiet,
    quiet_trainer,
    run_missing,
)
from invlightning.data.interactions import Interactions, RawTable
from invlightning.data.splits import Split

RESULTS = Path(__file__).parent / "results"
MONITOR = "val_full_mrr@10"
METRICS = {
    "NDCG@10": "test_full_ndcg@10",
    "MRR@10": "test_full_mrr@10",
    "Recall@10": "test_recall@10",
    "Hit@10": "test_hit_rate@10",
}


class UserRatioSplit(Split):
    """The rows of each user at random, a tenth for validation and a tenth for test.

    Rounded as RecBole does: a user of n rows gives ``n // 10`` to each, but one where that is 0,
    test before validation, as long as a row is left for training.

    Args:
        seed: Any integer.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, interactions: Interactions, seed: int = 42) -> np.ndarray:
        """Returns the part of each row."""
        users = interactions.users
        order = np.lexsort((np.random.default_rng(self.seed).random(len(users)), users))
        sizes = np.bincount(users)
        held_out = np.maximum(sizes // 10, 1)
        num_test, num_val = held_out * (sizes > 1), held_out * (sizes > 2)
        owners = users[order]
        ranks = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[owners]
        parts = np.zeros(len(order), dtype=np.uint8)
        parts[order[ranks < (num_test + num_val)[owners]]] = 1
        parts[order[ranks < num_test[owners]]] = 2
        return parts


class Pairs(il.MovieLensDataModule):
    """MovieLens without its stars: every pair is a positive."""

    def read(self) -> RawTable:
        """Reads the pairs."""
        return replace(super().read(), ratings=None)


@dataclass(frozen=True)
class Candidate:
    """A model, and what RecBole reaches with its own.

    Args:
        build: Makes the module.
        batch_size: Positives of a batch.
        target: Test NDCG@10 of RecBole 1.2.1, one seed.
        setting: What was chosen on the validation part, for the table.
    """

    build: Callable[[], pl.LightningModule]
    batch_size: int
    target: float
    setting: str


def bpr() -> pl.LightningModule:
    """Matrix factorization with biases, ranked by BPR."""
    return il.Recommender(
        partial(il.backbones.BiasedMF, embedding_dim=64),
        joint_loss=il.losses.BPRLoss(),
        optimizer=partial(torch.optim.Adam, lr=3e-3, weight_decay=3e-5),
        top_k=10,
    )


def neumf() -> pl.LightningModule:
    """NeuMF with hidden layers of 128 and 64, by binary cross entropy."""
    return il.Recommender(
        partial(il.backbones.NeuMF, embedding_dim=64, num_layers=2, dropout=0.3),
        unlabeled_loss=il.losses.NaiveNegativeLoss(),
        optimizer=partial(torch.optim.Adam, lr=1e-3, weight_decay=1e-5),
        top_k=10,
    )


CANDIDATES = {
    "BPR-MF": Candidate(bpr, 2048, 0.293, "Adam 3e-3, L2 3e-5"),
    "NeuMF": Candidate(neumf, 1024, 0.271, "Adam 1e-3, L2 1e-5, dropout 0.3"),
}


def run(name: str, seed: int, root: str, epochs: int) -> list[Row]:
    """Trains one model with one seed and tests its best epoch.

    Args:
        name: A key of ``CANDIDATES``.
        seed: Seed of the split, the initialization and everything drawn.
        root: Folder of MovieLens 100K.
        epochs: Most epochs to train.

    Returns:
        One row.
    """
    candidate = CANDIDATES[name]
    pl.seed_everything(seed, verbose=False)
    data = Pairs(
        root=root,
        positive_threshold=None,
        split=UserRatioSplit(seed),
        meta_fraction=0.0,
        batch_size=candidate.batch_size,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, monitor=MONITOR, mode="max")
        stop = EarlyStopping(MONITOR, mode="max", patience=10)
        trainer = quiet_trainer(epochs, [best, stop])
        trainer.fit(candidate.build(), data)
        row = {"epochs": trainer.current_epoch, MONITOR: float(best.best_model_score)}
        metrics = metrics_of(trainer, data, best.best_model_path)
    return [row | {key: metrics[key] for key in METRICS.values()}]


def table(results: pd.DataFrame) -> str:
    """A Markdown table of means and standard deviations over seeds."""
    lines = [
        f"| model | {' | '.join(METRICS)} | RecBole NDCG@10 | setting |",
        "|---" * (len(METRICS) + 3) + "|",
    ]
    for name, candidate in CANDIDATES.items():
        rows = results[results["model"] == name]
        if len(rows):
            cells = " | ".join(mean_and_deviation(rows[key]) for key in METRICS.values())
            lines.append(f"| {name} | {cells} | {candidate.target} | {candidate.setting} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads arguments, runs, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default="data", help="folder of MovieLens 100K")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-epochs", type=int, default=300)
    parser.add_argument("--models", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--output", type=Path, default=RESULTS / "recbole_protocol.csv")
    given = parser.parse_args(arguments)
    quiet()
    tasks = {
        (name, seed): partial(run, name, seed, given.root, given.max_epochs)
        for name in given.models
        for seed in range(given.seeds)
    }
    text = table(run_missing(("model", "seed"), tasks, given.output, list(METRICS.values())))
    given.output.with_suffix(".md").write_text(text + "\n")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
