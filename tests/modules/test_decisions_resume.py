"""What a decision learned is part of the checkpoint, in both forms."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from pytorch_lightning.strategies import DDPStrategy

import invlightning as il
from invlightning.inverse import BatchSign, MetaWeightNet, PerExampleReweight, PerExampleSign
from invlightning.specs import to_spec
from tests.helpers.forms import OneThread, assert_equal, make_data
from tests.helpers.trainers import make_trainer

pytestmark = [
    pytest.mark.resume,
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning"),
    pytest.mark.filterwarnings("ignore:`.fit.ckpt_path=None.` was called without a model"),
    pytest.mark.filterwarnings("ignore:.*there is no last checkpoint available"),
]

# Dropout, so that a step whose random numbers depend on the history would show.
MLP = partial(il.backbones.MLP, embedding_dim=4, dropout=0.3)


def run(form, decision, callbacks=(), ckpt_path=None, seed=4, labeled_loss=None, **flags):
    pl.seed_everything(seed if ckpt_path is None else 99, verbose=False)
    settings = {"inner_lr": 0.3, "direction": "sgd", "schedule": "phased", "decision": decision}
    own, arguments = [], {"labeled_loss": labeled_loss}
    if form == "mixin":
        model = il.InverseGradientRecommender(MLP, **arguments, **settings)
    else:
        loss = il.losses.InverseDualLoss()
        model = il.Recommender(MLP, **arguments)
        own = [il.callbacks.InverseGradientCallback(**settings, unlabeled_loss=loss)]
    saves = any(isinstance(c, (ModelCheckpoint, OnExceptionCheckpoint)) for c in callbacks)
    trainer = make_trainer(
        callbacks=[OneThread(), *own, *callbacks], enable_checkpointing=saves, **flags
    )
    data = make_data(batch_size=64 // flags.get("devices", 1))
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model, trainer


def meta():
    return MetaWeightNet(hidden=8, lr=0.05)


def every_step(folder):
    return ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)


def assert_same_state(decision, other):
    assert decision.state_dict().keys() == other.state_dict().keys()
    for name, value in decision.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize("make", [meta, PerExampleSign, PerExampleReweight])
def test_stop_after_any_step(form, make, tmp_path):
    """Seen to fail (with meta) when the decision is left out of the checkpoint."""
    decision = make()
    whole, _ = run(form, decision, [every_step(tmp_path)])
    for step in (7, 8, 15):  # one and two of two meta batches an epoch
        again = make()
        assert_equal(run(form, again, ckpt_path=tmp_path / f"step={step}.ckpt")[0], whole)
        assert_same_state(again, decision)


@pytest.mark.ddp
@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_stop_and_go_on_with_two_processes(form, tmp_path):
    two = {"devices": 2}
    fork = partial(DDPStrategy, start_method="fork")
    whole, _ = run(form, meta(), [every_step(tmp_path)], strategy=fork(), **two)
    path = tmp_path / "step=7.ckpt"
    again, _ = run(form, meta(), ckpt_path=path, strategy=fork(), **two)
    assert_equal(again, whole)


class BrokenLoss(il.losses.BinaryCrossEntropy):
    """Fails at the given call: while the real step of the network's decision is being judged."""

    def __init__(self, call):
        super().__init__()
        self.call, self.calls = call, 0

    def forward(self, logits, labels):
        self.calls += 1
        if self.calls == self.call:
            raise ConnectionError
        return super().forward(logits, labels)


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_an_exception_within_a_step(form, tmp_path):
    """Seen to fail when the parameters stay where the network was tried."""
    decision = meta()
    whole, _ = run(form, decision)
    # Six supervised batches call the loss once each, the two of the meta part twice.
    broken = BrokenLoss((6 + 2 + 2) + (6 + 2 + 1))
    keep = [OnExceptionCheckpoint(tmp_path)]
    with pytest.raises(ConnectionError):
        run(form, meta(), keep, labeled_loss=broken, limit_val_batches=0)
    again = meta()
    assert_equal(run(form, again, ckpt_path=tmp_path / "on_exception.ckpt")[0], whole)
    assert_same_state(again, decision)


def test_loading_brings_the_network_back(tmp_path):
    """By class and without it, safely; other decisions leave nothing in the checkpoint."""
    decision = meta()
    model, trainer = run("mixin", decision)
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    assert "decision" in torch.load(path, weights_only=True)
    for loaded in (
        il.load(path),
        il.InverseGradientRecommender.load_from_checkpoint(path, weights_only=True),
    ):
        assert_equal(loaded, model)
        assert to_spec(loaded.decision)["init_args"].items() >= {"hidden": 8, "lr": 0.05}.items()
        assert_same_state(loaded.decision, decision)
        assert not any("decision" in name for name, _ in loaded.named_parameters())
    _, trainer = run("mixin", PerExampleSign(), max_epochs=1)
    trainer.save_checkpoint(path)
    assert "decision" not in torch.load(path, weights_only=True)
    assert isinstance(il.load(path).decision, PerExampleSign)


def test_a_callback_checkpoint_loads_without_the_callback(tmp_path):
    model, trainer = run("callback", meta())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert_equal(il.load(tmp_path / "last.ckpt"), model)


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (BatchSign, "BatchSign does not: go on with the decision it was trained with"),
        (MetaWeightNet, r"does not hold a MetaWeightNet\(hidden=100\)"),
    ],
)
def test_going_on_with_another_decision_is_refused(form, other, message, tmp_path):
    _, trainer = run(form, meta(), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=message):
        run(form, other(), ckpt_path=tmp_path / "last.ckpt")
