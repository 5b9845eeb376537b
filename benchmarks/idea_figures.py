"""Draws the pictures of the site and of the README: ``python -m benchmarks.idea_figures``.

Curves are computed by the package, points are those of the published results. The pictures have no
ground and grey axes, so that they can be read on light and dark pages.
"""

import argparse
import logging
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import invlightning as il
from benchmarks.exposed import chosen
from benchmarks.exposed_results import chosen_runs
from benchmarks.pages import ROOT
from benchmarks.risk_curves import risk_curves
from invlightning.losses.functional import inverse_dual_weights

FIGURES = ROOT / "docs" / "figures"
LIFTED = {
    "IG, phased": 8,
    "labeled only": -9,
    "sampled softmax": 6,
    "SRNS": -12,
}  # names that would meet
RESULTS = ROOT / "benchmarks" / "results"
BLUE, ORANGE, GREY, GREEN = "#3b8bd0", "#e08a2e", "#808080", "#2f9e77"
STYLE = {
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.titlecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.labelcolor": GREY,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.transparent": True,
    "svg.hashsalt": "invlightning",
    "font.size": 10,
}


def draw_feedback(axes: Any) -> None:
    """What became of the pairs of some users and items of the synthetic data."""
    data = il.SyntheticDataModule(
        num_users=14, num_items=22, interactions_per_user=3, exposed_per_user=6, seed=3
    )
    data.setup()
    table = data.rows.interactions
    labels = np.asarray(table.labels)
    kinds = {
        "liked": (labels == 1, GREEN, "P"),
        "disliked": (labels == 0, ORANGE, "X"),
        "exposed: seen, not judged": (~np.isin(labels, (0, 1)), BLUE, "s"),
    }
    known = np.zeros((14, 22), dtype=bool)
    known[table.users, table.items] = True
    axes.scatter(*np.nonzero(~known)[::-1], s=3, color=GREY, alpha=0.5, label="never met")
    for name, (rows, color, marker) in kinds.items():
        axes.scatter(
            table.items[rows], table.users[rows], s=34, color=color, marker=marker, label=name
        )
    users = np.arange(14)
    drawn = [np.random.default_rng(user).choice(np.nonzero(~known[user])[0]) for user in users]
    axes.scatter(drawn, users, s=52, facecolors="none", edgecolors=GREY, label="drawn of these")
    axes.set(xticks=[], yticks=[], xlabel="items", ylabel="users", title="Feedback of a feed")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2, fontsize=8)


def draw_annotation(axes: Any, prior: bool = True) -> None:
    """The weight of the positive label against what the model believes."""
    logits = torch.linspace(-4, 4, 401)
    probability = logits.sigmoid()
    axes.plot(probability, probability, color=GREY, linestyle=":", label="what the model believes")
    axes.plot(probability, inverse_dual_weights(logits), color=BLUE, label="IDL")
    if prior:
        held = inverse_dual_weights(logits, prior=0.2)
        axes.plot(probability, held, color=GREEN, linestyle="--", label="IDL, prior 0.2")
    axes.plot(probability, 0 * logits, color=ORANGE, label="sampled as a negative")
    axes.set(
        xlabel="p, probability of a like", ylabel="soft label w⁺", title="IDL annotates these rows"
    )
    axes.legend(loc="upper left", fontsize=8)


def draw_pull(axes: Any) -> None:
    """The gradient in the logit: which way a pair is moved."""
    logits = torch.linspace(-5, 5, 401)
    probability = logits.sigmoid()
    axes.plot(logits, probability - inverse_dual_weights(logits), color=BLUE, label="IDL: p - w⁺")
    axes.plot(logits, probability, color=ORANGE, label="negative: p")
    axes.plot(logits, probability - 1, color=GREEN, label="positive: p - 1")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="logit s", ylabel="gradient in s", title="Where a row is pulled")
    axes.legend(loc="upper left", fontsize=8)


def draw_risks(axes: Any, curves: list[list[float]], steps: torch.Tensor) -> None:
    """One direction each way: where the labeled risk of a batch is least, the step goes."""
    chosen = {"direct": [1.0, GREEN], "none": [0.0, GREY], "inverse": [-1.0, ORANGE]}
    at = {name: int((steps - place).abs().argmin()) for name, (place, _) in chosen.items()}
    kept = [min(chosen, key=lambda name: curve[at[name]]) for curve in curves]
    for name, (_, color) in chosen.items():
        mine = [curve for curve, own in zip(curves, kept, strict=True) if own == name]
        for number, curve in enumerate(mine[:6]):
            label = f"{name} is kept" if number == 0 else None
            axes.plot(steps, curve, color=color, alpha=0.7, linewidth=1, label=label)
            axes.plot(steps[at[name]], curve[at[name]], "o", color=color, markersize=4)
    axes.set(
        xticks=[-1, 0, 1],
        xticklabels=["inverse", "none", "direct"],
        ylabel="labeled risk, minus that of none",
        title="IG tries their step both ways",
    )
    axes.legend(loc="upper center", fontsize=8)


def draw_views(axes: Any) -> None:
    """Every method of the published comparison, by both views of quality."""
    rows = pd.read_csv(RESULTS / "methods_ml100k.csv")
    means = rows[rows.selection == "val_gauc"].groupby("method")[["test_gauc", "test_full_ndcg@20"]]
    shown = {
        "labeled only": ORANGE,
        "naive, weight 0.1": ORANGE,
        "naive (sampled = negative)": ORANGE,
        "IDL": BLUE,
        "IDL, prior 0.1, weight 0.3": BLUE,
        "IG, phased": BLUE,
        "sampled softmax": GREEN,
        "SRNS": GREEN,
        "BPR": GREEN,
    }
    for name, (gauc, ndcg) in means.mean().iterrows():
        axes.plot(gauc, ndcg, "o", color=shown.get(str(name), GREY), markersize=6)
        if name in shown:
            axes.annotate(
                str(name),
                (gauc, ndcg),
                xytext=(6, LIFTED.get(str(name), 3)),
                textcoords="offset points",
                fontsize=8,
            )
    axes.set(
        xlabel="GAUC of labeled test rows",
        ylabel="NDCG@20 over all unseen items",
        xlim=(None, 0.79),
        title="MovieLens 100K: no method leads both views",
    )


def draw_space(panels: Any) -> None:
    """The comparison on exposed rows, where few labels are left, in both views."""
    rows = pd.read_csv(RESULTS / "exposed_ml100k.csv")
    arms = ("labeled only", "naive, weight 0.1", "IDL on exposed", "entire space",
            "entire space + IG")  # fmt: skip
    runs = chosen_runs(rows, chosen(rows)).groupby(["arm", "share"])
    views = {"test_auc": "AUC", "test_ndcg": "NDCG@20"}
    for axes, metric in zip(panels, views, strict=True):
        for share, color, shift in ((0.03, BLUE, -0.2), (0.1, GREEN, 0.2)):
            found = [runs.get_group((arm, share))[metric] for arm in arms]
            axes.barh(
                np.arange(len(arms)) + shift,
                [values.mean() for values in found],
                0.36,
                xerr=[values.std() for values in found],
                color=color,
                ecolor=GREY,
                label=f"{share:.0%} of the labels",
            )
        axes.set(xlabel=views[metric], yticks=range(len(arms)), yticklabels=arms)
        axes.invert_yaxis()
    panels[0].set_xlim(0.6, None)
    panels[1].set_yticklabels([])
    panels[1].legend(fontsize=8)


def draw_all(folder: Path) -> None:
    """Draws every picture into a folder."""
    import matplotlib.pyplot as plt

    steps = torch.linspace(-1.5, 1.5, 31)
    curves = risk_curves(steps)
    make = partial(plt.subplots, layout="constrained")
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        pictures = {}
        pictures["overview"], (left, middle, right) = make(1, 3, figsize=(11, 3.9))
        draw_feedback(left)
        draw_annotation(middle, prior=False)
        draw_risks(right, curves, steps)
        pictures["feedback"], axes = make(figsize=(6, 4.6))
        draw_feedback(axes)
        pictures["idl"], (left, right) = make(1, 2, figsize=(9, 3.6))
        draw_annotation(left)
        draw_pull(right)
        pictures["ig"], axes = make(figsize=(6, 3.8))
        draw_risks(axes, curves, steps)
        pictures["two_views"], axes = make(figsize=(7, 4.4))
        draw_views(axes)
        pictures["entire_space"], panels = make(1, 2, figsize=(8, 3.4))
        draw_space(panels)
        for name, picture in pictures.items():
            picture.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(picture)


def main(arguments: list[str] | None = None) -> None:
    """Draws the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=FIGURES, help="folder of the pictures")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is", FutureWarning)
    draw_all(options.output)


if __name__ == "__main__":
    main()
