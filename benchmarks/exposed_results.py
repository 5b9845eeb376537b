"""Tables and the picture of :mod:`benchmarks.exposed`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.resumable import mean_and_deviation

CONTROL = "labeled only"
RIVAL = "naive, weight 0.1"  # leads what ignores exposed rows
IG = "entire space + IG"
COMPARED = ("entire space", "entire space + IDL", "entire space + Direct")  # against IG
BRIEF_ARMS = (CONTROL, RIVAL, "IDL on exposed", "IG on exposed", "entire space", IG)
BRIEF_SHARES = (0.03, 0.1)
SHOWN = {
    "test_auc": "AUC",
    "test_gauc": "GAUC",
    "test_ndcg": "NDCG@20",
    "annotation_auc": "annotation AUC",
}


def report(rows: pd.DataFrame, best: pd.DataFrame, arms: Sequence[str]) -> str:
    """A table for each share of the labels: means, deviations and paired differences.

    Args:
        rows: All runs.
        best: The chosen setting of each arm and share.
        arms: Names of the arms, in the order of the tables.

    Returns:
        Markdown.
    """
    merged = chosen_runs(rows, best)
    merged = merged.sort_values("arm", key=lambda names: names.map(list(arms).index), kind="stable")
    parts = [_table(share, group) for share, group in merged.groupby("share", sort=True)]
    return "\n\n".join(parts)


def chosen_runs(rows: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """The runs of the chosen settings, at the usual length of the inner step."""
    merged = rows.merge(best[["arm", "share", "l2", "lr"]], on=["arm", "share", "l2", "lr"])
    return merged[merged.inner_lr == merged.inner_lr.mode()[0]]


def brief_report(rows: pd.DataFrame, best: pd.DataFrame) -> str:
    """One table for the README: both views of some arms, where few labels are left.

    Args:
        rows: All runs.
        best: The chosen setting of each arm and share.
    """
    groups = chosen_runs(rows, best).groupby(["arm", "share"])
    head = [f"{name}, {share:.0%}" for name in ("AUC", "NDCG@20") for share in BRIEF_SHARES]
    lines = ["| arm | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for arm in BRIEF_ARMS:
        cells = [
            mean_and_deviation(groups.get_group((arm, share))[metric])
            for metric in ("test_auc", "test_ndcg")
            for share in BRIEF_SHARES
        ]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _table(share: float, rows: pd.DataFrame) -> str:
    auc = {arm: group.set_index("seed").test_auc for arm, group in rows.groupby("arm")}
    head = [*SHOWN.values(), f"AUC - {CONTROL}", f"AUC - {RIVAL}", "L2", "learning rate", "epoch"]
    lines = [
        f"### {share:.0%} of the labels",
        "",
        "| arm | " + " | ".join(head) + " |",
        "|---" * (len(head) + 1) + "|",
    ]
    for arm, group in rows.groupby("arm", sort=False):
        cells = [mean_and_deviation(group[name]) for name in SHOWN]
        for other in (CONTROL, RIVAL):
            cells.append("" if arm == other else difference(auc[arm], auc[other]))
        first = group.iloc[0]
        cells += [f"{first.l2:g}", f"{first.lr:g}", f"{group.epoch.median():.0f}"]
        shown = [cell.replace("nan ± nan", "") for cell in cells]
        lines.append(f"| {arm} | " + " | ".join(shown) + " |")
    gains = [f"{difference(auc[IG], auc[c])} over {c}" for c in COMPARED if {IG, c} <= set(auc)]
    if gains:
        lines += ["", f"AUC of {IG}: {'; '.join(gains)}."]
    return "\n".join(lines)


def difference(ours: pd.Series, theirs: pd.Series) -> str:
    """Mean and deviation of a difference paired by seed, in points of AUC.

    Args:
        ours: AUC by seed.
        theirs: AUC of another arm by seed.
    """
    points = 100 * (ours - theirs)
    return f"{points.mean():+.2f} ± {points.std():.2f}"


def plot_lengths(rows: pd.DataFrame, folder: Path) -> None:
    """Draws AUC against the length of the inner step, and what inverse gradients chose below.

    Args:
        rows: Runs of ``Direct`` and of inverse gradients at several lengths.
        folder: Where the PNG goes.
    """
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(6.5, 5.5), sharex=True, height_ratios=[2, 1], layout="constrained"
    )
    labels = {
        "entire space + Direct": "always followed (Direct)",
        "entire space + IG": "inverse gradient (chooses)",
    }
    for (arm, label), color in zip(labels.items(), ("#b2182b", "#2166ac"), strict=True):
        found = rows[rows.arm == arm].groupby("inner_lr").test_auc
        mean, deviation = found.mean(), found.std()
        above.plot(mean.index, mean, marker="o", label=label, color=color)
        above.fill_between(mean.index, mean - deviation, mean + deviation, alpha=0.2, color=color)
    above.set(ylabel="test AUC of labeled rows", title="MovieLens 100K, 10 % of the labels")
    above.legend()
    shares = rows[rows.arm == "entire space + IG"].groupby("inner_lr")[
        ["none", "inverse", "direct"]
    ]
    below.stackplot(
        shares.mean().index,
        shares.mean().T,
        labels=["none", "inverse", "direct"],
        colors=["#d9d9d9", "#f4a582", "#92c5de"],
    )
    below.set(xscale="log", xlabel="length of the inner step", ylabel="share of steps", ylim=(0, 1))
    below.legend(loc="lower left")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.savefig(folder / "exposed_lengths.png", dpi=150)
    plt.close(figure)
