"""Checkpoints from Python and from the command line reload by one function, safely."""

import io
import pickle
import sys
import zipfile
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.cli import run
from invlightning.loading import read_checkpoint
from tests.helpers.cli_runs import QUIET
from tests.helpers.trainers import make_trainer

SIZES = {"num_users": 30, "num_items": 40, "interactions_per_user": 20, "batch_size": 64}

pytestmark = pytest.mark.filterwarnings("ignore:.* of the unlabeled rows are annotated")


def train_in_python():
    model = il.InverseGradientRecommender(
        backbone=partial(il.backbones.GMF, embedding_dim=4),
        unlabeled_loss=il.losses.InverseDualLoss(prior=0.3),
        optimizer=partial(torch.optim.Adam, lr=2e-3, fused=True),
        inner_lr=1e-3,
    )
    trainer = make_trainer(max_epochs=1, enable_checkpointing=True)
    pl.seed_everything(42, verbose=False)
    trainer.fit(model, il.SyntheticDataModule(**SIZES))
    return model, trainer.checkpoint_callback.best_model_path


def train_on_command_line():
    given = ["--trainer.max_epochs=1", "--trainer.logger=false", *QUIET]
    given += [f"--data.{name}={value}" for name, value in SIZES.items()]
    given += ["--model.backbone=GMF", "--model.backbone.embedding_dim=4"]
    given += ["--model.unlabeled_loss.prior=0.3"]
    with redirect_stdout(io.StringIO()):
        done = run(["fit", "--config=ig_ncf.yaml", *given])
    return done.model, done.trainer.checkpoint_callback.best_model_path


WAYS = {"python": train_in_python, "command line": train_on_command_line}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [str, Path])
def test_reloads_with_equal_predictions(way, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, path = WAYS[way]()
    loaded = il.load(kind(path), map_location="cpu")
    assert type(loaded) is il.InverseGradientRecommender
    assert loaded.unlabeled_criterion.prior == 0.3
    assert loaded.inner_lr == 1e-3
    pd.testing.assert_frame_equal(loaded.recommend([3, 7], {}), model.recommend([3, 7], {}))
    with torch.no_grad():
        pairs = torch.arange(30), torch.arange(30)
        assert torch.equal(loaded(*pairs), model(*pairs))
    assert torch.load(path, weights_only=True)["hyper_parameters"]["_class_path"]


def test_loaded_for_use_and_for_more_training(tmp_path):
    """In evaluation mode, where dropout is off, until a Trainer fits it."""
    backbone = partial(il.backbones.NeuMF, embedding_dim=4, dropout=0.5)
    trainer = make_trainer(tmp_path, max_epochs=1)
    data = il.SyntheticDataModule(**SIZES)
    trainer.fit(il.Recommender(backbone), data)
    loaded = il.load(trainer.checkpoint_callback.best_model_path)
    assert not any(part.training for part in loaded.modules())
    pairs = torch.arange(30), torch.arange(30)
    assert torch.equal(loaded(*pairs), loaded(*pairs))
    modes = []
    watch = pl.callbacks.LambdaCallback(
        on_train_batch_start=lambda trainer, module, *_: modes.append(module.backbone.training)
    )
    make_trainer(max_epochs=1, callbacks=[watch]).fit(loaded, data)
    assert modes
    assert all(modes)


def test_both_ways_give_the_same_weights(tmp_path, monkeypatch):
    states = []
    for way, train in WAYS.items():
        (tmp_path / way).mkdir()
        monkeypatch.chdir(tmp_path / way)
        states.append(il.load(train()[1]).state_dict())
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


class Local(pl.LightningModule):
    """A module that knows nothing of the package."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 1)


def save(path, **content):
    checkpoint = {"state_dict": {}, "pytorch-lightning_version": pl.__version__, **content}
    torch.save(checkpoint, path)
    return path


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*best\.ckpt: give the path"):
        il.load(tmp_path / "best.ckpt")
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        il.load(tmp_path)


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "file.ckpt"
    for content in (b"", b"words\n", bytes(range(256)) * 9, pickle.dumps({"a": 1})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"file\.ckpt is not a checkpoint: give a \.ckpt file"):
            il.load(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.txt", "b")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        il.load(path)
    for weights in (torch.ones(3), {"weight": torch.ones(3)}):
        torch.save(weights, path)
        with pytest.raises(ValueError, match="holds weights but no checkpoint of a Trainer"):
            il.load(path)


def test_code_in_a_checkpoint_is_refused(tmp_path):
    """And never run."""
    with pytest.raises(ValueError, match="holds Python objects, which could run code"):
        il.load(save(tmp_path / "file.ckpt", hyper_parameters={"evil": Path("x")}))


def test_class_must_be_told_and_imported(tmp_path):
    path = save(tmp_path / "file.ckpt", hyper_parameters={"width": 3})
    with pytest.raises(ValueError, match=r"does not say which class .* YourModule\.load_from"):
        il.load(path)
    unknown = {
        "_class_path": "not_imported.Mine",
        "_instantiator": "pytorch_lightning.cli.instantiate_module",
    }
    with pytest.raises(ValueError, match=r"'not_imported\.Mine'.*import the module that defines"):
        il.load(save(path, hyper_parameters=unknown))
    assert "not_imported" not in sys.modules


def test_foreign_checkpoint_is_read(tmp_path):
    trainer = make_trainer(max_epochs=1, enable_checkpointing=True)
    trainer.strategy.connect(Local())
    trainer.save_checkpoint(tmp_path / "file.ckpt")
    assert set(read_checkpoint(tmp_path / "file.ckpt")["state_dict"]) == {"net.weight", "net.bias"}
