"""Nothing in a training step reads a value or a size that an accelerator would have to wait for.

On a processor such reads are free, so they are found by the operators that stand for them. The
same is checked on a real device in tests/test_gpu.py.
"""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import invlightning as il
from invlightning import sparse as row_sparse
from invlightning.backbones import GMF, BiasedMF, NeuMF
from invlightning.backbones.layers.tower import Tower
from tests.helpers.trainers import make_trainer

aten = torch.ops.aten
WAITS = {
    aten._local_scalar_dense,
    aten.equal,
    aten.masked_select,
    aten.nonzero,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
    aten.repeat_interleave,
}


class NoWaiting(TorchDispatchMode):
    """Refuses operators whose result, or whose size, the host has to wait for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        indices = args[1] if func is aten.index.Tensor else ()
        masks = [i for i in indices if i is not None and i.dtype == torch.bool]
        assert func.overloadpacket not in WAITS, f"{func} waits for the device"
        assert not masks, "indexing by a mask waits for the number of its entries"
        return func(*args, **(kwargs or {}))


class Watch(pl.Callback):
    """Watches everything between the two hooks, which is the whole training step."""

    def __init__(self):
        self.mode, self.steps = NoWaiting(), 0

    def on_train_batch_start(self, *args):
        self.mode.__enter__()

    def on_train_batch_end(self, *args):
        self.mode.__exit__(None, None, None)
        self.steps += 1

    def on_exception(self, *args):
        self.mode.__exit__(None, None, None)


class WatchedData(il.SyntheticDataModule):
    """Draws the unlabeled items under watch."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        with NoWaiting():
            return super().on_after_batch_transfer(batch, dataloader_idx)


BACKBONES = {
    "gmf": partial(GMF, embedding_dim=4),
    "biased mf": partial(BiasedMF, embedding_dim=4),
    "neumf": partial(NeuMF, embedding_dim=4, dropout=0.1),
    "sparse": partial(GMF, embedding_dim=4, sparse=True),
}
MODULES = {
    "labeled": il.Recommender,
    "idl": partial(il.Recommender, unlabeled_loss=il.losses.InverseDualLoss(prior=0.3)),
    "ig": partial(il.InverseGradientRecommender, schedule="every_batch"),
    "ig phased": il.InverseGradientRecommender,
    "ig by row": partial(
        il.InverseGradientRecommender,
        schedule="every_batch",
        decision=il.inverse.PerExampleReweight(),
    ),
    "ig by net": partial(
        il.InverseGradientRecommender,
        schedule="every_batch",
        direction="sgd",
        decision=il.inverse.MetaWeightNet(),
    ),
}


@pytest.fixture(autouse=True)
def _as_on_an_accelerator(monkeypatch):
    """Takes the forms for accelerators, which never ask for a value or a number of rows."""
    for module in ("invlightning.inverse.displacement", "invlightning.inverse.step"):
        monkeypatch.setattr(f"{module}.is_on_host", lambda tensor: False)
    monkeypatch.setattr(Tower, "_half_of_rows", Tower._half)
    monkeypatch.setattr(row_sparse, "_distinct_totals", row_sparse._repeated_totals)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_no_step_waits(module, backbone, tmp_path):
    """Seen to fail when the chosen coefficient was read by an index that is a tensor."""
    watch = Watch()
    # Adam of torch reads a step count that lies on the processor in any case.
    model = MODULES[module](BACKBONES[backbone], optimizer=il.optim.RowSparseAdam)
    data = WatchedData(interactions_per_user=20, batch_size=4096)
    # Clipping row-sparse gradients waits for the number of rows.
    clip = None if backbone == "sparse" else 0.1
    make_trainer(callbacks=[watch], limit_val_batches=0, gradient_clip_val=clip, max_epochs=1).fit(
        model, data
    )
    assert watch.steps == len(data.train_dataloader())


def test_no_waiting_refuses_what_waits():
    table = torch.arange(5)
    for waits in (
        lambda: table[table.sum() // 5],
        lambda: table[table > 2],
        lambda: bool(table.sum()),
        lambda: table.nonzero(),
        lambda: table.unique(),
    ):
        with pytest.raises(AssertionError, match="waits"), NoWaiting():
            waits()
