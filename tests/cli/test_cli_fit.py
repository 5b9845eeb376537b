"""The command line: fit, and what follows it."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch

import invlightning as il
from invlightning.cli import run
from tests.helpers.cli_runs import QUIET, SMALL, TINY, TINY_RUNS, metric_lines

pytestmark = TINY_RUNS


def test_fit_prints_metrics_and_paths(trained):
    assert "\nMetrics of the best checkpoint\n" in trained.out
    shown = {line.split()[0] for line in metric_lines(trained.out)}
    assert {"test_auc", "test_gauc", "test_recall@20", "test_full_ndcg@20"} <= shown
    paths = re.findall(r"^  (checkpoint|config|metrics) +(\S+)$", trained.out, re.MULTILINE)
    assert [name for name, _ in paths] == ["checkpoint", "config", "metrics"]
    assert all((trained.folder / path).is_file() for _, path in paths)
    assert all(path.startswith("runs/") for _, path in paths)
    metrics = pd.read_csv(trained.folder / paths[2][1])
    assert {"val_auc", "test_auc", "train_loss", "direction/none"} <= set(metrics.columns)


@pytest.mark.parametrize("command", ["validate", "test"])
def test_evaluation_of_a_checkpoint(command, trained, capsys):
    """The table is the one printed after ``fit``; values come from the checkpoint's weights."""
    done = run([command, f"--config={trained.config}", f"--ckpt_path={trained.checkpoint}"])
    lines = metric_lines(capsys.readouterr().out)
    assert "epoch=3" not in str(trained.checkpoint)
    if command == "test":
        assert lines == metric_lines(trained.out)
    best = trained.cli.trainer.checkpoint_callback.best_model_score
    if command == "validate":
        assert float(done.trainer.callback_metrics["val_auc"]) == pytest.approx(float(best))
        assert f"{float(best):.4f}" in lines[0]


def test_checkpoint_decides_about_hyper_parameters_of_evaluation(trained, capsys):
    """Even about the class: the config of another method evaluates the same model."""
    args = [*TINY, *QUIET, "--data.meta_fraction=0.1", f"--ckpt_path={trained.checkpoint}"]
    done = run(["test", "--config=bce_ncf.yaml", *args])
    assert type(done.model) is il.InverseGradientRecommender
    assert metric_lines(capsys.readouterr().out) == metric_lines(trained.out)


def test_predict_writes_raw_ids(trained, capsys):
    args = [f"--config={trained.config}", f"--ckpt_path={trained.checkpoint}"]
    done = run(["predict", *args, "--data.predict_users=[7, 3]"])
    path = Path(done.trainer.log_dir, "predictions.csv")
    data = done.datamodule.interactions
    seen = (data.user_ids.decode(data.users), data.item_ids.decode(data.items))
    expected = il.load(trained.checkpoint).recommend([7, 3], seen=seen)
    pd.testing.assert_frame_equal(pd.read_csv(path), expected, check_dtype=False)
    assert done.trainer.predict_loop.predictions == []  # nothing piles up in memory
    out = capsys.readouterr().out
    assert f"  {len(expected)} recommendations  {path}" in out
    assert "differ" not in out
    assert out.splitlines()[1].split() == ["user", "item", "rank", "score"]


def test_predict_takes_evaluation_arguments(trained, capsys):
    """How many items to recommend is no matter of the checkpoint; the rest is, and that is said."""
    args = [f"--config={trained.config}", f"--ckpt_path={trained.checkpoint}"]
    done = run(
        ["predict", *args, "--model.top_k=3", "--model.inner_lr=9", "--data.predict_users=[7]"]
    )
    assert len(pd.read_csv(Path(done.trainer.log_dir, "predictions.csv"))) == 3
    assert done.model.inner_lr == 1e-3
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"Hyper-parameters that differ from {trained.checkpoint}, which decides:",
        "  model.inner_lr: 9.0 -> 0.001",
    ]


def test_predict_refuses_unknown_users(trained):
    args = [f"--config={trained.config}", f"--ckpt_path={trained.checkpoint}"]
    with pytest.raises(ValueError, match=r"1 of 2 user ids are unknown \(99\): 30 users are known"):
        run(["predict", *args, "--data.predict_users=[3, 99]"])


def test_fast_dev_run_tests_what_it_has(capsys):
    Path("config.yaml").write_text("of an earlier run")
    run(["fit", "--config=bce_ncf.yaml", *SMALL, "--trainer.fast_dev_run=true"])
    out = capsys.readouterr().out
    assert "Metrics of the final weights" in out
    assert "config.yaml" not in out


def test_same_command_twice_gives_the_same_weights():
    args = ["fit", "--config=ig_ncf.yaml", *SMALL, "--trainer.max_epochs=1"]
    first, second = (run(args).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_an_untrained_model_is_used_on_demand_only(command, capsys):
    """Seen to fail without the check: an untrained model was evaluated, with exit code 0."""
    args = [command, "--config=ig_ncf.yaml", *TINY, *QUIET, "--model.backbone=GMF"]
    with pytest.raises(
        ValueError, match=rf"{command} without --ckpt_path would use a model that was"
    ):
        run(args)
    done = run([*args, "--untrained=true", "--data.predict_users=[3]"])
    assert done.model.backbone is not None
