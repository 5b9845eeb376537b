"""The command line: what a person at a terminal does, sees and gets wrong."""

import contextlib
import io
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningCLI

import invlightning as il
from invlightning import cli
from invlightning.cli import run
from invlightning.command import console, loggers
from invlightning.command.predictions import PredictionWriter
from invlightning.command.reports import best_checkpoint, print_fit_report, print_metrics
from invlightning.command.resuming import differences

QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.devices=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
TINY = [
    "--data.num_users=30",
    "--data.num_items=40",
    "--data.interactions_per_user=20",
    "--data.batch_size=64",
]
SMALL = ["--model.backbone=GMF", "--model.backbone.embedding_dim=4", *TINY, *QUIET]

FAST = ["--model.optimizer.lr=0.1"]

pytestmark = pytest.mark.filterwarnings(
    "ignore:.* of the unlabeled rows are annotated",  # of a tiny epoch
    "ignore:The dirpath has changed",  # Lightning, where a run goes on in a new folder
)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Every test runs in a folder of its own and leaves ``sys.path`` as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(console.DEBUG, raising=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished ``fit``: its folder, checkpoint, config and what it printed.

    The learning rate is so high that the last epoch is not the best.
    """
    home, out = Path.cwd(), io.StringIO()
    folder = tmp_path_factory.mktemp("trained")
    os.chdir(folder)
    with contextlib.redirect_stdout(out):
        done = run(["fit", "--config=ig_ncf.yaml", *SMALL, "--trainer.max_epochs=4", *FAST])
    os.chdir(home)
    checkpoint = folder / done.trainer.checkpoint_callback.best_model_path
    config = folder / done.trainer.log_dir / "config.yaml"
    return SimpleNamespace(
        folder=folder, checkpoint=checkpoint, config=config, out=out.getvalue(), cli=done
    )


def printed_config(capsys, *args):
    """What ``--print_config`` says, read as YAML."""
    with pytest.raises(SystemExit) as stop:
        run(["fit", *args, "--print_config"])
    assert stop.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def rejected(capsys, *args):
    """The message of an argument error."""
    with pytest.raises(SystemExit) as stop:
        run(["fit", *args])
    assert stop.value.code == 2
    return capsys.readouterr().err


def metric_lines(text):
    return [
        line for line in text.splitlines() if re.match(r"  (val|test)_\S+ +-?\d+\.\d{4}$", line)
    ]


# ------------------------------------------------------------------------- fit and what follows


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
    assert f"  40 recommendations  {path}" in out
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


# ----------------------------------------------------------------------------------- going on


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


# ------------------------------------------------------------------------------------- parsing


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
        (["--model.unlabeled_loss=SampledNegativeLoss"], "unlabeled_loss", {"weight": 1.0}),
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


# ------------------------------------------------------------------------------------- console


def console_error(monkeypatch, capsys, *args):
    """What ``main`` prints about bad input."""
    monkeypatch.setattr(sys, "argv", ["invlightning", *args])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err[err.index("error:") :].splitlines()


TABLE = [
    "fit",
    "--config=ig_ncf.yaml",
    "--data=TableDataModule",
    "--data.rating_column=stars",
    *QUIET,
]


def test_input_errors_are_one_sentence(monkeypatch, capsys):
    Path("table.csv").write_text("user,item,score\n1,2,3\n")
    missing_file = console_error(monkeypatch, capsys, *TABLE, "--data.path=nope.csv")
    assert missing_file[0].startswith("error: there is no file 'nope.csv'")
    missing_column = console_error(monkeypatch, capsys, *TABLE, "--data.path=table.csv")
    assert missing_column[0].startswith("error: table.csv has no column 'stars'; its columns are")
    # The parser wraps what a constructor says.
    range_ = console_error(
        monkeypatch, capsys, *TABLE, "--data.path=x", "--data.labeled_fraction=2"
    )
    assert range_[0] == "error: labeled_fraction must be in (0, 1], got 2.0."
    config = console_error(monkeypatch, capsys, "fit", "--config=nope.yaml")
    assert config[0].startswith("error: there is no config 'nope.yaml'")
    hint = "(Set INVLIGHTNING_DEBUG=1 to see where it was raised.)"
    assert all(err[1:] == [hint] for err in (missing_file, missing_column, range_, config))


def test_traceback_on_demand(monkeypatch):
    monkeypatch.setenv(console.DEBUG, "1")
    monkeypatch.setattr(sys, "argv", ["invlightning", *TABLE, "--data.path=nope.csv"])
    with pytest.raises(FileNotFoundError):
        cli.main()


def test_errors_of_other_code_keep_their_traceback():
    for error in (ValueError("not ours"), FileNotFoundError("not ours")):
        with pytest.raises(type(error), match="not ours"), console.console():
            raise error
    with pytest.raises(RuntimeError), console.console():  # ours, but not about the input
        il.SyntheticDataModule().interactions  # noqa: B018
    with pytest.raises(KeyboardInterrupt), console.console():
        raise KeyboardInterrupt


def test_python_dash_m():
    command = [sys.executable, "-m", "invlightning", "fit", "--config", "nope.yaml"]
    path = os.pathsep.join([str(Path(il.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: there is no config 'nope.yaml'")


# --------------------------------------------------------------------------- loggers and reports


@pytest.mark.parametrize("installed", [True, False])
def test_tensorboard_where_installed(installed, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: name == "tensorboard" and installed)
    found = loggers.default_loggers()
    names = ["CSVLogger", "TensorBoardLogger"][: 1 + installed]
    assert [spec["class_path"].split(".")[-1] for spec in found] == names
    assert {spec["init_args"]["save_dir"] for spec in found} == {"runs"}


def test_reports_of_nothing(capsys):
    print_metrics([])
    assert capsys.readouterr().out == "\nNo metrics: the data has no rows for them.\n"
    print_fit_report(SimpleNamespace(interrupted=True), None, None)
    assert capsys.readouterr().out == ""


def test_best_checkpoint_out_of_reach():
    """A resumed run remembers a path of the run before, relative to where that one started."""
    callback = ModelCheckpoint()
    strategy = SimpleNamespace(broadcast=lambda path: path)
    trainer = SimpleNamespace(checkpoint_callback=callback, strategy=strategy)
    Path("here.ckpt").touch()
    for path, found in {
        "": "",
        "here.ckpt": "here.ckpt",
        "gone.ckpt": "",
        "s3://a": "s3://a",
    }.items():
        callback.best_model_path = path
        assert best_checkpoint(trainer) == found
    trainer.checkpoint_callback = None
    assert best_checkpoint(trainer) == ""


def test_metrics_of_several_loaders_are_one_table(capsys):
    print_metrics([{"test_auc": 0.5, "a": 1}, {"test_auc": 0.5, "b": 2}], "of this")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "Metrics of this",
        "  test_auc  0.5000",
        "  a         1.0000",
        "  b         2.0000",
    ]


def test_each_process_writes_its_own_predictions(tmp_path, capsys):
    trainer = SimpleNamespace(
        log_dir=str(tmp_path / "new"), world_size=2, global_rank=1, is_global_zero=False
    )
    writer = PredictionWriter()
    writer.on_predict_start(trainer, None)
    for number in (1, 2):
        writer.on_predict_batch_end(trainer, None, pd.DataFrame({"user": [number]}), None, 0)
    writer.on_predict_end(trainer, None)
    assert (tmp_path / "new" / "predictions-1.csv").read_text() == "user\n1\n2\n"
    assert capsys.readouterr().out == f"\n  2 recommendations  {tmp_path}/new/predictions-1.csv\n"
    with pytest.raises(TypeError, match=r"returned int, expected a pandas\.DataFrame"):
        writer.on_predict_batch_end(trainer, il.Recommender(il.backbones.GMF), 3, None, 0)


# --------------------------------------------------------------------------- downstream projects


def test_plain_lightning_cli(monkeypatch):
    """Another project's LightningCLI takes our classes by path."""
    Path("project.yaml").write_text(
        textwrap.dedent("""
        trainer:
          max_epochs: 1
          logger: false
          accelerator: cpu
          enable_progress_bar: false
          enable_model_summary: false
          callbacks:
            - class_path: invlightning.callbacks.DirectionMonitor
        model:
          class_path: invlightning.InverseGradientRecommender
          init_args:
            backbone: {class_path: invlightning.backbones.BiasedMF, init_args: {embedding_dim: 4}}
            optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}
            direction: sgd
        data:
          class_path: invlightning.SyntheticDataModule
          init_args: {num_users: 30, num_items: 40, interactions_per_user: 20, batch_size: 64}
        """)
    )
    monkeypatch.setattr(sys, "argv", ["project", "fit", "--config", "project.yaml"])
    done = LightningCLI(
        pl.LightningModule,
        pl.LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
    )
    assert done.trainer.current_epoch == 1
    assert type(done.model) is il.InverseGradientRecommender
    assert type(done.trainer.optimizers[0]) is torch.optim.SGD


USER_MODULE = """
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.losses import UnlabeledLoss


class Dot(il.Backbone):
    def __init__(self, num_users: int, num_items: int, width: int = 3) -> None:
        super().__init__()
        self.user = torch.nn.Embedding(num_users, width)
        self.item = torch.nn.Embedding(num_items, width)

    def forward(self, users, items):
        return (self.user(users) * self.item(items)).sum(-1)


class Shrink(UnlabeledLoss):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits):
        return self.scale * logits.square().mean()


class FirstItems(il.NegativeSampler):
    def sample(self, users, num_unlabeled, generator):
        shape = (users.numel(), num_unlabeled)
        return torch.randint(5, shape, generator=generator, device=users.device)


class Mine(il.Recommender):
    def __init__(self, bonus: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.bonus = bonus


class Plain(pl.LightningModule):
    \"\"\"No test_step, no predict_step, no data of ours.\"\"\"

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.net = torch.nn.Linear(width, 1)

    def training_step(self, batch, batch_idx):
        return self.net(torch.ones(2, 2)).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture
def user_module(monkeypatch):
    """A module file in the working directory, as a user of the console script has it."""
    name = "my_recommenders"
    Path(f"{name}.py").write_text(USER_MODULE)
    sys.path.insert(0, os.getcwd())
    yield name
    sys.modules.pop(name, None)


def test_classes_of_a_user(user_module):
    """Own backbone, loss, sampler and module, by dotted path, down to a reloaded checkpoint."""
    done = run(
        [
            *("fit", f"--model={user_module}.Mine", "--model.bonus=0.5"),
            *(f"--model.backbone={user_module}.Dot", "--model.backbone.width=2"),
            *(f"--model.unlabeled_loss={user_module}.Shrink", "--model.unlabeled_loss.scale=0.1"),
            "--data=SyntheticDataModule",
            f"--data.sampler={user_module}.FirstItems",
            *(*TINY, *QUIET, "--trainer.max_epochs=1"),
        ]
    )
    loaded = il.load(done.trainer.checkpoint_callback.best_model_path)
    assert type(loaded).__name__ == "Mine"
    assert (loaded.bonus, loaded.unlabeled_criterion.scale) == (0.5, 0.1)
    assert loaded.backbone.user.weight.shape == (30, 2)
    assert type(done.datamodule.active_sampler).__name__ == "FirstItems"
    pd.testing.assert_frame_equal(loaded.recommend([3]), done.model.recommend([3]))


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
def test_module_without_test_step(user_module, capsys):
    """Any LightningModule trains; what it cannot do is left out."""
    args = [f"--model={user_module}.Plain", "--data=SyntheticDataModule", *TINY, *QUIET]
    done = run(["fit", *args, "--trainer.max_epochs=1"])
    out = capsys.readouterr().out
    assert "Metrics" not in out
    assert f"  checkpoint  {done.trainer.checkpoint_callback.best_model_path}" in out
