"""Every precision, in both forms."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision

import invlightning as il
from invlightning.callbacks import InverseGradientCallback
from tests.helpers import forms
from tests.helpers.foreign import Manual, Plain, loader
from tests.helpers.trainers import make_trainer


def scaled(init_scale=2.0**16):
    """float16 with a gradient scaler, on the CPU."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=init_scale))


class CachingPrecision(MixedPrecision):
    """Autocast with its weight cache, as in Lightning before 2.6 and after it."""

    def autocast_context_manager(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=True)


PRECISIONS = {
    "32-true": (lambda: {"precision": "32-true"}, torch.float32),
    "bf16-mixed": (lambda: {"precision": "bf16-mixed"}, torch.float32),
    "bf16-true": (lambda: {"precision": "bf16-true"}, torch.bfloat16),
    "16-mixed": (lambda: {"plugins": [scaled()]}, torch.float32),
    "64-true": (lambda: {"precision": "64-true"}, torch.float64),
}


@pytest.mark.parametrize("name", PRECISIONS)
def test_both_forms_agree_in_every_precision(name):
    """Seen to fail (mixed precisions) when the callback steps outside of autocast."""
    flags, dtype = PRECISIONS[name]
    mixin, _ = forms.fit("mixin", **flags())
    callback, _ = forms.fit("callback", **flags())
    forms.assert_equal(mixin, callback)
    assert {p.dtype for p in mixin.parameters()} == {dtype}
    assert all(p.isfinite().all() for p in mixin.parameters())
    plain, _ = forms.fit("plain", **flags())
    weight = mixin.backbone.factors.users.weight
    assert not torch.equal(weight, plain.backbone.factors.users.weight)


class KeepChoices(pl.Callback):
    def __init__(self):
        self.choices, self.scales = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.choices.append(int(pl_module.last_step.choice))
        self.scales.append(trainer.precision_plugin.scaler.get_scale())


class Loud:
    """The unlabeled gradient overflows float16 at the initial scale, the labeled one does not."""

    factor = 200.0

    def unlabeled_loss(self, batch):
        return self.factor * super().unlabeled_loss(batch)


class LoudManual(Loud, Manual):
    pass


class LoudPlain(Loud, Plain):
    pass


def fit_loud(form, factor=200.0):
    kept = KeepChoices()
    trainer = make_trainer(callbacks=[kept], plugins=[scaled()])
    if form == "mixin":
        module = LoudManual(direction="sgd")
        module.inner_lr = 0.001
    else:
        module = LoudPlain()
        trainer.callbacks.insert(0, InverseGradientCallback(0.001, "sgd"))
    module.factor = factor
    trainer.fit(module, loader(), loader())
    return module, kept


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_overflow_neither_poisons_nor_switches_off(form):
    """Seen to fail (never a step) when the scaler never hears of the overflow."""
    module, kept = fit_loud(form)
    assert kept.choices[0] == 0, "the first step must overflow for the test to mean something"
    assert kept.scales[0] < 2.0**16
    assert any(kept.choices[-10:])
    assert kept.scales[-1] > 1
    assert all(p.isfinite().all() for p in module.parameters())


def test_overflow_is_treated_alike_in_both_forms():
    manual, one = fit_loud("mixin")
    automatic, two = fit_loud("callback")
    assert one.choices == two.choices
    assert one.scales == two.scales
    forms.assert_equal(manual, automatic)


def test_the_scale_leaves_no_trace():
    """Seen to fail when the direction keeps the factor of the scaler."""
    weights = []
    for scale in (2.0**6, 2.0**10):
        module = Manual(direction="sgd")
        make_trainer(plugins=[scaled(scale)]).fit(module, loader(), loader())
        weights.append(module.net.user.weight)
    torch.testing.assert_close(*weights, rtol=0, atol=1e-3)


def test_a_loss_that_is_never_finite_leaves_the_scale_above_one():
    """Seen to fail (it goes towards zero) without the floor."""
    module, kept = fit_loud("mixin", factor=float("nan"))
    assert not any(kept.choices)
    assert kept.scales[-1] == 1
    start = Plain()
    assert all(p.isfinite().all() for p in module.parameters())
    assert not torch.equal(module.net.head.weight, start.net.head.weight)


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_candidates_are_not_stale_under_the_autocast_cache(form):
    """Seen to fail (layers stay as they were before the move) without clearing the cache."""
    tower = {"backbone": partial(il.backbones.MLP, embedding_dim=4)}
    plugin = CachingPrecision("bf16-mixed", "cpu")
    cached, _ = forms.fit(form, model_arguments=tower, plugins=[plugin])
    fresh, _ = forms.fit(form, model_arguments=tower, precision="bf16-mixed")
    forms.assert_equal(cached, fresh)
