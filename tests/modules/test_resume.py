"""Training that stops and goes on gives the weights of training that never stopped, exactly."""

import multiprocessing
import os
import signal
from functools import cache, partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Checkpoint,
    EMAWeightAveraging,
    ModelCheckpoint,
    OnExceptionCheckpoint,
)
from pytorch_lightning.strategies import DDPStrategy

import invlightning as il
from tests.helpers.forms import ADAM, FORMS, assert_equal, fit, make_data
from tests.helpers.trainers import make_trainer

pytestmark = [
    pytest.mark.resume,
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning"),
    pytest.mark.filterwarnings("ignore:`.fit.ckpt_path=None.` was called without a model"),
    pytest.mark.filterwarnings("ignore:.*there is no last checkpoint available"),
]

EPOCHS, BATCHES = 3, 8  # 512 rows in batches of 64, six supervised and two of the meta part

ARGUMENTS = {
    "backbone": partial(il.backbones.MLP, embedding_dim=4, dropout=0.3),
    "lr_scheduler": partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.7),
}


def run(form, callbacks=(), ckpt_path=None, arguments=None, **flags):
    """A run with dropout, drawn items, a learning-rate schedule and a loss that starts late."""
    loss = il.losses.InverseDualLoss(start_epoch=1)
    arguments = {**ARGUMENTS, "unlabeled_loss": loss, **(arguments or {})}
    limits = {} if {"max_steps", "max_epochs"} & flags.keys() else {"max_epochs": EPOCHS}
    data = make_data(batch_size=64 // flags.get("devices", 1))
    saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
    flags = {**limits, "enable_checkpointing": saves, "num_sanity_val_steps": 0, **flags}
    return fit(form, data, arguments, callbacks, ckpt_path, **flags)


@cache
def uninterrupted(form):
    return run(form)[0]


def every_step(folder):
    return ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)


def resumed(form, path, **settings):
    """Goes on from a checkpoint, from another random state than it was written in."""
    torch.manual_seed(99)
    return run(form, ckpt_path=path, **settings)[0]


@pytest.mark.parametrize("form", FORMS)
def test_stop_after_any_step(form, tmp_path):
    """Seen to fail with unseeded dropout, and if the loss is not told the epoch on resuming."""
    whole, _ = run(form, [every_step(tmp_path)])
    for step in (1, 5, 7, 8, 10, 16, 22):
        assert_equal(resumed(form, tmp_path / f"step={step}.ckpt"), whole)


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model")
def test_averages_go_on(tmp_path):
    whole, _ = run("mixin", [EMAWeightAveraging(decay=0.9), every_step(tmp_path)])
    for step in (5, 8, 10):
        path = tmp_path / f"step={step}.ckpt"
        again, _ = run("mixin", [EMAWeightAveraging(decay=0.9)], path)
        assert_equal(again, whole)


class Save(pl.Callback):
    """Writes a checkpoint by hand after some batches of the first epoch."""

    def __init__(self, folder, batches):
        self.folder, self.batches = folder, batches

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 0 and batch_idx + 1 in self.batches:
            trainer.save_checkpoint(self.folder / f"{batch_idx + 1}.ckpt")


@pytest.mark.parametrize("form", ["idl", "mixin", "callback"])
def test_stop_within_an_accumulation_window(form, tmp_path):
    """Seen to fail when the accumulated gradients are not part of the checkpoint."""
    settings = {"accumulate_grad_batches": 3, "max_epochs": 2}
    whole, _ = run(form, [Save(tmp_path, (1, 3, 7, 8))], **settings)
    for batch in (1, 3, 7, 8):
        assert_equal(resumed(form, tmp_path / f"{batch}.ckpt", **settings), whole)


@pytest.mark.ddp
def test_a_window_cannot_be_saved_on_two_processes(tmp_path):
    strategy = DDPStrategy(start_method="fork")
    with pytest.raises(Exception, match="holds the gradients of the first process only"):
        run(
            "mixin",
            [Save(tmp_path, (1,))],
            accumulate_grad_batches=3,
            devices=2,
            strategy=strategy,
        )


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize("limit", [{"max_steps": 20}, {"max_epochs": EPOCHS}], ids=str)
def test_stop_at_the_end_of_an_epoch(form, limit, tmp_path):
    """With max_steps seen to fail without the repair: an empty epoch, an order left out."""
    ends = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1)
    whole, trainer = run(form, [ends], **limit)
    for step in (BATCHES, 2 * BATCHES):
        again, other = run(form, ckpt_path=tmp_path / f"step={step}.ckpt", **limit)
        assert_equal(again, whole)
        assert (other.current_epoch, other.global_step) == (
            trainer.current_epoch,
            trainer.global_step,
        )


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_stop_after_a_validation(form, tmp_path):
    ends = ModelCheckpoint(
        tmp_path, filename="{step}", save_top_k=-1, save_on_train_epoch_end=False
    )
    whole, _ = run(form, [ends], val_check_interval=4)
    for step in (4, 8, 12):
        path = tmp_path / f"step={step}.ckpt"
        assert_equal(resumed(form, path, val_check_interval=4), whole)


class StopAt(pl.Callback):
    """Asks the trainer to stop within the second epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.current_epoch == 1 and batch_idx == 2


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize("last", [11, 16, None], ids=["steps", "epoch", "should_stop"])
def test_a_run_that_was_too_short_goes_on(form, last, tmp_path):
    """Seen to fail without the repair: what is left of the epoch is skipped."""
    whole, _ = run(form, max_steps=20)
    callbacks, flags = ([], {"max_steps": last}) if last else ([StopAt()], {"max_steps": 20})
    _, trainer = run(form, callbacks, **flags)
    trainer.save_checkpoint(tmp_path / "short.ckpt")
    assert trainer.global_step == (last or 11)
    assert_equal(resumed(form, tmp_path / "short.ckpt", max_steps=20), whole)


class Fail(pl.Callback):
    """Raises as soon as a batch has arrived."""

    def __init__(self, *place):
        self.place = place

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.place:
            raise ConnectionError


class BrokenLoss(il.losses.BinaryCrossEntropy):
    """Fails at the given call: while a candidate is being judged."""

    def __init__(self, call):
        super().__init__()
        self.call, self.calls = call, 0

    def forward(self, logits, labels):
        self.calls += 1
        if self.calls == self.call:
            raise ConnectionError
        return super().forward(logits, labels)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", [(0, 0), (0, 3), (1, 0), (1, 7)], ids=str)
def test_an_exception_before_a_step(form, place, tmp_path):
    """Seen to fail without the repair: the batch in flight is skipped."""
    with pytest.raises(ConnectionError):
        run(form, [Fail(*place), OnExceptionCheckpoint(tmp_path)])
    assert_equal(resumed(form, tmp_path / "on_exception.ckpt"), uninterrupted(form))


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_an_exception_while_candidates_are_judged(form, tmp_path):
    """Seen to fail (weights of a candidate are saved) if the engine does not step back."""
    # Six supervised batches call the loss once each, the two of the meta part four times.
    broken = {"labeled_loss": BrokenLoss((6 + 4 + 4) + (6 + 4 + 3))}
    with pytest.raises(ConnectionError):
        run(form, [OnExceptionCheckpoint(tmp_path)], arguments=broken, limit_val_batches=0)
    assert_equal(resumed(form, tmp_path / "on_exception.ckpt"), uninterrupted(form))


class Signal(pl.Callback):
    """Sends a signal to its own process after some steps."""

    def __init__(self, number, step):
        self.number, self.step = number, step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_signals(form, number, tmp_path):
    """A process of its own is ended; SIGKILL leaves the last step checkpoint behind."""
    step = 13

    def work():
        keep = [every_step(tmp_path), OnExceptionCheckpoint(tmp_path)]
        run(form, [Signal(number, step), *keep])

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == (0 if number == signal.SIGTERM else -number)
    name = "on_exception" if number == signal.SIGTERM else f"step={step}"
    assert_equal(resumed(form, tmp_path / f"{name}.ckpt"), uninterrupted(form))


@pytest.mark.ddp
@pytest.mark.parametrize("form", ["idl", "mixin", "callback"])
def test_stop_and_go_on_with_two_processes(form, tmp_path):
    """Seen to fail with unseeded dropout."""
    two = {"devices": 2}
    whole, _ = run(form, [every_step(tmp_path)], strategy=DDPStrategy(start_method="fork"), **two)
    for step in (7, 16):
        path = tmp_path / f"step={step}.ckpt"
        strategy = DDPStrategy(start_method="fork")
        assert_equal(resumed(form, path, strategy=strategy, **two), whole)


class Plateau:
    """Halves the learning rate whenever the validation loss has not become much better."""

    def configure_optimizers(self):
        optimizer = ADAM(self.parameters())
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=0, threshold=0.5
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "val_log_loss"},
        }


class PlateauIG(Plateau, il.InverseGradientRecommender):
    pass


@pytest.mark.parametrize("at_validation", [True, False])
def test_plateau_schedulers_go_on(at_validation, tmp_path):
    """Seen to fail (metric not logged) when the watched metric is not part of the checkpoint."""

    def train(callbacks=(), ckpt_path=None):
        pl.seed_everything(4, verbose=False)
        model = PlateauIG(ARGUMENTS["backbone"], inner_lr=0.02)
        trainer = make_trainer(
            max_epochs=4, callbacks=list(callbacks), enable_checkpointing=bool(callbacks)
        )
        trainer.fit(model, make_data(batch_size=64), ckpt_path=ckpt_path)
        return model, trainer.optimizers[0].param_groups[0]["lr"]

    ends = ModelCheckpoint(
        tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=not at_validation
    )
    whole, rate = train([ends])
    assert rate < 0.01
    for epoch in range(3):
        again, found = train(ckpt_path=tmp_path / f"epoch={epoch}.ckpt")
        assert_equal(again, whole)
        assert found == rate
