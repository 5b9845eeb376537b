"""What the Trainer offers works in the manual form as in the automatic one."""

from datetime import timedelta
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)

import invlightning as il
from tests.helpers import foreign, forms
from tests.helpers.forms import assert_equal, fit
from tests.helpers.trainers import make_trainer


def both(callbacks=lambda: [], model_arguments=None, **flags):
    """The mixin and the callback with equal settings: equal weights, then the mixin's run."""
    runs = [
        fit(form, model_arguments=model_arguments, callbacks=callbacks(), **flags)
        for form in ("mixin", "callback")
    ]
    (manual, one), (automatic, two) = runs
    assert_equal(manual, automatic)
    assert one.global_step == two.global_step
    assert one.current_epoch == two.current_epoch
    return runs


PLAIN_FLAGS = {
    "max_steps": ({"max_epochs": -1, "max_steps": 21}, 21),
    "min_epochs": ({"max_epochs": 2, "min_epochs": 2}, 32),
    "overfit_batches": ({"overfit_batches": 14}, 42),
    "limit_train_batches": ({"limit_train_batches": 14, "limit_val_batches": 1}, 42),
    "limit_train_share": ({"limit_train_batches": 0.9, "limit_val_batches": 0.0}, 42),
    "fast_dev_run": ({"fast_dev_run": 2}, 2),
    "check_val_every_n_epoch": ({"check_val_every_n_epoch": 2}, 48),
    "reload_dataloaders": ({"reload_dataloaders_every_n_epochs": 1}, 48),
    "deterministic": ({"deterministic": True}, 48),
}


@pytest.mark.filterwarnings("ignore:You requested to overfit")  # shuffling is off already
@pytest.mark.parametrize(("flags", "steps"), PLAIN_FLAGS.values(), ids=PLAIN_FLAGS)
def test_flags(flags, steps):
    """``global_step`` counts steps of the optimizer; seen to fail with a raw optimizer step."""
    [(_, trainer), _] = both(**flags)
    assert trainer.global_step == steps


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("flags", [{"detect_anomaly": True}, {"inference_mode": False}], ids=str)
def test_flags_that_must_not_change_weights(flags):
    """Seen to fail with a step that differs under anomaly detection."""
    [(module, _), _] = both(max_epochs=2, **flags)
    assert_equal(module, fit("mixin", max_epochs=2)[0])


def test_early_stopping():
    """Seen to fail without inverse gradients in one of the forms."""
    stop = partial(EarlyStopping, "val_auc", mode="min", patience=0)
    [(_, trainer), _] = both(lambda: [stop()], max_epochs=9)
    assert 0 < trainer.current_epoch < 9


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"monitor": "val_auc", "mode": "max"}, 1),
        ({"every_n_train_steps": 20, "save_top_k": -1}, 2),
        ({"monitor": "val_log_loss", "save_top_k": 2, "save_last": True}, 3),
    ],
    ids=["metric", "steps", "last"],
)
def test_model_checkpoint(settings, names, tmp_path):
    """The same files with the same weights; by steps without Lightning's misleading warning.

    Seen to fail with a raw optimizer step: other steps in the names.
    """
    folders = [tmp_path / "mixin", tmp_path / "callback"]
    places = iter(folders)
    make = partial(ModelCheckpoint, filename="{epoch}-{step}", **settings)
    both(lambda: [make(dirpath=next(places))], enable_checkpointing=True)
    found = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert found[0] == found[1]
    assert len(found[0]) == names
    for name in found[0]:
        states = [torch.load(folder / name, weights_only=True) for folder in folders]
        for key, value in states[0]["state_dict"].items():
            assert torch.equal(value, states[1]["state_dict"][key])


def test_checkpoints_by_time_need_the_callback(tmp_path):
    """Seen to fail when the mixin lets it pass: nothing is saved."""
    make = partial(ModelCheckpoint, tmp_path, train_time_interval=timedelta(0), save_top_k=-1)
    with pytest.raises(ValueError, match="use every_n_train_steps, or InverseGradientCallback"):
        fit("mixin", callbacks=[make()], enable_checkpointing=True)
    fit("callback", callbacks=[make()], enable_checkpointing=True, max_steps=3)
    assert len(list(tmp_path.iterdir())) >= 3


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model")
@pytest.mark.parametrize("make", [partial(EMAWeightAveraging, decay=0.9), WeightAveraging])
def test_weight_averaging(make):
    """Seen to fail when the backbone is not built before ``setup``: sizes unknown."""
    [(averaged, _), _] = both(lambda: [make()])
    last, _ = fit("mixin")
    assert not torch.equal(averaged.backbone.output.weight, last.backbone.output.weight)


SIZES = {"num_users": 40, "num_items": 30}


@pytest.mark.parametrize("scheduler", [None, partial(torch.optim.lr_scheduler.StepLR, step_size=1)])
def test_stochastic_weight_averaging(scheduler):
    """Seen to fail without schedulers by epoch, and when refused with sizes known."""
    arguments = {**SIZES, "lr_scheduler": scheduler}
    make = partial(StochasticWeightAveraging, 1e-2, swa_epoch_start=1, annealing_epochs=1)
    [(averaged, _), _] = both(lambda: [make()], arguments)
    last, _ = fit("mixin", model_arguments=arguments)
    assert not torch.equal(averaged.backbone.output.weight, last.backbone.output.weight)


@pytest.mark.parametrize("form", forms.FORMS)
def test_averaging_nothing_is_refused(form):
    """Without sizes the model is built after Lightning has copied it.

    Seen to fail when it is let pass.
    """
    with pytest.raises(ValueError, match="give num_users and num_items"):
        fit(form, callbacks=[StochasticWeightAveraging(1e-2)])


class KeepNorms(pl.Callback):
    """Notes the norm of the gradients, before they are clipped."""

    def __init__(self):
        self.norms = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        norms = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
        self.norms.append(float(torch.stack(norms).norm()))


def test_gradient_norms():
    """Seen to fail without clipping, and when gradients are not zeroed."""
    kept = [KeepNorms(), KeepNorms()]
    places = iter(kept)
    both(lambda: [next(places)], gradient_clip_val=1e-3, accumulate_grad_batches=2)
    assert kept[0].norms == kept[1].norms
    assert len(kept[0].norms) == 24
    assert max(kept[0].norms) > 1e-3


def test_accumulation_schedules_need_the_callback():
    """Seen to fail when the mixin lets them pass."""
    schedule = {0: 2, 1: 1}
    with pytest.raises(ValueError, match=r"use Trainer\(accumulate_grad_batches=...\)"):
        fit("mixin", callbacks=[GradientAccumulationScheduler(schedule)])
    _, trainer = fit("callback", callbacks=[GradientAccumulationScheduler(schedule)])
    assert trainer.global_step == 8 + 16 + 16


def test_a_second_fit():
    """Seen to fail when gradients are zeroed in the first fit only."""
    runs = both(max_epochs=1)
    for module, trainer in runs:
        trainer.fit_loop.max_epochs = 3
        trainer.fit(module, forms.make_data())
        assert trainer.global_step == 48
    assert_equal(runs[0][0], runs[1][0])


def test_accumulation_and_clipping_survive_a_validation_in_between():
    """Seen to fail when the Trainer does not get its flags back."""
    flags = {"gradient_clip_val": 0.01, "accumulate_grad_batches": 2}
    runs = both(max_epochs=1, **flags)
    for module, trainer in runs:
        trainer.validate(module, forms.make_data(), verbose=False)
        trainer.fit_loop.max_epochs = 2
        trainer.fit(module, forms.make_data())
        assert trainer.global_step == 16
    assert_equal(runs[0][0], runs[1][0])


def plateau(module, optimizer, **settings):
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.9)
    return {"scheduler": scheduler, "monitor": "val_loss", **settings}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"monitor": "lost"}, "monitors 'lost', which is not logged; logged are .*'val_loss'"),
        ({"interval": "step"}, "interval='step' does not work with InverseGradientMixin"),
        ({"monitor": None}, "watches a metric but names none"),
    ],
)
def test_plateau_schedulers_that_cannot_work(settings, message):
    """Seen to fail, each, when it is let pass."""
    module = foreign.Manual(scheduler=partial(plateau, **settings))
    with pytest.raises(ValueError, match=message):
        make_trainer().fit(module, foreign.loader(), foreign.loader())


def test_plateau_schedulers_may_be_lenient():
    """Seen to fail as an error, and without a warning."""
    module = foreign.Manual(scheduler=partial(plateau, monitor="lost", strict=False))
    with pytest.warns(UserWarning, match="monitors 'lost', which is not logged"):
        make_trainer().fit(module, foreign.loader(), foreign.loader())
    assert len(set(module.lrs)) == 1


class Forms(foreign.Manual):
    """Returns optimizers and schedulers in one of the forms that Lightning takes."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        entry = plateau(self, optimizer)
        self.returned = {
            "dict": {"optimizer": optimizer, "lr_scheduler": entry},
            "monitor outside": {
                "optimizer": optimizer,
                "lr_scheduler": entry["scheduler"],
                "monitor": "val_loss",
            },
            "two lists": ([optimizer], [entry]),
            "list": [{"optimizer": optimizer, "lr_scheduler": entry}],
            "tuple": ({"optimizer": optimizer, "lr_scheduler": entry},),
        }[self.form]
        self.entry = entry
        return self.returned


@pytest.mark.parametrize("form", ["dict", "monitor outside", "two lists", "list", "tuple"])
def test_schedulers_in_every_form(form):
    """All the same rates, and what ``configure_optimizers`` returned is left as it was.

    Seen to fail without each branch of ``take_watches``, and when it edits what it gets.
    """
    module, expected = Forms(form), foreign.Manual(scheduler=plateau)
    for each in (module, expected):
        make_trainer().fit(each, foreign.loader(), foreign.loader())
    assert module.lrs == expected.lrs
    assert len(set(module.lrs)) > 1
    assert module.entry["monitor"] == "val_loss"


class TwoOptimizers(foreign.Manual):
    def configure_optimizers(self):
        return [torch.optim.SGD([p], lr=0.1) for p in list(self.parameters())[:2]]


def test_several_optimizers_are_refused():
    """Seen to fail when they are let pass."""
    with pytest.raises(ValueError, match="one optimizer, got 2"):
        make_trainer().fit(TwoOptimizers(), foreign.loader(), foreign.loader())


class Late(il.InverseGradientMixin, pl.LightningModule):
    """Builds its parameters in ``configure_model``."""

    inner_lr = 0.1

    def configure_model(self):
        self.net = foreign.Network()

    labeled_loss = foreign.Plain.labeled_loss
    unlabeled_loss = foreign.Plain.unlabeled_loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_averaging_nothing_is_refused_over_any_module():
    """Seen to fail when the mixin does not look."""
    trainer = make_trainer(callbacks=[StochasticWeightAveraging(1e-2)])
    with pytest.raises(ValueError, match="would average nothing"):
        trainer.fit(Late(), foreign.loader())
