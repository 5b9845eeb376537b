"""On a CUDA device: no step waits for it, and the weights are those of the processor.

Skipped where there is no device; tests/modules/test_no_waiting.py looks for the same waits without
one.
"""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.backbones import GMF, NeuMF
from invlightning.sparse import row_totals
from tests.helpers.trainers import make_trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

WARM_UP = 2  # steps in which libraries set themselves up, which waits

BACKBONES = {
    "gmf": partial(GMF, embedding_dim=8),
    "neumf": partial(NeuMF, embedding_dim=8),
    "sparse": partial(NeuMF, embedding_dim=8, sparse=True),
}
MODULES = {
    "idl": partial(il.Recommender, unlabeled_loss=il.losses.InverseDualLoss(prior=0.3)),
    "ig": partial(il.InverseGradientRecommender, schedule="every_batch", direction="sgd"),
    "ig phased": partial(il.InverseGradientRecommender, direction="sgd"),
    "ig by row": partial(
        il.InverseGradientRecommender,
        schedule="every_batch",
        direction="sgd",
        decision=il.inverse.PerExampleReweight(),
    ),
    "ig by net": partial(
        il.InverseGradientRecommender,
        schedule="every_batch",
        direction="sgd",
        decision=il.inverse.MetaWeightNet(),
    ),
}


class Watch(pl.Callback):
    """Makes every wait for the device an error, from the transfer of a batch to its last hook."""

    def __init__(self):
        self.steps = 0

    def on_train_batch_start(self, *args):
        if self.steps >= WARM_UP:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, *args):
        torch.cuda.set_sync_debug_mode("default")
        self.steps += 1

    def on_exception(self, *args):
        torch.cuda.set_sync_debug_mode("default")


class Data(il.SyntheticDataModule):
    """Draws unlabeled items under watch, or on the processor for the same items everywhere."""

    watch = None

    def draw_unlabeled(self, batch):
        if self.watch is None:
            device = batch.users.device
            columns = {name: getattr(batch, name).cpu() for name in ("users", "items", "labels")}
            return super().draw_unlabeled(batch._replace(**columns)).to(device)
        if self.watch.steps >= WARM_UP:
            torch.cuda.set_sync_debug_mode("error")
        items = super().draw_unlabeled(batch)
        torch.cuda.set_sync_debug_mode("default")
        return items


def fit(accelerator, module, backbone, watch=None, max_epochs=2):
    pl.seed_everything(3, verbose=False)
    data = Data(interactions_per_user=20, batch_size=1024)
    data.watch = watch
    # With its sizes it is built here, on the processor; Lightning would build it on the device,
    # whose random numbers differ.
    sizes = {"num_users": data.num_users, "num_items": data.num_items}
    model = MODULES[module](BACKBONES[backbone], optimizer=il.optim.RowSparseAdam, **sizes)
    trainer = make_trainer(
        accelerator=accelerator,
        max_epochs=max_epochs,
        limit_val_batches=0,
        callbacks=[watch] if watch else None,
    )
    trainer.fit(model, data)
    return model


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_no_step_waits(module, backbone):
    watch = Watch()
    fit("cuda", module, backbone, watch)
    assert watch.steps > WARM_UP


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_weights_are_those_of_the_processor(module, backbone):
    expected, found = (fit(device, module, backbone) for device in ("cpu", "cuda"))
    for name, value in expected.backbone.state_dict().items():
        torch.testing.assert_close(
            found.backbone.state_dict()[name].cpu(), value, rtol=1e-3, atol=1e-4
        )


CAPTURED = {
    "plain": (il.Recommender, "gmf"),
    "idl": (MODULES["idl"], "neumf"),
    "idl with dropout": (MODULES["idl"], "dropout"),
    "ig": (MODULES["ig"], "neumf"),
    "ig phased": (MODULES["ig phased"], "neumf"),
    "ig with dropout": (MODULES["ig"], "dropout"),
    "ig by row": (MODULES["ig by row"], "neumf"),
    "ig by net": (MODULES["ig by net"], "neumf"),
}
DROPOUT = partial(NeuMF, embedding_dim=8, dropout=0.2)


def train(name, capture, folder=None, ckpt_path=None, **flags):
    """Trains on the device, eagerly or captured; from a checkpoint if it is given."""
    build, backbone = CAPTURED[name]
    pl.seed_everything(3, verbose=False)
    data = il.SyntheticDataModule(interactions_per_user=20, batch_size=1024, meta_fraction=0.3)
    network = DROPOUT if backbone == "dropout" else BACKBONES[backbone]
    model = build(network, capture=capture)
    trainer = make_trainer(folder, accelerator="cuda", limit_val_batches=0, **flags)
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model, trainer


def assert_same_weights(model, other):
    for (name, value), found in zip(
        model.state_dict().items(), other.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", CAPTURED)
def test_captured_weights_are_those_of_eager_steps(name, precision):
    expected, _ = train(name, False, precision=precision)
    found, _ = train(name, True, precision=precision)
    assert_same_weights(found, expected)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("name", ["idl with dropout", "ig with dropout"])
def test_a_captured_run_goes_on_from_a_checkpoint(name, tmp_path):
    _, half = train(name, True, tmp_path, max_epochs=1)
    path = half.checkpoint_callback.best_model_path
    expected, _ = train(name, False)
    found, _ = train(name, True, tmp_path, ckpt_path=path)
    assert_same_weights(found, expected)


@pytest.mark.parametrize("name", ["idl", "ig"])
def test_nccl_on_one_device(name):
    expected, _ = train(name, False, max_epochs=1)
    found, _ = train(name, False, max_epochs=1, strategy="ddp")
    torch.testing.assert_close(
        dict(found.state_dict()), dict(expected.state_dict()), rtol=1e-5, atol=1e-6
    )


def test_row_totals_equal_coalescing_without_waiting():
    rows = torch.randint(50, (1, 400), device="cuda")
    gradient = torch.sparse_coo_tensor(rows, torch.randn(400, 8, device="cuda"), (50, 8))
    torch.cuda.set_sync_debug_mode("error")
    try:
        found, totals = row_totals(gradient)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(totals, gradient.to_dense()[found], rtol=0, atol=1e-5)
