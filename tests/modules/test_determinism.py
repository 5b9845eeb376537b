"""The same seed gives the same weights, whatever goes on beside the training."""

from functools import cache, partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger

import invlightning as il
from tests.helpers.forms import assert_equal, fit, make_data

FORMS = ["idl", "mixin", "callback"]


def run(form, seed=4, callbacks=(), **flags):
    """With dropout and drawn items; the seed is that of everything."""
    backbone = partial(il.backbones.MLP, embedding_dim=4, dropout=0.3)
    data = make_data(batch_size=64, seed=seed)
    flags = {"max_epochs": 2, **flags}
    model, _ = fit(form, data, {"backbone": backbone}, callbacks, **flags)
    return model


undisturbed = cache(run)


class RandomNumbers(pl.Callback):
    """Uses up random numbers wherever a callback can."""

    def on_train_batch_end(self, *_):
        torch.rand(3)

    on_train_batch_start = on_validation_batch_end = on_train_epoch_start = on_train_batch_end
    on_train_start = on_validation_start = on_train_epoch_end = on_train_batch_end


BESIDES = {
    "progress bar": lambda folder: {
        "enable_progress_bar": True,
        "callbacks": [TQDMProgressBar(refresh_rate=1)],
    },
    "summary": lambda folder: {"enable_model_summary": True},
    "logging every step": lambda folder: {"logger": CSVLogger(folder), "log_every_n_steps": 1},
    "no validation": lambda folder: {"limit_val_batches": 0},
    "frequent validation": lambda folder: {"val_check_interval": 2},
    "no sanity check": lambda folder: {"num_sanity_val_steps": 0},
    "long sanity check": lambda folder: {"num_sanity_val_steps": -1},
    "monitors": lambda folder: {
        "callbacks": [
            il.callbacks.DirectionMonitor(1),
            il.callbacks.AnnotationMonitor(1),
        ]
    },
    "other random numbers": lambda folder: {"callbacks": [RandomNumbers()]},
    "checkpoints": lambda folder: {
        "enable_checkpointing": True,
        "callbacks": [pl.callbacks.ModelCheckpoint(folder, every_n_train_steps=1)],
    },
    "profiler": lambda folder: {"profiler": "simple"},
}


@pytest.mark.filterwarnings("ignore:.*of the unlabeled rows are annotated")
@pytest.mark.parametrize("besides", BESIDES)
@pytest.mark.parametrize("form", FORMS)
def test_what_goes_on_beside_does_not_change_weights(form, besides, tmp_path):
    """Random numbers of others were seen to change the weights when dropout is not seeded."""
    assert_equal(run(form, **BESIDES[besides](tmp_path)), undisturbed(form))


@pytest.mark.parametrize("form", FORMS)
def test_same_seed_same_weights(form):
    first, again, other = undisturbed(form), run(form), run(form, seed=5)
    assert_equal(first, again)
    weights = [m.backbone.tower.pair.weight for m in (first, other)]
    assert not torch.equal(*weights)
