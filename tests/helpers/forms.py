"""The four ways to train a Recommender, small enough to be run many times."""

from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch

import invlightning as il
from tests.helpers.trainers import make_trainer

FORMS = ["plain", "idl", "mixin", "callback"]


class NextItems(il.NegativeSampler):
    """Draws without randomness, so that any number of processes sees the same pairs."""

    def sample(self, users, num_unlabeled, generator):
        return (users.unsqueeze(1) * 7 + torch.arange(num_unlabeled)) % self.num_items


class RanksAgree(pl.Callback):
    """Fails the run if parameters differ between processes, exactly compared."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        flat = torch.cat([p.detach().flatten() for p in pl_module.parameters()])
        gathered = [torch.empty_like(flat) for _ in range(trainer.world_size)]
        if trainer.world_size > 1:
            torch.distributed.all_gather(gathered, flat)
            assert all(torch.equal(row, flat) for row in gathered)


class OneThread(pl.Callback):
    """Gives a forked process a thread pool of its own.

    PyTorch makes one when it is first asked for after a fork; two threads that ask at the same
    time can find none.
    """

    def setup(self, trainer, pl_module, stage):
        torch.set_num_threads(1)


def table(rows=640, num_users=40, num_items=30):
    generator = np.random.default_rng(3)
    pairs = generator.permutation(num_users * num_items)[:rows]
    users, items = pairs // num_items, pairs % num_items
    return users, items, ((users + items) % 3 > 0).astype(float) + generator.integers(0, 2, rows)


def make_data(**arguments):
    defaults = {"positive_threshold": 0.5, "batch_size": 32, "meta_fraction": 0.25}
    return il.ArrayDataModule(*table(), **{**defaults, **arguments})


GMF = partial(il.backbones.GMF, embedding_dim=4)
ADAM = partial(torch.optim.Adam, lr=0.02)


def make_model(form, backbone=GMF, optimizer=ADAM, unlabeled_loss=None, **arguments):
    """The module of a form and the callbacks it needs."""
    arguments = {"backbone": backbone, "optimizer": optimizer, **arguments}
    loss = unlabeled_loss if unlabeled_loss is not None else il.losses.InverseDualLoss()
    if form == "mixin":
        return il.InverseGradientRecommender(**arguments, unlabeled_loss=loss, inner_lr=0.02), []
    if form == "callback":
        callback = il.callbacks.InverseGradientCallback(
            0.02, schedule="phased", unlabeled_loss=loss
        )
        return il.Recommender(**arguments), [callback]
    return il.Recommender(**arguments, unlabeled_loss=loss if form == "idl" else None), []


def fit(form, data=None, model_arguments=None, callbacks=(), ckpt_path=None, **flags):
    """Trains a form, or what a function makes; equal arguments give equal weights."""
    pl.seed_everything(4, verbose=False)
    make = form if callable(form) else partial(make_model, form)
    model, own = make(**(model_arguments or {}))
    trainer = make_trainer(callbacks=[OneThread(), *own, *callbacks], **flags)
    trainer.fit(model, data if data is not None else make_data(), ckpt_path=ckpt_path)
    return model, trainer


def assert_equal(model, other, atol=0.0):
    """Compares all weights, exactly unless a tolerance is given."""
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=atol, msg=name)
