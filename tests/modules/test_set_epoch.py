"""Losses are shown the data once, hear of every epoch once, and again right after a resume."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

import invlightning as il
from tests.helpers.forms import ADAM, GMF, fit, make_data
from tests.helpers.trainers import make_trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:Be aware that when using `ckpt_path`:UserWarning",
    "ignore:The dirpath has changed:UserWarning",
)


class Listening(il.losses.InverseDualLoss):
    """Notes the epochs it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = []

    def set_epoch(self, epoch):
        super().set_epoch(epoch)
        self.told.append(epoch)


class ListeningToLabels(il.losses.BinaryCrossEntropy):
    def __init__(self) -> None:
        super().__init__()
        self.told = []

    def set_epoch(self, epoch):
        self.told.append(epoch)


def told(form, callbacks=(), ckpt_path=None, **flags):
    """What the losses are told in a run of two epochs of 16 batches."""
    unlabeled, labeled = Listening(), ListeningToLabels()
    arguments = {"unlabeled_loss": unlabeled, "labeled_loss": labeled}
    flags = {"max_epochs": 2, "enable_checkpointing": bool(callbacks), **flags}
    fit(form, make_data(), arguments, callbacks, ckpt_path, **flags)
    assert unlabeled.told == labeled.told
    return unlabeled.told


@pytest.mark.parametrize("form", ["idl", "mixin", "callback"])
def test_every_epoch_once(form):
    """Seen to fail when the start of training told the first epoch, too."""
    assert told(form) == [0, 1]


@pytest.mark.resume
@pytest.mark.parametrize("form", ["idl", "mixin", "callback"])
@pytest.mark.parametrize(("step", "expected"), [(8, [0, 1]), (16, [1]), (20, [1])])
def test_again_after_a_resume(form, step, expected, tmp_path):
    """Within an epoch Lightning does not call the hook of its start."""
    saves = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1)
    told(form, [saves])
    assert told(form, ckpt_path=tmp_path / f"step={step}.ckpt") == expected


class Counting(il.Recommender):
    """Counts the starts of epochs."""

    starts = 0

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        self.starts += 1


def test_the_hook_of_a_subclass_runs_once_an_epoch():
    """Seen to fail when the start of training called it as well."""
    model = Counting(GMF, optimizer=ADAM)
    make_trainer(max_epochs=2).fit(model, make_data())
    assert model.starts == 2


class Counts(Listening):
    """Makes a tensor of the training data."""

    def start_fit(self, facts):
        self.register_buffer("counts", torch.bincount(facts.items, minlength=facts.num_items))


def test_what_a_loss_of_the_callback_made_of_the_data_moves_to_the_device():
    """Seen to fail when the loss moved before it was shown the data."""
    loss, data = Counts(), make_data()
    data.setup()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    trainer = SimpleNamespace(optimizers=[optimizer], datamodule=data)
    callback = il.callbacks.InverseGradientCallback(unlabeled_loss=loss)
    callback.on_fit_start(trainer, SimpleNamespace(device=torch.device("meta")))
    assert loss.counts.is_meta
