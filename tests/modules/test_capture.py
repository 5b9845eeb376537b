"""Captured steps are the eager ones, bit for bit, and what no graph can hold is refused.

A double stands for the CUDA graph; tests/test_gpu.py shows the same on a device.
"""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

import invlightning as il
from invlightning.modules.capture import CapturedFunction
from invlightning.types import LabeledBatch
from tests.helpers import exposed
from tests.helpers.forms import ADAM, GMF, assert_equal, fit, make_data, make_model
from tests.helpers.graph_double import GraphDouble

DROPOUT = partial(il.backbones.NeuMF, embedding_dim=4, dropout=0.2)
PLAIN = partial(il.Recommender, optimizer=ADAM)
IG = partial(il.InverseGradientRecommender, optimizer=ADAM, schedule="every_batch", inner_lr=0.02)


@pytest.fixture
def double(monkeypatch):
    return GraphDouble(monkeypatch)


class Waits(il.Recommender):
    """Reads a value from the device."""

    def further_loss(self, batch):
        return batch.labels.sum() * float(batch.labels.sum())


class Product(torch.autograd.Function):
    """A product whose gradient is one of matrices, which autocast would round."""

    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values.square().sum()

    @staticmethod
    def backward(ctx, gradient):
        [values] = ctx.saved_tensors
        return gradient * 2 * (values @ torch.eye(values.shape[1]))


class WithProduct(il.Recommender):
    def further_loss(self, batch):
        return 1e-3 * Product.apply(self.backbone.factors.users.weight)


class WithProductIG(il.InverseGradientMixin, WithProduct):
    inner_lr = 0.02
    decision = None

    def unlabeled_loss(self, batch):
        return self.labeled_loss(batch)


def captured(make):
    """The same form with captured steps."""

    def make_captured(**arguments):
        model, callbacks = make(**arguments)
        model.captures = True
        for callback in callbacks:
            callback.driver.captures = True
        if isinstance(model, il.InverseGradientMixin):
            model.driver.captures = True
        return model, callbacks

    return make_captured


def made(build):
    return lambda: (build(), [])


FORMS = {
    "plain": partial(make_model, "plain"),
    "idl": partial(make_model, "idl"),
    "ig phased": partial(make_model, "mixin"),
    "ig by callback": partial(make_model, "callback"),
    "ig with dropout": made(lambda: IG(DROPOUT)),
    "ig forgets": made(lambda: IG(GMF, outer_state="fresh")),
    "idl with dropout": made(lambda: PLAIN(DROPOUT, unlabeled_loss=il.losses.InverseDualLoss())),
    "ramp on the device": made(
        lambda: PLAIN(GMF, joint_loss=il.losses.TruncatedLoss(num_gradual=30))
    ),
    "starts later": made(
        lambda: PLAIN(GMF, unlabeled_loss=il.losses.InverseDualLoss(start_epoch=1))
    ),
    "by row": made(lambda: IG(GMF, decision=il.inverse.PerExampleReweight())),
    "by net": made(lambda: IG(GMF, direction="sgd", decision=il.inverse.MetaWeightNet(hidden=8))),
}
EXPOSED = {form: partial(exposed.make_model, form) for form in exposed.FORMS}


@pytest.mark.parametrize("form", [*FORMS, *EXPOSED])
def test_captured_weights_are_those_of_eager_steps(form, double):
    """Seen to fail with gradients of the batch before, or the seed inside of the graph."""
    make = {**FORMS, **EXPOSED}[form]
    data = exposed.make_data if form in EXPOSED else make_data
    expected, _ = fit(make, data())
    found, trainer = fit(captured(make), data(), callbacks=[double])
    assert_equal(found, expected)
    assert double.replayed > trainer.global_step // 2


@pytest.mark.parametrize(
    "flags",
    [
        {"gradient_clip_val": 0.01},
        {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
        {"precision": "bf16-mixed"},
        {"max_epochs": 2, "limit_train_batches": 15},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["idl", "ig phased", "ig by callback"])
def test_trainer_features_are_those_of_eager_steps(form, flags, double):
    expected, _ = fit(FORMS[form], **flags)
    found, _ = fit(captured(FORMS[form]), callbacks=[double], **flags)
    assert_equal(found, expected)
    assert double.replayed


@pytest.mark.parametrize("module", [WithProduct, WithProductIG])
def test_autocast_covers_what_it_covers_in_eager_steps(module, double):
    """Lightning's manual optimization has the backward pass within it, the automatic has not."""
    make = made(lambda: module(GMF, optimizer=ADAM))
    expected, _ = fit(make, precision="bf16-mixed")
    found, _ = fit(captured(make), callbacks=[double], precision="bf16-mixed")
    assert_equal(found, expected)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("form", ["plain", "ig phased", "ig by callback"])
def test_a_run_goes_on_from_a_checkpoint(form, double, tmp_path):
    save = ModelCheckpoint(tmp_path, every_n_train_steps=11, save_top_k=-1)
    expected, _ = fit(FORMS[form])
    fit(captured(FORMS[form]), callbacks=[double, save], folder=tmp_path, max_epochs=2)
    path = sorted(tmp_path.glob("*.ckpt"), key=lambda p: int(p.stem.split("=")[-1]))[1]
    again = ModelCheckpoint(tmp_path, every_n_train_steps=11, save_top_k=-1)
    found, _ = fit(
        captured(FORMS[form]), callbacks=[double, again], ckpt_path=path, folder=tmp_path
    )
    assert_equal(found, expected)


def test_schedulers_stopping_and_monitors_work(double):
    """Seen to fail when the record was not copied: every step was then the last one."""
    logs = []
    for make, extra in ((with_scheduler, []), (captured(with_scheduler), [double])):
        monitors = [
            il.callbacks.DirectionMonitor(every_n_steps=6),  # several steps are left at the end
            il.callbacks.AnnotationMonitor(every_n_steps=6),
            Losses(),
            EarlyStopping("val_auc", mode="max", patience=1, min_delta=0.5),
        ]
        model, trainer = fit(make, callbacks=[*monitors, *extra], max_epochs=6)
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        logs.append((model, trainer.current_epoch, found, monitors[2].seen))
    (expected, epochs, metrics, losses), (found, other_epochs, other_metrics, other_losses) = logs
    assert_equal(found, expected)
    assert epochs == other_epochs < 6
    assert other_metrics == pytest.approx(metrics, rel=0, abs=0, nan_ok=True)
    torch.testing.assert_close(other_losses, losses, rtol=0, atol=0)
    assert double.replayed
    assert any(name.startswith("direction/") for name in metrics)


class Losses(pl.Callback):
    """Keeps the loss of every step as it was given."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(outputs["loss"])


def with_scheduler():
    scheduler = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    loss = il.losses.InverseDualLoss(prior=0.5)
    return IG(GMF, unlabeled_loss=loss, lr_scheduler=scheduler), []


def test_parameters_that_thaw_are_trained(double):
    """Seen to fail when a graph of before was replayed."""

    class Thaws(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            pl_module.backbone.factors.items.requires_grad_(trainer.current_epoch > 0)

    expected, _ = fit(FORMS["idl"], make_data(meta_fraction=0), callbacks=[Thaws()])
    form = captured(FORMS["idl"])
    found, _ = fit(form, make_data(meta_fraction=0), callbacks=[Thaws(), double])
    assert_equal(found, expected)
    assert double.recorded == 2


def test_a_batch_is_captured_when_its_form_comes_twice_in_a_row(double):
    _, trainer = fit(captured(FORMS["idl"]), make_data(batch_size=60), callbacks=[double])
    batches = trainer.num_training_batches
    # 512 rows are 8 batches of 60 and a rest, in two parts with a rest each.
    assert batches > 2
    assert double.recorded < batches
    assert double.replayed < trainer.global_step


def test_graphs_go_when_a_fit_ends(double):
    model, _ = fit(captured(FORMS["ig phased"]), callbacks=[double])
    assert model.captured_gradients is None
    assert model.driver._captured is None


def test_what_cannot_be_recorded_says_so(double):
    with pytest.raises(AssertionError, match="waits for the device"):
        fit(captured(made(lambda: Waits(GMF, optimizer=ADAM))), callbacks=[double])


def test_a_failed_capture_names_the_way_out(monkeypatch, double):
    def refuse(function):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr("invlightning.modules.capture.record_graph", refuse)
    with pytest.raises(RuntimeError, match=r"cannot be captured.*Set capture to false"):
        fit(captured(FORMS["plain"]), callbacks=[double])


def test_batches_must_be_named_tuples():
    function = CapturedFunction(lambda batch: batch, [])
    with pytest.raises(TypeError, match="named tuples of tensors, got dict"):
        function({"users": torch.arange(3)})


def test_settings_of_losses_are_part_of_a_graph(double):
    """Seen to fail when only the parameters were looked at."""
    model, _ = FORMS["idl"]()
    model.configure_model = lambda: None
    double._module = model
    loss = il.losses.InverseDualLoss()
    function = CapturedFunction(lambda batch: loss(batch.labels), [], [loss])
    batch = LabeledBatch(torch.arange(4), torch.arange(4), torch.rand(4))
    values = [function(batch).clone() for _ in range(3)]
    loss.weight = 3.0
    changed = [function(batch).clone() for _ in range(3)]
    assert double.recorded == 2
    torch.testing.assert_close(torch.stack(changed), 3 * torch.stack(values))
