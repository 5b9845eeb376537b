"""Two processes give the weights and metrics of one."""

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import invlightning as il

pytestmark = pytest.mark.ddp


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


def table(rows=640, num_users=40, num_items=30):
    generator = np.random.default_rng(3)
    pairs = generator.permutation(num_users * num_items)[:rows]
    users, items = pairs // num_items, pairs % num_items
    return users, items, ((users + items) % 3 > 0).astype(float) + generator.integers(0, 2, rows)


FORMS = ["plain", "idl", "mixin", "callback"]


def make_model(form):
    arguments = {
        "backbone": partial(il.backbones.GMF, embedding_dim=4),
        "optimizer": partial(torch.optim.Adam, lr=0.02),
    }
    if form == "mixin":
        return il.InverseGradientRecommender(**arguments, inner_lr=0.02), []
    if form == "callback":
        loss = il.losses.InverseDualLoss()
        callback = il.callbacks.InverseGradientCallback(
            0.02, schedule="phased", unlabeled_loss=loss
        )
        return il.Recommender(**arguments), [callback]
    loss = il.losses.InverseDualLoss() if form == "idl" else None
    return il.Recommender(**arguments, unlabeled_loss=loss), []


def fit(form, processes, **flags):
    pl.seed_everything(4, verbose=False)
    model, callbacks = make_model(form)
    data = il.ArrayDataModule(
        *table(),
        positive_threshold=0.5,
        batch_size=32 // processes,
        meta_fraction=0.25,
        sampler=NextItems(),
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[RanksAgree(), *callbacks],
        **flags,
    )
    trainer.fit(model, data)
    return model, trainer


@pytest.mark.parametrize("form", FORMS)
def test_two_processes_equal_one(form):
    """Fails if ranks choose on their own (RanksAgree), or if directions are not averaged."""
    one, alone = fit(form, 1)
    two, both = fit(form, 2)
    assert one.state_dict().keys() == two.state_dict().keys()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=0, atol=1e-6)
    assert {"val_auc", "val_recall@20"} <= set(alone.callback_metrics)
    for name, value in alone.callback_metrics.items():
        if name.startswith("val_"):
            assert float(both.callback_metrics[name]) == pytest.approx(float(value), abs=1e-6)
