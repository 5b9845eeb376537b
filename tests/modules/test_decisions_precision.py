"""Decisions about single rows in every precision; what overflows moves nothing."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision

import invlightning as il
from invlightning.inverse import MetaWeightNet, PerExampleReweight, PerExampleSign
from tests.helpers.forms import GMF, OneThread, assert_equal, make_data
from tests.helpers.trainers import make_trainer

DECISIONS = {
    "sign": PerExampleSign,
    "reweight": PerExampleReweight,
    "meta": partial(MetaWeightNet, lr=0.05),
}


def scaled(init_scale=2.0**16):
    """float16 with a gradient scaler, on the CPU."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=init_scale))


PRECISIONS = {
    "32-true": lambda: {"precision": "32-true"},
    "bf16-mixed": lambda: {"precision": "bf16-mixed"},
    "bf16-true": lambda: {"precision": "bf16-true"},
    "16-mixed": lambda: {"plugins": [scaled()]},
}


class Loud(il.losses.InverseDualLoss):
    """Its gradient overflows float16 at a high scale; losses of rows stay as they are."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, logits):
        return self.factor * super().forward(logits)


class Watch(pl.Callback):
    """Notes the shares of rows and the scale of each step, and that parameters are finite."""

    def __init__(self):
        self.still, self.scales = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        assert all(p.isfinite().all() for p in pl_module.parameters())
        self.still.append(float(pl_module.last_step.shares[0]) == 1)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.scales.append(1.0 if scaler is None else scaler.get_scale())


def fit(form, decision, loss=None, backbone=GMF, inner_lr=0.3, **flags):
    pl.seed_everything(4, verbose=False)
    settings = {
        "inner_lr": inner_lr,
        "direction": "sgd",
        "schedule": "every_batch",
        "decision": decision,
    }
    loss, watch, own = loss if loss is not None else il.losses.InverseDualLoss(), Watch(), []
    if form == "mixin":
        model = il.InverseGradientRecommender(backbone, unlabeled_loss=loss, **settings)
    else:
        model = il.Recommender(backbone)
        own = [il.callbacks.InverseGradientCallback(**settings, unlabeled_loss=loss)]
    callbacks = [OneThread(), *own, watch]
    make_trainer(callbacks=callbacks, **flags).fit(model, make_data())
    return model, watch


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", DECISIONS)
def test_both_forms_agree_in_every_precision(name, precision):
    """With dropout, whose random numbers both forms and both looks at the rows share."""
    mlp = partial(il.backbones.MLP, embedding_dim=4, dropout=0.2)
    weights = []
    for form in ("mixin", "callback"):
        decision = DECISIONS[name]()
        model, watch = fit(form, decision, backbone=mlp, max_epochs=1, **PRECISIONS[precision]())
        weights.append(model)
        assert not all(watch.still)
        assert all(value.isfinite().all() for value in decision.state_dict().values())
    assert_equal(*weights)


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize("name", DECISIONS)
def test_overflow_moves_nothing_and_lowers_the_scale(name, form):
    """Seen to fail when the direct step is taken whatever happened."""
    flags = {"inner_lr": 1e-6, "plugins": [scaled(2.0**16)]}
    _, watch = fit(form, DECISIONS[name](), Loud(1e6), **flags)
    assert watch.still[0], "the first step must overflow for the test to mean something"
    assert watch.scales[0] < 2.0**16
    assert not all(watch.still), "the scale must come down far enough"
    assert watch.scales[-1] >= 1


@pytest.mark.parametrize("name", DECISIONS)
def test_a_loss_that_is_never_finite_never_moves(name):
    """The outer step goes on alone, and the scale stays above one."""
    decision = DECISIONS[name]()
    before = decision.state_dict()
    _, watch = fit("mixin", decision, Loud(float("nan")), plugins=[scaled()])
    assert all(watch.still)
    assert watch.scales[-1] == 1
    for label, value in decision.state_dict().items():
        assert torch.equal(value, before[label])


@pytest.mark.parametrize("name", DECISIONS)
def test_the_scale_leaves_no_trace(name):
    """Seen to fail when a gradient keeps the factor of the scaler."""
    one, two = (
        fit("mixin", DECISIONS[name](), max_epochs=1, plugins=[scaled(2.0**power)])[0]
        for power in (6, 10)
    )
    assert_equal(one, two, atol=2e-3)
