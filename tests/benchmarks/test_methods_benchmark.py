"""The comparison of methods covers every overlay, runs, and goes on where it stopped."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import pytorch_lightning as pl

import invlightning as il
from benchmarks import methods as module
from benchmarks.method_list import METHODS
from benchmarks.method_results import METRICS, SELECTIONS, table
from benchmarks.methods import StopWhenStalled, main
from tests.helpers.tiny_data import write_movielens

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_every_overlay_is_a_method_and_no_name_comes_twice():
    overlays = {method.overlay for method in METHODS}
    assert overlays == {path.name for path in (CONFIGS / "method").glob("*.yaml")}
    assert len({method.name for method in METHODS}) == len(METHODS)
    for method in METHODS:
        assert method.reference
        assert "positives" in method.labels


@pytest.mark.parametrize(
    ("name", "kind", "schedule"),
    [
        ("IDL", il.losses.InverseDualLoss, None),
        ("IG, phased", il.losses.InverseDualLoss, "phased"),
        ("IG, every batch", il.losses.InverseDualLoss, "every_batch"),
        ("naive (sampled = negative)", il.losses.NaiveNegativeLoss, None),
        ("labeled only", None, None),
    ],
)
def test_plainest_methods_are_what_they_are_called(name, kind, schedule):
    [method] = [method for method in METHODS if method.name == name]
    model, _ = method.build("--config=backbone/gmf.yaml", "--model.optimizer.lr=0.25", seed=3)
    found = model.unlabeled_criterion
    assert found is None if kind is None else type(found) is kind
    assert getattr(model, "schedule", None) == schedule
    assert isinstance(model.build_backbone(4, 5), il.backbones.GMF)
    assert model.build_optimizer(model.build_backbone(4, 5).parameters()).defaults["lr"] == 0.25


def test_a_method_with_its_own_network_keeps_it():
    """Seen to fail where the network that all methods share comes last."""
    [method] = [method for method in METHODS if method.name == "EASE"]
    model, _ = method.build("--config=backbone/gmf.yaml", "--data.batch_size=7")
    assert isinstance(model.build_backbone(4, 5), il.backbones.EASE)


def test_training_stops_when_no_selection_improves():
    callback = StopWhenStalled(patience=2)
    curves = {
        "val_auc": [0.5, 0.6, 0.6, 0.5, 0.6, 0.6],
        "val_gauc": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
        "val_full_ndcg@20": [0.3, 0.2, 0.2, 0.4, 0.4, 0.4],
    }
    stopped = []
    for epoch in range(6):
        metrics = {name: curve[epoch] for name, curve in curves.items()}
        trainer = SimpleNamespace(callback_metrics=metrics, should_stop=False)
        callback.on_validation_end(trainer, None)
        stopped.append(trainer.should_stop)
    assert stopped == [False, False, False, False, False, True]


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    write_movielens(tmp_path)
    output = tmp_path / "found" / "methods.csv"
    ran, run = [], module.run
    monkeypatch.setattr(
        module, "run", lambda method, seed, *rest: ran.append(seed) or run(method, seed, *rest)
    )
    monkeypatch.setattr(module, "quiet", lambda: None)
    given = [f"--root={tmp_path}", f"--output={output}", "--max-epochs=2", "--methods", "BPR"]
    main([*given, "--seeds=1"])
    first = output.read_text()
    main([*given, "--seeds=2"])
    assert ran == [0, 1]
    assert output.read_text().startswith(first)
    rows = pd.read_csv(output)
    assert rows.groupby("seed")["selection"].agg(set).tolist() == [set(SELECTIONS)] * 2
    assert rows[list(METRICS.values())].notna().all(axis=None)
    assert (rows["seconds_an_epoch"] > 0).all()
    assert rows["epoch"].isin([1, 2]).all()
    assert output.with_suffix(".md").read_text().count("| BPR |") == len(SELECTIONS)
    assert output.with_suffix(".png").stat().st_size > 0


class Curves(pl.Callback):
    """Keeps the validation metrics of every epoch."""

    def __init__(self):
        self.epochs = []

    def on_validation_end(self, trainer, pl_module):
        self.epochs.append({k: float(v) for k, v in trainer.callback_metrics.items()})


def test_each_selection_tests_its_own_epoch(tmp_path, monkeypatch):
    """Seen to fail where the paths are read after a test, which restores other callbacks."""
    write_movielens(tmp_path)
    curves, build = Curves(), module.quiet_trainer
    monkeypatch.setattr(
        module, "quiet_trainer", lambda epochs, callbacks: build(epochs, [*callbacks, curves])
    )
    options = ["--config=data/movielens-100k.yaml", f"--data.root={tmp_path}"]
    rows = module.run(METHODS[0], 1, [*options, "--model.optimizer.lr=0.05"], 6)
    assert [row["selection"] for row in rows] == list(SELECTIONS)
    for row in rows:
        curve = [epoch[row["selection"]] for epoch in curves.epochs]
        assert row["epoch"] == curve.index(max(curve)) + 1
    assert len({row["epoch"] for row in rows}) > 1


def test_table_averages_the_rows_of_a_selection():
    rows = [
        {"method": "m", "seed": seed, "seconds_an_epoch": 1 + seed, "selection": name}
        | dict.fromkeys(METRICS.values(), value + seed / 10)
        for seed in (0, 1)
        for name, value in (("val_gauc", 0.5), ("val_auc", 0.1))
    ]
    found = table(pd.DataFrame(rows), "val_gauc").splitlines()
    assert found[-1] == "| m |" + " 0.550 ± 0.071 |" * len(METRICS) + " 1.50 |"
