"""Compares methods on MovieLens 100K: ``python -m benchmarks.methods --root FOLDER``.

Same data, split, network and selection for every method; several seeds; both views of quality.
A run that was interrupted goes on where it stopped: finished rows are kept in the CSV.
"""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

import invlightning as il

METRICS = ["test_auc", "test_gauc", "test_recall@20"]
RESULTS = Path(__file__).parent / "results"
Model = pl.LightningModule

GMF = partial(il.backbones.GMF, embedding_dim=32)


def recommender(unlabeled_loss: il.UnlabeledLoss | None = None) -> Model:
    """The plain module."""
    return il.Recommender(GMF, unlabeled_loss=unlabeled_loss)


def inverse_gradient(**arguments: Any) -> Model:
    """The inverse gradient module."""
    return il.InverseGradientRecommender(GMF, **arguments)


IDL, Naive = il.losses.InverseDualLoss, il.losses.SampledNegativeLoss

METHODS: dict[str, Callable[[], Model]] = {
    "labeled only": recommender,
    "naive (sampled = negative)": lambda: recommender(Naive()),
    "naive, weight 0.1": lambda: recommender(Naive(weight=0.1)),
    "IDL": lambda: recommender(IDL()),
    "IDL, prior 0.1, weight 0.3": lambda: recommender(IDL(weight=0.3, prior=0.1)),
    "IG, phased": inverse_gradient,
    "IG, joint": lambda: inverse_gradient(schedule="joint"),
    "IG, per example": lambda: inverse_gradient(
        schedule="joint", decision=il.inverse.PerExampleSign()
    ),
    "IG, reweighting": lambda: inverse_gradient(
        schedule="joint", decision=il.inverse.PerExampleReweight()
    ),
}


def run(method: str, seed: int, root: str, max_epochs: int) -> dict[str, float | str | int]:
    """Trains one method with one seed and tests its best checkpoint."""
    pl.seed_everything(seed, verbose=False)
    data = il.MovieLensDataModule(
        root=root, positive_threshold=2.0, meta_fraction=0.1, num_unlabeled=1, seed=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, monitor="val_auc", mode="max")
        stop = EarlyStopping("val_auc", mode="max", patience=5)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=max_epochs,
            callbacks=[best, stop],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        start = time.perf_counter()
        trainer.fit(METHODS[method](), data)
        seconds = (time.perf_counter() - start) / trainer.current_epoch
        [found] = [trainer.test(ckpt_path=best.best_model_path, datamodule=data, verbose=False)]
    metrics = {name: value for result in found for name, value in result.items()}
    return {
        "method": method,
        "seed": seed,
        "epochs": trainer.current_epoch,
        "seconds_an_epoch": round(seconds, 3),
        **{name: round(value, 5) for name, value in metrics.items()},
    }


def run_all(root: str, seeds: int, max_epochs: int, path: Path) -> pd.DataFrame:
    """Runs what the CSV does not hold yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {(row["method"], row["seed"]) for row in rows}
    todo = [(m, s) for s in range(seeds) for m in METHODS if (m, s) not in done]
    for number, (method, seed) in enumerate(todo, start=1):
        rows.append(run(method, seed, root, max_epochs))
        pd.DataFrame(rows).to_csv(path, index=False)
        shown = "  ".join(f"{name[5:]} {rows[-1][name]:.3f}" for name in METRICS)
        print(f"[{number}/{len(todo)}] {method}, seed {seed}: {shown}", flush=True)
    return pd.DataFrame(rows)


def table(results: pd.DataFrame) -> str:
    """A Markdown table of means and standard deviations over seeds."""
    lines = ["| method | AUC | GAUC | Recall@20 (full) |", "|---|---|---|---|"]
    for method in METHODS:
        rows = results[results["method"] == method]
        if len(rows):
            cells = [f"{rows[m].mean():.3f} ± {rows[m].std():.3f}" for m in METRICS]
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(results: pd.DataFrame, path: Path) -> None:
    """Both views of quality against each other, a point a seed."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for method in METHODS:
        rows = results[results["method"] == method]
        axes.scatter(rows["test_auc"], rows["test_recall@20"], label=method, s=28)
    axes.set(
        xlabel="AUC on labeled test rows",
        ylabel="Recall@20 over all unseen items",
        title="MovieLens 100K: the two views name different winners",
    )
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Reads arguments, runs, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default="data", help="folder of MovieLens 100K")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-epochs", type=int, default=60)
    parser.add_argument("--output", type=Path, default=RESULTS / "methods_ml100k.csv")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    results = run_all(arguments.root, arguments.seeds, arguments.max_epochs, arguments.output)
    text = table(results)
    arguments.output.with_suffix(".md").write_text(text + "\n")
    plot(results, arguments.output.with_suffix(".png"))
    print(f"\n{text}")


if __name__ == "__main__":
    main()
