"""The command line: loggers and what is printed and written at the end."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from pytorch_lightning.callbacks import ModelCheckpoint

import invlightning as il
from invlightning.cli import loggers
from invlightning.cli.predictions import PredictionWriter
from invlightning.cli.reports import best_checkpoint, print_fit_report, print_metrics


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
