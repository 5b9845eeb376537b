"""The mixin, the callback and the naive algorithm give the same weights."""

from datetime import timedelta
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.strategies import FSDPStrategy

import invlightning as il
from invlightning.callbacks import InverseGradientCallback
from invlightning.modules.inverse_checks import check_strategy
from tests.helpers.foreign import Manual, Plain, loader
from tests.helpers.trainers import make_trainer
from tests.reference import inverse_gradient as reference


def scheduler(kind, module, optimizer):
    lr = torch.optim.lr_scheduler
    if kind == "step":
        return {"scheduler": lr.ExponentialLR(optimizer, 0.9), "interval": "step"}
    if kind == "every_2_steps":
        return {"scheduler": lr.ExponentialLR(optimizer, 0.9), "interval": "step", "frequency": 2}
    if kind == "epoch":
        return lr.ExponentialLR(optimizer, 0.5)
    if kind == "one_cycle":
        total = module.trainer.estimated_stepping_batches
        return {"scheduler": lr.OneCycleLR(optimizer, 0.1, total), "interval": "step"}
    plateau = lr.ReduceLROnPlateau(optimizer, factor=0.3, patience=0, threshold=0.5)
    return {"scheduler": plateau, "monitor": "val_loss"}


def fit(form, direction="adam", outer_state="persistent", kind=None, dropout=0.0, **flags):
    schedule = None if kind is None else partial(scheduler, kind)
    trainer = make_trainer(**flags)
    if form == "mixin":
        module = Manual(
            scheduler=schedule, dropout=dropout, direction=direction, outer_state=outer_state
        )
    else:
        module = Plain(scheduler=schedule, dropout=dropout)
        callback = InverseGradientCallback(0.05, direction, outer_state=outer_state)
        trainer.callbacks.append(callback)
    trainer.fit(module, loader(), loader())
    return module, trainer


def assert_equal_forms(**settings):
    mixin, manual = fit("mixin", **settings)
    callback, automatic = fit("callback", **settings)
    untrained = Plain()
    for name, value in mixin.net.state_dict().items():
        assert not torch.equal(value, untrained.net.state_dict()[name])
        assert torch.equal(value, callback.net.state_dict()[name]), name
    assert mixin.lrs == callback.lrs
    assert manual.global_step == automatic.global_step
    assert manual.estimated_stepping_batches == automatic.estimated_stepping_batches
    return mixin, manual


@pytest.mark.parametrize("direction", ["adam", "sgd", "sign"])
@pytest.mark.parametrize("outer_state", ["persistent", "fresh"])
def test_mixin_equals_callback(direction, outer_state):
    assert_equal_forms(direction=direction, outer_state=outer_state)


@pytest.mark.parametrize("kind", ["step", "every_2_steps", "epoch", "one_cycle", "plateau"])
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"gradient_clip_val": 0.05},
        {
            "gradient_clip_val": 0.01,
            "gradient_clip_algorithm": "value",
            "accumulate_grad_batches": 2,
        },
        {"accumulate_grad_batches": 4, "limit_train_batches": 7},
    ],
    ids=["plain", "norm", "value+accumulate", "ragged window"],
)
def test_trainer_flags_work_in_both_forms(kind, flags):
    mixin, _ = assert_equal_forms(kind=kind, **flags)
    assert len(set(mixin.lrs)) > 1, "the scheduler must have stepped"


class OwnOptimizers(Manual):
    """Defines ``configure_optimizers`` itself, left of the mixin."""

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        return {"optimizer": optimizer, "lr_scheduler": scheduler("plateau", self, optimizer)}


def test_own_configure_optimizers_keeps_its_monitor():
    """Fails with a KeyError or constant rates if the monitor is lost."""
    module = OwnOptimizers()
    make_trainer(max_epochs=4).fit(module, loader(), loader())
    reference_module, _ = fit("mixin", kind="plateau", max_epochs=4)
    assert module.lrs == reference_module.lrs
    assert len(set(module.lrs)) > 1


def test_flags_change_the_weights():
    """Clipping and accumulation are honoured, not silently dropped."""
    plain, _ = fit("mixin")
    for flags in ({"gradient_clip_val": 0.01}, {"accumulate_grad_batches": 2}):
        module, trainer = fit("mixin", **flags)
        assert not torch.equal(module.net.head.weight, plain.net.head.weight)
    assert trainer.global_step == 3 * 5  # nine batches in windows of two, three epochs


def test_dropout_gives_equal_forms():
    assert_equal_forms(dropout=0.3)


def test_bf16_gives_equal_forms():
    assert_equal_forms(precision="bf16-mixed")


def test_scaled_fp16_gives_equal_forms():
    plugins = [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))]
    assert_equal_forms(plugins=plugins)


def test_second_fit_keeps_the_flags():
    trainer = make_trainer(gradient_clip_val=0.05, accumulate_grad_batches=2)
    trainer.fit(Manual(), loader(), loader())
    assert (trainer.gradient_clip_val, trainer.accumulate_grad_batches) == (0.05, 2)
    trainer.validate(Manual(), loader(), verbose=False)
    assert (trainer.gradient_clip_val, trainer.accumulate_grad_batches) == (0.05, 2)


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize("direction", ["adam", "sgd"])
def test_equals_naive_algorithm(form, direction):
    module, _ = fit(form, direction, precision="64-true")
    naive = Plain().double()
    optimizer = torch.optim.Adam(naive.parameters(), lr=0.05)
    choices = reference.train(
        naive,
        list(loader()) * 3,
        lambda net, batch: net.unlabeled_loss(batch),
        lambda net, batch: net.labeled_loss(batch),
        direction,
        0.05,
        optimizer,
    )
    assert len(set(choices)) > 1
    for name, value in naive.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m, "inner_lr", -1.0), "inner_lr must be positive"),
        (lambda m: delattr(m, "inner_lr"), "must set self.inner_lr"),
        (lambda m: setattr(m, "schedule", "later"), "schedule must be"),
        (lambda m: setattr(m, "schedule", "phased"), "needs batches with an attribute is_meta"),
        (lambda m: setattr(m, "optimizer", torch.optim.LBFGS), "do not work with LBFGS"),
    ],
)
def test_mixin_refuses(change, message):
    module = Manual()
    change(module)
    with pytest.raises(ValueError, match=message):
        make_trainer().fit(module, loader(), loader())


def test_time_interval_is_refused():
    checkpoint = ModelCheckpoint(train_time_interval=timedelta(minutes=1))
    trainer = make_trainer(enable_checkpointing=True, callbacks=[checkpoint])
    with pytest.raises(ValueError, match="every_n_train_steps"):
        trainer.fit(Manual(), loader(), loader())


def test_fsdp_is_refused():
    class Fake:
        strategy = FSDPStrategy.__new__(FSDPStrategy)

    with pytest.raises(ValueError, match="use strategy='ddp'"):
        check_strategy(Fake())


def test_callback_refuses_manual_modules_and_missing_losses():
    with pytest.raises(ValueError, match="twice"):
        make_trainer(callbacks=[InverseGradientCallback()]).fit(Manual(), loader(), loader())

    class Bare(pl.LightningModule):
        pass

    trainer = make_trainer(callbacks=[InverseGradientCallback()])
    with pytest.raises(ValueError, match=r"must define labeled_loss\(batch\)"):
        InverseGradientCallback().setup(trainer, Bare(), "fit")


class OwnStep(Manual):
    """Defines a training step in whose place the mixin stood, without a word."""

    def training_step(self, batch, batch_idx):
        return self.labeled_loss(batch)


class Below(OwnStep):
    pass


@pytest.mark.parametrize("kind", [OwnStep, Below])
def test_a_training_step_of_a_subclass_is_refused(kind):
    """It trained nothing: global_step stayed 0."""
    with pytest.raises(ValueError, match=r"OwnStep defines training_step.*define labeled_loss"):
        make_trainer().fit(kind(), loader(), loader())


LIMITS = [(0.5, True), (0.9, True), (1.0, False), (3, True), (9, True), (10, False), (99, False)]


@pytest.mark.parametrize(("limit", "refused"), LIMITS)
def test_a_limit_that_cuts_off_the_meta_part_is_refused(limit, refused):
    """Seen to fail without the check: an epoch then took no inverse gradient step, silently."""
    data = il.SyntheticDataModule(
        num_users=60, num_items=50, interactions_per_user=20, batch_size=96, meta_fraction=0.1
    )
    model = il.InverseGradientRecommender(partial(il.backbones.GMF, embedding_dim=4))
    trainer = make_trainer(max_epochs=1, limit_train_batches=limit)
    if refused:
        with pytest.raises(ValueError, match="before the meta part begins at batch 10: no inverse"):
            trainer.fit(model, data)
        return
    trainer.fit(model, data)
    assert model.last_step is not None


def test_a_dry_run_may_end_before_the_meta_part():
    model = il.InverseGradientRecommender(partial(il.backbones.GMF, embedding_dim=4))
    data = il.SyntheticDataModule(num_users=60, num_items=50, meta_fraction=0.1)
    make_trainer(fast_dev_run=True).fit(model, data)
