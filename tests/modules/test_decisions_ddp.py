"""Decisions about single rows on two processes give the weights of one, or are refused."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy

import invlightning as il
from invlightning.inverse import (
    BatchSign,
    MetaWeightNet,
    PerExampleReweight,
    PerExampleSign,
)
from invlightning.modules.inverse_checks import check_decision
from tests.helpers.foreign import Manual, Plain, loader
from tests.helpers.forms import (
    GMF,
    NextItems,
    OneThread,
    RanksAgree,
    assert_equal,
    make_data,
    make_model,
)
from tests.helpers.trainers import make_trainer

pytestmark = pytest.mark.ddp

DECISIONS = [PerExampleSign, PerExampleReweight, partial(MetaWeightNet, lr=0.05)]
TABLES = {
    "dense": {"backbone": GMF, "optimizer": partial(torch.optim.Adam, lr=0.02)},
    "sparse": {
        "backbone": partial(il.backbones.GMF, embedding_dim=4, sparse=True),
        "optimizer": partial(torch.optim.Adagrad, lr=0.1),
    },
}


class KeepDecision(pl.Callback):
    """Writes what each process has learned."""

    def __init__(self, decision, folder):
        self.decision, self.folder, self.shares = decision, folder, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.shares.append(pl_module.last_step.shares)

    def on_train_end(self, trainer, pl_module):
        state = {**self.decision.state_dict(), "shares": torch.stack(self.shares)}
        torch.save(state, self.folder / f"{trainer.world_size}-{trainer.global_rank}.pt")


def fit(form, decision, processes, folder, tables="dense", **flags):
    """Trains on the same global batches whatever the number of processes."""
    pl.seed_everything(4, verbose=False)
    arguments = {
        "inner_lr": 1.0,
        "direction": "sgd",
        "schedule": "every_batch",
        "decision": decision,
    }
    if form == "mixin":
        model = il.InverseGradientRecommender(**TABLES[tables], **arguments)
        own = []
    else:
        loss = il.losses.InverseDualLoss()
        model = il.Recommender(**TABLES[tables])
        own = [il.callbacks.InverseGradientCallback(**arguments, unlabeled_loss=loss)]
    trainer = make_trainer(
        callbacks=[OneThread(), *own, RanksAgree(), KeepDecision(decision, folder)],
        devices=processes,
        strategy=DDPStrategy(start_method="fork") if processes > 1 else "auto",
        **{"precision": "64-true", "max_epochs": 2, **flags},
    )
    data = make_data(sampler=NextItems(), batch_size=32 // processes, num_unlabeled=2)
    trainer.fit(model, data)
    return model


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize("tables", TABLES)
@pytest.mark.parametrize("make", DECISIONS, ids=["sign", "reweight", "meta"])
def test_two_processes_equal_one(make, tables, form, tmp_path):
    """Seen to fail when a process looks at its own risk, weights or network gradient alone."""
    one = fit(form, make(), 1, tmp_path, tables)
    two = fit(form, make(), 2, tmp_path, tables)
    assert_equal(two, one.float(), atol=1e-6)  # weights come back from a fork in float32
    expected = torch.load(tmp_path / "1-0.pt")
    ranks = [torch.load(tmp_path / f"2-{rank}.pt") for rank in range(2)]
    for name, value in expected.items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], value, rtol=0, atol=1e-9)


class UnseenByOne(NextItems):
    """Gives the second half of each global batch no unlabeled items."""

    has_saturated_users = True

    def prepare(self, known, facts):
        super().prepare(known, facts)
        self.has_saturated_users = True

    def draw(self, batch, draw):
        items = super().draw(batch, draw)
        return items.fill_(-1) if torch.distributed.get_rank() == 1 else items


@pytest.mark.parametrize("make", DECISIONS, ids=["sign", "reweight", "meta"])
def test_a_process_without_unlabeled_rows_follows_the_other(make):
    """Seen to fail (nothing ever moves) with means over no rows."""
    pl.seed_everything(4, verbose=False)
    moved = Moved()
    model = il.InverseGradientRecommender(
        **TABLES["dense"], inner_lr=1.0, direction="sgd", schedule="every_batch", decision=make()
    )
    trainer = make_trainer(
        callbacks=[OneThread(), RanksAgree(), moved],
        devices=2,
        strategy=DDPStrategy(start_method="fork"),
        max_epochs=1,
        limit_val_batches=0,
    )
    trainer.fit(model, make_data(sampler=UnseenByOne(), batch_size=16))


class Moved(pl.Callback):
    """Fails the run if no step was taken."""

    def __init__(self):
        self.steps = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        shares = pl_module.last_step.shares
        assert float(shares.sum()) == pytest.approx(1)
        assert float(shares[0]) >= 0.5  # the process without rows
        self.steps += int(shares[0] < 1)

    def on_train_end(self, trainer, pl_module):
        assert self.steps > 0


@pytest.mark.parametrize("make", DECISIONS, ids=["sign", "reweight", "meta"])
def test_sharded_parameters_are_refused(make):
    """Seen to fail deep inside torch without the check."""
    model, _ = make_model("mixin", num_users=4, num_items=5, schedule="every_batch")
    model.trainer = make_trainer(devices=2, strategy=ModelParallelStrategy(2, 1))
    message = "use strategy='ddp', or BatchSign"
    with pytest.raises(ValueError, match=message):
        check_decision(make(), model, [("unlabeled_logits", model.unlabeled_criterion)])
    check_decision(BatchSign(), model, [])
    model.decision = make()
    model.configure_callbacks()
    with pytest.raises(ValueError, match=message):
        model.setup("fit")
    callback = il.callbacks.InverseGradientCallback(
        decision=make(), unlabeled_loss=il.losses.InverseDualLoss()
    )
    plain = il.Recommender(GMF, num_users=4, num_items=5)
    plain.trainer = model.trainer
    with pytest.raises(ValueError, match=message):
        callback.setup(plain.trainer, plain, "fit")


def test_modules_without_unlabeled_logits_are_refused():
    """At set-up, before any data is read."""
    module = Manual()
    module.decision = PerExampleSign()
    with pytest.raises(ValueError, match=r"Manual must define unlabeled_logits\(batch\)"):
        make_trainer().fit(module, loader(), loader())
    callback = il.callbacks.InverseGradientCallback(decision=PerExampleSign())
    with pytest.raises(ValueError, match=r"Plain must define unlabeled_logits\(batch\)"):
        make_trainer(callbacks=[callback]).fit(Plain(), loader(), loader())
