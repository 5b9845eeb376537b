"""Exposed rows on MovieLens 100K: ``python -m benchmarks.exposed --root FOLDER [--workers N]``.

Ratings above 2 are positives, the split is random (80/10/10), and a share of the training labels is
kept; the other training rows are exposed rows. Every arm is biased matrix factorization of
dimension 32 with Adam and batches of 1,024; L2 and learning rate of every arm are chosen from one
grid by the mean validation AUC of two seeds, and the epoch of every run by its validation AUC.
Runs that are finished are kept in a CSV, so a study goes on where it was interrupted.
"""

import argparse
import itertools
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
import torch

import invlightning as il
from benchmarks.exposed_results import brief_report, plot_lengths, report
from benchmarks.exposed_watch import Watch
from benchmarks.pages import EXPOSED, README, publish
from benchmarks.resumable import Row, quiet, quiet_trainer

RESULTS = Path(__file__).parent / "results"
BEGIN = "<!-- exposed: written by python -m benchmarks.exposed -->"
END = "<!-- exposed: end -->"
SHARES = (0.03, 0.1, 1.0)
L2, RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0), (1e-3, 3e-3)
TUNING_SEEDS, SEEDS = (0, 1), (0, 1, 2, 3, 4)
EPOCHS, BATCH = 12, 1024
LENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
INNER_LR = 3e-3

MF = partial(il.backbones.BiasedMF, embedding_dim=32)
IDL, PRIOR = il.losses.InverseDualLoss, partial(il.losses.InverseDualLoss, prior="labeled")
EVERY = {"schedule": "every_batch", "inner_lr": INNER_LR}

Build = Callable[..., pl.LightningModule]


def plain(**arguments: object) -> Build:
    """A Recommender with further arguments."""
    return partial(il.Recommender, MF, **arguments)


def space(**arguments: object) -> Build:
    """The entire space with shared tables."""
    return partial(il.EntireSpaceRecommender, MF, shared_tables=True, **arguments)


def space_ig(**arguments: object) -> Build:
    """The entire space with inverse gradients on exposed rows."""
    settings = {"shared_tables": True, "exposed_loss": PRIOR(), **EVERY, **arguments}
    return partial(il.EntireSpaceInverseGradientRecommender, MF, **settings)


def ig(**arguments: object) -> Build:
    """Inverse gradients on exposed rows alone."""
    settings = {"exposed_loss": PRIOR(), **EVERY, **arguments}
    return partial(il.InverseGradientRecommender, MF, **settings)


ARMS: dict[str, Callable[[], Build]] = {
    "labeled only": plain,
    "naive, weight 0.1": lambda: plain(unlabeled_loss=il.losses.NaiveNegativeLoss(0.1)),
    "IDL on drawn": lambda: plain(unlabeled_loss=IDL()),
    "soft label on exposed": lambda: plain(exposed_loss=il.losses.SoftLabel()),
    "IDL on exposed": lambda: plain(exposed_loss=PRIOR()),
    "Direct on exposed": lambda: ig(decision=il.inverse.Direct()),
    "IG on exposed": ig,
    "entire space": space,
    "entire space + soft label": lambda: space(exposed_loss=il.losses.SoftLabel()),
    "entire space + IDL": lambda: space(exposed_loss=PRIOR()),
    "entire space + Direct": lambda: space_ig(decision=il.inverse.Direct()),
    "entire space + IG": space_ig,
}
# With all labels there is no exposed row: what observed rows say of the exposure is left.
SOFTMAX = il.losses.SampledSoftmaxLoss
WHOLE: dict[str, Callable[[], Build]] = {
    name: ARMS[name] for name in ("labeled only", "naive, weight 0.1", "IDL on drawn")
} | {
    "entire space, own tables": lambda: partial(
        il.EntireSpaceRecommender, MF, exposure_loss=SOFTMAX(), exposure_l2=0.0
    ),
}
MANY_DRAWS = 8  # of a row, where a softmax is estimated from them


def make_data(root: str, share: float, seed: int, arm: str) -> pl.LightningDataModule:
    """MovieLens 100K with a share of its training labels."""
    return il.MovieLensDataModule(
        root=root,
        variant="100k",
        positive_threshold=2.0,
        split=il.data.RandomSplit(seed=seed),
        seed=seed,
        labeled_fraction=share,
        meta_fraction=0.0,
        batch_size=BATCH,
        num_unlabeled=MANY_DRAWS if arm in WHOLE and arm not in ARMS else 1,
        epoch="exposed" if share < 1 else "labeled",
    )


def run(root: str, arm: str, share: float, l2: float, lr: float, seed: int, length: float) -> Row:
    """Trains one arm with one setting and one seed; what its best epoch by validation AUC gives."""
    quiet()
    pl.seed_everything(seed, verbose=False)
    build = (ARMS if share < 1 else WHOLE)[arm]()
    optimizer = partial(torch.optim.Adam, lr=lr)
    inner = {"inner_lr": length} if length != INNER_LR else {}
    model = build(optimizer=optimizer, embedding_l2=l2, **inner)
    data, watch = make_data(root, share, seed, arm), Watch()
    trainer = quiet_trainer(EPOCHS, [watch], checkpoints=False)
    trainer.fit(model, data)
    return watch.best()


Task = tuple[str, float, float, float, int, float]
COLUMNS = ["arm", "share", "l2", "lr", "seed", "inner_lr"]


def run_all(root: str, tasks: list[Task], path: Path, workers: int) -> pd.DataFrame:
    """Runs what the CSV does not hold yet, and returns all rows of it."""
    rows: list[Row] = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {tuple(row[name] for name in COLUMNS) for row in rows}
    todo = [task for task in dict.fromkeys(tasks) if task not in done]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for number, (task, found) in enumerate(
            zip(todo, pool.map(partial(_run, root), todo), strict=True), start=1
        ):
            rows.append(dict(zip(COLUMNS, task, strict=True)) | found)
            pd.DataFrame(rows).round(5).to_csv(path, index=False)
            print(f"[{number}/{len(todo)}] {task}: {found['test_auc']:.4f}", flush=True)
    return pd.read_csv(path)


def _run(root: str, task: Task) -> Row:
    return run(root, *task)


def arms_of(share: float) -> list[str]:
    """Names of the arms that make sense with a share of the labels."""
    return list(ARMS if share < 1 else WHOLE)


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """For each arm and share the setting of best mean validation AUC over the tuning seeds."""
    tuned = rows[rows.seed.isin(TUNING_SEEDS) & (rows.inner_lr == INNER_LR)]
    means = tuned.groupby(["arm", "share", "l2", "lr"], sort=False).val_auc.mean().reset_index()
    return means.loc[means.groupby(["arm", "share"], sort=False).val_auc.idxmax()]


def main() -> None:
    """Tunes, runs the seeds, draws the curve and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder with MovieLens 100K")
    parser.add_argument("--workers", type=int, default=1, help="processes side by side")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "exposed_ml100k.csv"
    go = partial(run_all, options.root, path=path, workers=options.workers)
    grid = list(itertools.product(L2, RATES, TUNING_SEEDS))
    rows = go(
        [
            (arm, share, l2, lr, seed, INNER_LR)
            for share in options.shares
            for arm in arms_of(share)
            for l2, lr, seed in grid
        ]
    )
    best = chosen(rows)
    best = best[best.share.isin(options.shares)]
    settings = [(r.arm, r.share, r.l2, r.lr) for r in best.itertuples()]
    rows = go([(*setting, seed, INNER_LR) for setting in settings for seed in SEEDS])
    curve = ("entire space + Direct", "entire space + IG")
    [(_, _, l2, lr)] = [s for s in settings if s[0] == curve[1] and s[1] == 0.1] or [("", 0, 0, 0)]
    if l2:
        rows = go([(arm, 0.1, l2, lr, s, n) for arm in curve for n in LENGTHS for s in SEEDS])
        same = (rows.share == 0.1) & (rows.l2 == l2) & (rows.lr == lr)
        plot_lengths(rows[same], options.output)
    tables = report(rows, best, [*ARMS, *WHOLE])
    (options.output / "exposed_ml100k.md").write_text(tables + "\n")
    print(tables)
    if options.output == RESULTS and set(options.shares) == set(SHARES):
        publish(tables, EXPOSED, BEGIN, END)
        publish(brief_report(rows, best), README, BEGIN, END)


if __name__ == "__main__":
    main()
