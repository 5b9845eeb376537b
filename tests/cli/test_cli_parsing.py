"""The command line: how arguments and configs are read."""

import textwrap
from pathlib import Path

import pytest
import torch
import yaml

import invlightning as il
from invlightning.cli import run
from tests.helpers.cli_runs import QUIET, TINY, TINY_RUNS, metric_lines, printed_config, rejected

pytestmark = TINY_RUNS


def test_print_config_can_be_fed_back(capsys):
    first = printed_config(capsys, "--config=ig_ncf.yaml", "--config=data/coat.yaml")
    assert first["data"]["class_path"] == "invlightning.CoatDataModule"
    assert first["trainer"]["logger"][0]["init_args"]["save_dir"] == "runs"
    Path("mine.yaml").write_text(yaml.safe_dump(first))
    assert printed_config(capsys, "--config=mine.yaml") == first


def test_class_names_without_any_config(capsys):
    done = run(
        [
            *("fit", "--model=InverseGradientRecommender", "--model.backbone=GMF"),
            *("--data=SyntheticDataModule", *TINY, *QUIET, "--trainer.max_epochs=1"),
        ]
    )
    assert type(done.model) is il.InverseGradientRecommender
    assert type(done.model.backbone) is il.backbones.GMF
    assert metric_lines(capsys.readouterr().out)


def test_configs_compose(capsys):
    Path("mine.yaml").write_text(
        textwrap.dedent("""
        trainer:
          callbacks+:
            class_path: pytorch_lightning.callbacks.EarlyStopping
            init_args: {monitor: val_auc, mode: max}
        model:
          class_path: invlightning.Recommender
        """)
    )
    given = ("ig_ncf.yaml", "backbone/gmf.yaml", "data/coat.yaml", "mine.yaml")
    config = printed_config(capsys, *(f"--config={name}" for name in given), "--data.root=here")
    callbacks = [
        callback["class_path"].split(".")[-1] for callback in config["trainer"]["callbacks"]
    ]
    assert callbacks[0] == "ModelCheckpoint"
    assert callbacks[-1] == "EarlyStopping"
    assert config["model"]["class_path"] == "invlightning.Recommender"
    arguments = config["model"]["init_args"]
    assert arguments["backbone"]["class_path"] == "invlightning.backbones.GMF"
    assert arguments["optimizer"]["init_args"]["lr"] == 0.002
    assert "inner_lr" not in arguments
    assert config["data"]["init_args"]["root"] == "here"
    assert config["data"]["init_args"]["meta_fraction"] == 0.1


@pytest.mark.parametrize(
    ("switch", "name", "expected"),
    [
        (["--model.optimizer=torch.optim.AdamW"], "optimizer", {"weight_decay": 0.01, "lr": 0.002}),
        (["--model.optimizer=Adagrad"], "optimizer", {"eps": 1e-10, "lr": 0.002}),
        (["--model.backbone=MLP"], "backbone", {"num_layers": 3, "embedding_dim": 32}),
        (["--model.unlabeled_loss=NaiveNegativeLoss"], "unlabeled_loss", {"weight": 1.0}),
    ],
)
def test_no_default_leaks_into_another_class(switch, name, expected, capsys):
    """What the base config says is kept, what it leaves out is the default of the new class."""
    config = printed_config(capsys, "--config=ig_ncf.yaml", *switch)
    given = config["model"]["init_args"][name]["init_args"]
    assert {key: given[key] for key in expected} == expected
    assert "temperature" not in given
    assert "betas" not in given or "AdamW" in switch[0]


def test_optimizer_has_its_own_defaults_in_the_model():
    args = ["--model=Recommender", "--model.backbone=GMF", "--model.optimizer=AdamW"]
    done = run(
        ["fit", *args, "--data=SyntheticDataModule", *TINY, *QUIET, "--trainer.fast_dev_run=true"]
    )
    group = done.trainer.optimizers[0].param_groups[0]
    assert (group["weight_decay"], group["lr"]) == (0.01, 1e-3)


UNKNOWN = {
    "model": ["--model.inner_lrr=1"],
    "backbone": ["--model.backbone.embeding_dim=3"],
    "loss": ["--model.unlabeled_loss.wait=3"],
    "data": ["--data.batchsize=3"],
    "trainer": ["--trainer.max_epok=3"],
}


@pytest.mark.parametrize("where", UNKNOWN)
def test_unknown_option(where, capsys):
    message = rejected(capsys, "--config=ig_ncf.yaml", *UNKNOWN[where])
    assert UNKNOWN[where][0].split(".")[-1].split("=")[0] in message
    assert len(message.splitlines()) < 20


def test_unknown_key_in_a_config(capsys):
    Path("mine.yaml").write_text("model: {init_args: {inner_rate: 3}}")
    assert "inner_rate" in rejected(capsys, "--config=ig_ncf.yaml", "--config=mine.yaml")


@pytest.mark.parametrize("key", ["model", "model.backbone", "model.unlabeled_loss", "data"])
def test_misspelt_class(key, capsys):
    assert "NeuMFF" in rejected(capsys, "--config=ig_ncf.yaml", f"--{key}=NeuMFF")


def test_nothing_given(capsys):
    assert "arguments are required: fit.data, fit.model" in rejected(capsys)
    with pytest.raises(SystemExit):
        run([])
    assert "{fit,validate,test,predict}" in capsys.readouterr().err


HELP = {
    ("--help",): ["invlightning.Recommender", "invlightning.MovieLensDataModule", "--trainer."],
    ("--model.help=InverseGradientRecommender",): [
        "Length of the inner step",
        "invlightning.backbones.NeuMF",
        "invlightning.losses.InverseDualLoss",
    ],
    ("--model=Recommender", "--model.backbone.help=NeuMF"): [
        "Neural matrix factorization",
        "Number of features that each part gives to the output",
    ],
    ("--data.help=MovieLensDataModule",): [
        "latest-small",
        "A rating above it is a true positive",
        "invlightning.data.PopularitySampler",
    ],
}


@pytest.mark.parametrize("args", HELP, ids=lambda args: args[-1])
def test_help_shows_docstrings_and_known_classes(args, capsys):
    with pytest.raises(SystemExit) as stop:
        run(["fit", *args])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(words in text for words in HELP[args])
    assert "demos" not in text


def test_version_is_one_line_with_what_a_report_needs(capsys):
    with pytest.raises(SystemExit) as stopped:
        run(["--version"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert il.__version__ in out
    assert f"torch {torch.__version__}" in out


def test_root_directory_decides_where_a_run_writes(tmp_path, monkeypatch):
    """It was ignored: logs and checkpoints went to runs/."""
    monkeypatch.chdir(tmp_path)
    args = ["--config=bce_ncf.yaml", *TINY, *QUIET, "--trainer.max_epochs=1"]
    cli = run(["fit", *args, "--trainer.default_root_dir=elsewhere"])
    assert cli.trainer.log_dir.startswith("elsewhere/")
    assert cli.trainer.checkpoint_callback.best_model_path.find("elsewhere/") >= 0
    assert not (tmp_path / "runs").exists()
