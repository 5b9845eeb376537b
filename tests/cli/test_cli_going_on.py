"""The command line: training goes on from a checkpoint."""

from pathlib import Path

import pytest

from invlightning.cli import run
from invlightning.cli.resuming import differences
from tests.helpers.cli_runs import SMALL, TINY_RUNS

pytestmark = TINY_RUNS


def test_resuming_keeps_to_the_command_line(trained, capsys):
    changed = ["--model.inner_lr=0.3", "--model.optimizer.lr=0.5", "--trainer.max_epochs=5"]
    done = run(["fit", f"--config={trained.config}", f"--ckpt_path={trained.checkpoint}", *changed])
    assert done.trainer.current_epoch == 5
    assert done.trainer.global_step > trained.cli.trainer.global_step
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"{trained.checkpoint}, which training goes on from:")
    assert sorted(lines[1:3]) == [
        "  model.inner_lr: 0.001 -> 0.3",
        "  model.optimizer.lr: 0.1 -> 0.5",
    ]
    assert lines[3] == ""
    assert done.model.inner_lr == 0.3
    assert done.trainer.optimizers[0].param_groups[0]["lr"] == 0.5


def test_resuming_unchanged_says_nothing(trained, capsys):
    done = run(
        [
            *("fit", f"--config={trained.config}", f"--ckpt_path={trained.checkpoint}"),
            "--trainer.max_epochs=5",
        ]
    )
    assert capsys.readouterr().out.startswith("\nMetrics of ")
    assert done.trainer.optimizers[0].param_groups[0]["lr"] == 0.1


def test_resuming_leaves_the_learning_rate_to_a_schedule(caplog):
    """A schedule goes on from where it was, whatever the optimizer starts with."""
    caplog.set_level("INFO", logger="pytorch_lightning.utilities.rank_zero")
    schedule = ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1"]
    args = ["fit", "--config=bce_ncf.yaml", *SMALL, *schedule]
    first = run([*args, "--trainer.max_epochs=1"])
    path = first.trainer.checkpoint_callback.best_model_path
    changed = ["--model.optimizer.lr=0.7", "--model.optimizer.weight_decay=0.1"]
    second = run([*args, "--trainer.max_epochs=2", f"--ckpt_path={path}", *changed])
    group = second.trainer.optimizers[0].param_groups[0]
    assert group["lr"] == pytest.approx(0.002 * 0.1**2)
    assert group["weight_decay"] == 0.1
    assert "model.optimizer.lr is not used: the schedule" in caplog.text


def test_differences_of_hyper_parameters():
    old = {
        "_class_path": "a.A",
        "_instantiator": "x",
        "loss": {"class_path": "a.Loss", "init_args": {"weight": 1.0, "start": 2}},
        "other": None,
        "num_users": 5,
        "gone": 1,
    }
    new = {
        "_class_path": "a.B",
        "_instantiator": "y",
        "loss": {"class_path": "a.Loss", "init_args": {"weight": 0.5, "start": 2}},
        "other": {"class_path": "a.Other"},
        "num_users": None,
        "added": 1,
    }
    assert list(differences(old, new)) == [
        ("model", "A", "B"),
        ("model.loss.weight", "1.0", "0.5"),
        ("model.other", "None", "Other"),
    ]
    assert list(differences(old, old)) == []
    moved = {"class_path": "a.b.Loss", "init_args": {"weight": 1.0}}
    assert list(differences(old["loss"], moved)) == []


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_bad_checkpoint_is_told_before_anything_else(command):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at nope\.ckpt"):
        run([command, "--config=bce_ncf.yaml", "--ckpt_path=nope.ckpt"])
    Path("text.ckpt").write_text("words\n")
    with pytest.raises(ValueError, match=r"text\.ckpt is not a checkpoint"):
        run([command, "--config=bce_ncf.yaml", "--ckpt_path=text.ckpt"])
