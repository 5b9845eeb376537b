"""The table and the plot of :mod:`benchmarks.methods`."""

from pathlib import Path

import pandas as pd

from benchmarks.resumable import mean_and_deviation

# By validation GAUC first: the one selection that suits log-odds and rankings alike.
SELECTIONS = {
    "val_gauc": "Epoch by validation GAUC",
    "val_auc": "Epoch by validation AUC",
    "val_full_ndcg@20": "Epoch by validation NDCG@20",
}
METRICS = {
    "AUC": "test_auc",
    "GAUC": "test_gauc",
    "Recall@20": "test_recall@20",
    "NDCG@20": "test_full_ndcg@20",
    "disliked@20": "test_disliked@20",
}


def table(results: pd.DataFrame, selection: str) -> str:
    """A Markdown table of means and standard deviations over seeds.

    Args:
        results: Rows of the CSV.
        selection: Which epoch of each run; a key of ``SELECTIONS``.
    """
    lines = [
        f"| method | {' | '.join(METRICS)} | seconds an epoch |",
        "|---" * (len(METRICS) + 2) + "|",
    ]
    chosen = results[results["selection"] == selection]
    for method, rows in chosen.groupby("method", sort=False):
        cells = [_cell(rows, name) for name in METRICS.values()]
        seconds = rows["seconds_an_epoch"].median()
        lines.append(f"| {method} | {' | '.join(cells)} | {seconds:.2f} |")
    return "\n".join(lines)


def _cell(rows: pd.DataFrame, name: str) -> str:
    """Mean and deviation; empty where runs of before did not measure it."""
    return mean_and_deviation(rows[name]) if name in rows and rows[name].notna().all() else ""


def report(results: pd.DataFrame) -> str:
    """The tables of all selections, as Markdown."""
    parts = [f"{title}\n\n{table(results, name)}\n" for name, title in SELECTIONS.items()]
    return "\n".join(parts)


def plot(results: pd.DataFrame, path: Path) -> None:
    """Both views of quality, a line a method, best in the catalogue on top.

    Args:
        results: Rows of the CSV.
        path: Where the image goes.
    """
    import matplotlib.pyplot as plt

    names = ("AUC", "GAUC", "NDCG@20")
    keys = [METRICS[name] for name in names]
    groups = results.groupby(["selection", "method"], sort=False)
    means, spreads = (getattr(groups[keys], f)() for f in ("mean", "std"))
    order = means.loc["val_full_ndcg@20", "test_full_ndcg@20"].sort_values().index
    figure, panels = plt.subplots(
        1, 3, figsize=(11, 0.27 * len(order) + 1.5), sharey=True, layout="constrained"
    )
    places = range(len(order))
    for axes, name in zip(panels, names, strict=True):
        for selection, face in (("val_gauc", "tab:blue"), ("val_full_ndcg@20", "white")):
            key = METRICS[name]
            mean, spread = (table.loc[selection, key][order] for table in (means, spreads))
            axes.errorbar(
                mean, places, xerr=spread, fmt="o", color="tab:blue", mfc=face, ms=6, lw=1
            )
        title = "over all unseen items" if name == "NDCG@20" else "of labeled test rows"
        axes.set(xlabel=f"{name} {title}", ylim=(-0.7, len(order) - 0.3))
        axes.grid(alpha=0.3)
    panels[0].set_yticks(places, order)
    figure.suptitle(
        f"MovieLens 100K, mean and standard deviation over {results['seed'].nunique()} seeds\n"
        "filled: epoch by validation GAUC; hollow: by validation NDCG@20"
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)
