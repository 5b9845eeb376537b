"""Compares methods on MovieLens 100K: ``python -m benchmarks.methods --root FOLDER``.

Same data, split, network, optimizer and stopping for every method; several seeds; both views of
quality. Of every run the epoch is chosen three times, by validation AUC, GAUC and NDCG@20 over the
catalogue, because AUC is not fair to methods that learn a ranking, whose scores compare within a
user only. A run that was interrupted goes on where it stopped: finished rows are kept in the CSV.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from benchmarks.method_list import METHODS, Method
from benchmarks.method_results import METRICS, SELECTIONS, plot, report
from benchmarks.resumable import Row, metrics_of, quiet, quiet_trainer, run_missing

RESULTS = Path(__file__).parent / "results"
PATIENCE = 5
SETTING = [
    "--config=data/movielens-100k.yaml",
    "--config=backbone/gmf.yaml",
    "--model.optimizer.lr=1e-3",
    "--data.positive_threshold=2.0",
]


class StopWhenStalled(pl.Callback):
    """Ends training once no selection has improved for some epochs.

    Args:
        patience: Number of these epochs.
    """

    def __init__(self, patience: int) -> None:
        self.patience, self.waited = patience, 0
        self.best = dict.fromkeys(SELECTIONS, float("-inf"))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts."""
        found = {name: float(trainer.callback_metrics[name]) for name in SELECTIONS}
        improved = any(found[name] > self.best[name] for name in SELECTIONS)
        self.best = {name: max(found[name], self.best[name]) for name in SELECTIONS}
        self.waited = 0 if improved else self.waited + 1
        trainer.should_stop = self.waited >= self.patience


class TrainingClock(pl.Callback):
    """CPU seconds that each epoch trains, without its evaluation.

    Those of the process: what else the machine does counts little.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts."""
        self._start = time.process_time()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops; validation ends every epoch."""
        self.seconds.append(time.process_time() - self._start)


def run(method: Method, seed: int, options: Sequence[str], epochs: int) -> list[Row]:
    """Trains a method with one seed and tests the best epoch of each selection.

    Args:
        method: The method.
        seed: Seed of the split, the initialization and everything drawn.
        options: Data and network, as command-line arguments.
        epochs: Most epochs to train.

    Returns:
        A row for each selection.
    """
    model, data = method.build(*options, f"--data.seed={seed}", seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        best = {
            name: ModelCheckpoint(f"{folder}/{name}", "{epoch}", monitor=name, mode="max")
            for name in SELECTIONS
        }
        clock = TrainingClock()
        trainer = quiet_trainer(epochs, [*best.values(), StopWhenStalled(PATIENCE), clock])
        trainer.fit(model, data)
        seconds = median(clock.seconds)
        # Read before testing: a checkpoint brings its own idea of the best one back.
        paths = {name: callback.best_model_path for name, callback in best.items()}
        rows = []
        for name, path in paths.items():
            metrics = metrics_of(trainer, data, path)
            epoch = int(path.rpartition("epoch=")[2].removesuffix(".ckpt")) + 1
            row = {"seconds_an_epoch": seconds, "selection": name, "epoch": epoch}
            rows.append(row | {key: metrics[key] for key in METRICS.values()})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads arguments, runs, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default="data", help="folder of MovieLens 100K")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-epochs", type=int, default=60)
    names = [method.name for method in METHODS]
    parser.add_argument("--methods", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--output", type=Path, default=RESULTS / "methods_ml100k.csv")
    given = parser.parse_args(arguments)
    quiet()
    options = [*SETTING, f"--data.root={given.root}"]
    tasks = {
        (method.name, seed): partial(run, method, seed, options, given.max_epochs)
        for seed in range(given.seeds)
        for method in METHODS
        if method.name in given.methods
    }
    shown = [*METRICS.values(), "seconds_an_epoch"]
    results = run_missing(("method", "seed"), tasks, given.output, shown)
    places = {name: place for place, name in enumerate(names)}
    results = results.sort_values("method", key=lambda name: name.map(places), kind="stable")
    given.output.with_suffix(".md").write_text(report(results))
    plot(results, given.output.with_suffix(".png"))
    print(f"\n{report(results)}")


if __name__ == "__main__":
    main()
