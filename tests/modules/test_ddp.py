"""Two processes give the weights and metrics of one."""

from functools import cache, partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy

import invlightning as il
from invlightning.data.loader import TrainLoader
from invlightning.modules.checks import check_sparse_backend
from invlightning.types import LabeledRows
from tests.helpers.forms import (
    FORMS,
    GMF,
    NextItems,
    RanksAgree,
    assert_equal,
    fit,
    make_data,
    make_model,
)
from tests.helpers.processes import run_on_two
from tests.helpers.trainers import make_trainer

pytestmark = pytest.mark.ddp

SPARSE = {
    "backbone": partial(il.backbones.GMF, embedding_dim=4, sparse=True),
    "optimizer": partial(torch.optim.Adagrad, lr=0.1),
}
OPTIONS = {
    "default": {},
    "static graph": {"static_graph": True},
    "unused parameters": {"find_unused_parameters": True},
    "bucket views": {"gradient_as_bucket_view": True},
}


def fork(**options):
    return DDPStrategy(start_method="fork", **options)


def fit_on(processes, form, model_arguments=None, strategy=None, precision=None, **data):
    """Trains on the same global batches whatever the number of processes."""
    callbacks = data.pop("callbacks", [])
    data = make_data(**{"sampler": NextItems(), "batch_size": 32 // processes, **data})
    if processes > 1:
        strategy = strategy if strategy is not None else fork()
    return fit(
        form,
        data,
        model_arguments,
        [RanksAgree(), *callbacks],
        devices=processes,
        strategy=strategy if strategy is not None else "auto",
        precision=precision,
        max_epochs=2,
    )


def assert_two_equal_one(*arguments, batch_size=32, **settings):
    """In float64, where rounding does not blur the comparison."""
    settings["precision"] = "64-true"
    one, trainer = fit_on(1, *arguments, batch_size=batch_size, **settings)
    two, both = fit_on(2, *arguments, batch_size=batch_size // 2, **settings)
    assert_equal(two, one.float(), atol=1e-7)  # weights come back from a fork in float32
    assert_equal_metrics(trainer, both)
    return one


@cache
def alone(form):
    return fit_on(1, form)


def assert_equal_metrics(one, two):
    assert {"val_auc", "val_gauc", "val_recall@20", "val_disliked@20", "val_log_loss"} <= set(
        one.callback_metrics
    )
    for name, value in one.callback_metrics.items():
        if name.startswith("val_"):
            assert float(two.callback_metrics[name]) == pytest.approx(float(value), abs=1e-6)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("form", FORMS)
def test_two_processes_equal_one(form, options):
    """Seen to fail when ranks choose on their own (RanksAgree) and without averaged directions."""
    one, trainer = alone(form)
    two, both = fit_on(2, form, strategy=fork(**options))
    assert_equal(two, one, atol=1e-6)
    assert_equal_metrics(trainer, both)


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_two_nodes_equal_one(form, tmp_path):
    """One process on each of two nodes, started as torchrun does."""

    def work(rank):
        data = make_data(sampler=NextItems(), batch_size=16)
        flags = {"strategy": "ddp", "num_nodes": 2, "max_epochs": 2}
        model, _ = fit(form, data, callbacks=[RanksAgree()], **flags)
        torch.save(model.state_dict(), tmp_path / f"{rank}.pt")

    run_on_two(work, nodes=2)
    one, _ = alone(form)
    for rank in range(2):
        two = torch.load(tmp_path / f"{rank}.pt")
        for name, value in one.state_dict().items():
            torch.testing.assert_close(two[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["idl", "mixin", "callback"])
def test_sparse_tables_on_two_processes_equal_one(form):
    """Seen to fail when each rank moves the rows of its own batch only (RanksAgree)."""
    assert_two_equal_one(form, SPARSE)


class CountingDDP(DDPStrategy):
    """Notes what the inverse gradient step sends."""

    def setup(self, trainer):
        super().setup(trainer)
        gather, sent = torch.distributed.all_gather, []
        self.lightning_module.sent = sent

        def all_gather(found, values):
            sent.append(("gather", values.numel()))
            return gather(found, values)

        torch.distributed.all_gather = all_gather  # in the forked process alone

    def reduce(self, tensor, group=None, reduce_op="mean"):
        if reduce_op == "mean" and isinstance(tensor, torch.Tensor):
            self.lightning_module.sent.append(("reduce", tensor.numel()))
        return super().reduce(tensor, group, reduce_op)


class CheckTraffic(pl.Callback):
    """Compares the messages of each batch with what they should be."""

    def __init__(self, is_sparse):
        self.is_sparse = is_sparse

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pl_module.sent.clear()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        sent, count = pl_module.sent, sum(p.numel() for p in pl_module.parameters())
        if not batch.is_meta:
            assert sent == []
        elif not self.is_sparse:
            assert sent == [("reduce", count), ("reduce", 3)]
        else:
            head = sum(p.numel() for p in pl_module.backbone.output.parameters())
            kinds = [("reduce", head), ("gather", 2), ("gather", sent[2][1]), ("reduce", 3)]
            assert sent == kinds
            # Bytes of at most 16 users and 16 items: an int64 index and four float32 each.
            assert sent[2][1] <= 2 * 16 * (8 + 4 * 4)
        pl_module.sent.clear()


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
def test_one_message_for_the_direction_and_one_for_the_risks(is_sparse):
    """Seen to fail with a message for every parameter, and with whole tables of sparse ones."""
    arguments = SPARSE if is_sparse else None
    callbacks = [CheckTraffic(is_sparse)]
    strategy = CountingDDP(start_method="fork")
    data = make_data(batch_size=16)
    fit(
        "mixin",
        data,
        arguments,
        callbacks,
        devices=2,
        strategy=strategy,
        limit_val_batches=0,
        max_epochs=1,
    )


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_ragged_last_batches(form):
    """Global batches of 24 rows leave ragged ends of both parts; every row is trained on."""
    one = assert_two_equal_one(form, batch_size=24)
    sizes = {len(batch.users) for batch in one.trainer.train_dataloader}
    assert len(sizes) > 1
    assert not any(size % 2 for size in sizes), "an odd rest would lose a row on two processes"


class EvenUsers(il.data.Split):
    """Keeps 80 rows of users with an even index, so of the first process alone, to validate on."""

    def __call__(self, interactions, seed=42):
        parts = np.zeros(len(interactions), dtype=np.uint8)
        parts[np.flatnonzero(interactions.users % 2 == 0)[:80]] = 1
        return parts


def test_a_process_without_evaluation_rows():
    """Seen to fail when each rank counts its own evaluation batches."""
    settings = {"eval_batch_size": 8, "ranking_batch_size": 4, "meta_fraction": 0}
    assert_two_equal_one("plain", split=EvenUsers(), **settings)


class KeepDraws(pl.Callback):
    """Writes the unlabeled items of each process."""

    def __init__(self, folder):
        self.folder, self.draws = folder, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.draws.append(batch.unlabeled_items)

    def on_train_end(self, trainer, pl_module):
        torch.save(torch.cat(self.draws), self.folder / f"{trainer.global_rank}.pt")


def test_negatives_differ_between_ranks_and_are_reproducible(tmp_path):
    """Seen to fail with draws that are not seeded."""
    draws = []
    for run in range(2):
        folder = tmp_path / str(run)
        folder.mkdir()
        two, _ = fit_on(2, "mixin", callbacks=[KeepDraws(folder)], sampler=il.data.UniformSampler())
        draws.append([torch.load(folder / f"{rank}.pt") for rank in range(2)] + [two])
    for rank in range(2):
        assert torch.equal(draws[0][rank], draws[1][rank])
    assert_equal(draws[0][2], draws[1][2])
    first, second = draws[0][:2]
    assert first.shape == second.shape
    assert (first == second).float().mean() < 0.5


def test_same_users_still_draw_differently_on_each_rank():
    """Seen to fail with batch seeds that leave the rank out."""
    batches = []
    for rank in range(2):
        data = make_data(sampler=il.data.UniformSampler())
        data.setup()
        rows = LabeledRows(torch.zeros(64).int(), torch.arange(64) % 30, torch.ones(64))
        loader = TrainLoader(rows, None, batch_size=32, seed=1, rank=rank, world_size=2)
        batches.append(data.draw_unlabeled(next(iter(loader))))
    assert not torch.equal(*batches)


def test_nccl_refuses_sparse_tables():
    model, _ = make_model("plain", **SPARSE, num_users=4, num_items=5)
    trainer = make_trainer(
        accelerator="cpu", devices=2, strategy=fork(process_group_backend="nccl")
    )
    model.trainer = trainer
    with pytest.raises(ValueError, match="sparse=False"):
        check_sparse_backend(model)
    dense, _ = make_model("plain", backbone=GMF, num_users=4, num_items=5)
    dense.trainer = trainer
    check_sparse_backend(dense)
