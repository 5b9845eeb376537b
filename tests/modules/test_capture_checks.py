"""What no CUDA graph can hold is refused at set-up, in one sentence with the way out."""

from functools import partial
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

import invlightning as il
from invlightning.modules.capture_checks import check_device
from tests.helpers.forms import ADAM, GMF, NextItems, fit, make_data
from tests.helpers.graph_double import GraphDouble

PLAIN = partial(il.Recommender, GMF, optimizer=ADAM, capture=True)
IG = partial(il.InverseGradientRecommender, optimizer=ADAM, schedule="every_batch", capture=True)
DROPOUT = partial(il.backbones.NeuMF, embedding_dim=4, dropout=0.2)
SPARSE = partial(il.backbones.GMF, embedding_dim=4, sparse=True)
BY_ROW = partial(IG, decision=il.inverse.PerExampleReweight())


class OwnStep(il.Recommender):
    def training_step(self, batch, batch_idx):
        return 2 * super().training_step(batch, batch_idx)


class LooksAtTheGraph(il.Recommender):
    def on_before_backward(self, loss):
        assert loss.requires_grad


class GraphCallback(pl.Callback):
    def on_before_backward(self, trainer, pl_module, loss):
        assert loss.requires_grad


class SomeKnowAll(NextItems):
    has_saturated_users = True

    def prepare(self, known, facts):
        super().prepare(known, facts)
        self.has_saturated_users = True


class Scaled(pl.plugins.MixedPrecision):
    def __init__(self):
        super().__init__("bf16-mixed", "cpu")
        self.scaler = torch.amp.GradScaler("cpu")


REFUSED = {
    "sparse tables": (
        lambda: il.Recommender(SPARSE, optimizer=il.optim.RowSparseAdam, capture=True),
        {},
        "build it with sparse=False",
    ),
    "accumulation": (PLAIN, {"accumulate_grad_batches": 2}, "accumulate_grad_batches=1"),
    "accumulation by epochs": (
        PLAIN,
        {"callbacks": [GradientAccumulationScheduler({1: 2})]},
        "accumulate_grad_batches=1",
    ),
    "scaler": (PLAIN, {"plugins": [Scaled()]}, "use precision='bf16-mixed'"),
    "own step": (partial(OwnStep, GMF, capture=True), {}, r"OwnStep defines training_step.*step_l"),
    "own hook": (
        partial(LooksAtTheGraph, GMF, capture=True),
        {},
        "LooksAtTheGraph.on_before_backward",
    ),
    "hook of a callback": (PLAIN, {"callbacks": [GraphCallback()]}, "GraphCallback.on_before"),
    "lbfgs": (
        partial(il.Recommender, GMF, optimizer=torch.optim.LBFGS, capture=True),
        {},
        "LBFGS evaluates the loss several times",
    ),
    "rows with dropout": (partial(BY_ROW, DROPOUT), {}, "may differ in training.*use BatchSign"),
    "rows of a compiled network": (partial(BY_ROW, GMF, compile=True), {}, "network is compiled"),
    "inner steps of ig": (
        partial(IG, SPARSE, optimizer=il.optim.RowSparseAdam),
        {},
        "build it with sparse=False",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_graph_can_hold_is_refused(case, monkeypatch):
    build, flags, message = REFUSED[case]
    double = GraphDouble(monkeypatch)
    monkeypatch.setattr(torch.nn.Module, "compile", _mark_as_compiled)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        fit(lambda: (build(), []), **{**flags, "callbacks": [double, *flags.get("callbacks", [])]})
    assert not double.recorded


def _mark_as_compiled(self):
    self._compiled_call_impl = self._call_impl


@pytest.mark.parametrize("form", ["module", "callback"])
def test_users_who_know_every_item_change_the_shapes(form, monkeypatch):
    GraphDouble(monkeypatch)
    data = make_data(sampler=SomeKnowAll())

    def build():
        if form == "module":
            return IG(GMF), []
        callback = il.callbacks.InverseGradientCallback(
            unlabeled_loss=il.losses.InverseDualLoss(), capture=True
        )
        return il.Recommender(GMF, optimizer=ADAM), [callback]

    with pytest.raises(ValueError, match="some users know every item"):
        fit(build, data)


@pytest.mark.parametrize("form", ["module", "mixin", "callback"])
def test_a_processor_is_refused(form):
    def build():
        if form == "callback":
            callback = il.callbacks.InverseGradientCallback(
                unlabeled_loss=il.losses.InverseDualLoss(), capture=True
            )
            return il.Recommender(GMF, optimizer=ADAM), [callback]
        return (PLAIN() if form == "module" else IG(GMF)), []

    with pytest.raises(ValueError, match=r"trains on cpu: use accelerator=.gpu."):
        fit(build)


def test_several_processes_are_refused():
    device = torch.device("cuda", 0)
    one = SingleDeviceStrategy(device)
    check_device(SimpleNamespace(strategy=one))
    several = DDPStrategy(parallel_devices=[device])
    several.cluster_environment = SimpleNamespace(local_rank=lambda: 0)
    with pytest.raises(ValueError, match="strategy is DDPStrategy: use devices=1"):
        check_device(SimpleNamespace(strategy=several))
