"""Epochs against those of RecBole 1.2.1: ``python -m benchmarks.recbole_speed --python PATH``.

MovieLens 100K, every rating a positive, 8:1:1 at random for each user, one uniform negative for
each positive, 2,048 rows a step, the same layers, dimension 64. Both run side by side on one thread
each, epoch by epoch in turns; medians of CPU-seconds. RecBole needs an environment of its own:

    python -m venv recbole && recbole/bin/pip install recbole==1.2.1 numpy==1.26.4 pandas==2.1.4
"""

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch

import invlightning as il
from benchmarks.figures import Figure, brief_table, machine, table
from benchmarks.pages import SPEED, publish
from benchmarks.recbole_protocol import Pairs, UserRatioSplit
from benchmarks.resumable import quiet, quiet_trainer

RESULTS = Path(__file__).parent / "results" / "recbole_speed.md"
BEGIN, END = "<!-- peer: written by python -m benchmarks.recbole_speed -->", "<!-- peer: end -->"
WORKER = Path(__file__).with_name("recbole_worker.py")
# Positives of a batch: RecBole counts the negatives of cross entropy as rows, those of BPR not.
BATCHES = {"NeuMF": 1024, "BPR": 2048}


def build(name: str, dropout: float) -> pl.LightningModule:
    """The module with the layers of RecBole's."""
    if name == "BPR":
        mf = partial(il.backbones.BiasedMF, embedding_dim=64)
        return il.Recommender(mf, joint_loss=il.losses.BPRLoss(), top_k=10)
    neumf = partial(il.backbones.NeuMF, embedding_dim=64, num_layers=2, dropout=dropout)
    return il.Recommender(neumf, unlabeled_loss=il.losses.NaiveNegativeLoss(), top_k=10)


class Served(pl.Callback):
    """Trains an epoch and evaluates for every line of the standard input, and prints seconds."""

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Waits for a line; without one, this was the last epoch."""
        if not sys.stdin.readline():
            raise SystemExit
        self.start = time.process_time()

    def on_validation_start(self, *_: Any) -> None:
        """Ends the time of training."""
        self.trained = time.process_time()

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Ends the time of evaluation."""
        now = time.process_time()
        print(self.trained - self.start, now - self.trained, flush=True)


def serve(name: str, root: str, dropout: float) -> None:
    """Our side, in a process of its own."""
    torch.set_num_threads(1)
    quiet()
    split = UserRatioSplit(0)
    data = Pairs(
        root=root,
        variant="100k",
        positive_threshold=None,
        split=split,
        meta_fraction=0.0,
        num_unlabeled=1,
        batch_size=BATCHES[name],
    )
    trainer = quiet_trainer(10**6, [Served()], checkpoints=False)
    print("ready", flush=True)
    trainer.fit(build(name, dropout), data)


class Worker:
    """A process that trains an epoch whenever it is told to."""

    def __init__(self, command: list[str], folder: str | None = None) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, cwd=folder, **pipes)
        self._answer("ready")

    def _answer(self, expected: str | None = None) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == expected or (expected is None and len(line.split()) == 2):
                return line
        raise RuntimeError(f"{self.process.args} ended before it answered; see its errors above.")

    def epoch(self) -> tuple[float, float]:
        """CPU-seconds of a training epoch and of an evaluation."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        trained, evaluated = self._answer().split()
        return float(trained), float(evaluated)

    def stop(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()


def measure(
    name: str, root: str, python: str, epochs: int, dropout: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Median seconds of training and evaluation, ours and RecBole's."""
    given = [name, root, str(dropout)]
    ours = Worker([sys.executable, "-m", __spec__.name, "--serve", *given])
    # RecBole writes logs where it runs, and takes paths from there.
    where = [name, str(Path(root).resolve()), str(dropout)]
    theirs = Worker([str(Path(python).absolute()), str(WORKER), *where], tempfile.gettempdir())
    found: list[list[tuple[float, float]]] = [[], []]
    try:
        for number in range(epochs + 1):
            for side, worker in enumerate((ours, theirs)):
                seconds = worker.epoch()
                if number:  # the first one warms up
                    found[side].append(seconds)
    finally:
        ours.stop()
        theirs.stop()
    mine, other = ([median(column) for column in zip(*rows, strict=True)] for rows in found)
    return (mine[0], mine[1]), (other[0], other[1])


def run(root: str, python: str, epochs: int) -> list[Figure]:
    """The figures."""
    figures = []
    for name, dropout, target in (("NeuMF", 0.1, 0.5), ("NeuMF", 0.0, 0.5), ("BPR", 0.0, 0.6)):
        ours, theirs = measure(name, root, python, epochs, dropout)
        label = f"{name}, dropout {dropout:g}" if name == "NeuMF" else name
        for what, mine, other, goal in (
            ("training epoch", ours[0], theirs[0], target),
            ("evaluation", ours[1], theirs[1], 0.25 if name == "NeuMF" else None),
        ):
            how = f"{mine:.2f} and {other:.2f} CPU-s"
            figures.append(
                Figure(f"{label}: {what}, ours / RecBole", mine / other, goal, detail=how)
            )
    return figures


def main() -> None:
    """Measures, prints and saves; or serves as one of the two sides."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", help="Python that has RecBole 1.2.1")
    parser.add_argument("--root", default="data", help="folder with ml-100k/ml-100k.inter")
    parser.add_argument("--epochs", type=int, default=5, help="epochs that count")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        name, root, dropout = options.serve
        serve(name, root, float(dropout))
        return
    if options.python is None:
        parser.error("--python is missing: a Python that has RecBole 1.2.1, made as said above.")
    figures = run(options.root, options.python, options.epochs)
    host = machine()
    told = f"{host['processor']}, torch {host['torch']}, one thread\n\n{table(figures)}\n"
    print(told)
    RESULTS.write_text(told)
    publish(brief_table(figures), SPEED, BEGIN, END)


if __name__ == "__main__":
    main()
