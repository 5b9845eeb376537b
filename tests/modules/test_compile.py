"""``compile=True`` compiles the backbone, in place and nothing else."""

import shutil
from functools import partial

import pytest
import torch

import invlightning as il
from invlightning.backbones import GMF, NeuMF
from tests.helpers.trainers import make_trainer

SIZES = {"num_users": 30, "num_items": 20}
MODULES = [
    partial(il.Recommender, unlabeled_loss=il.losses.InverseDualLoss()),
    partial(il.InverseGradientRecommender, schedule="every_batch"),
    partial(
        il.InverseGradientRecommender,
        schedule="every_batch",
        decision=il.inverse.PerExampleReweight(),
    ),
]


@pytest.fixture
def compiled(monkeypatch):
    """Backbones that were compiled; without the compiler, which takes a minute."""
    found = []

    def compile_in_place(self, *args, **kwargs):
        found.append(type(self))
        self._compiled_call_impl = torch.compile(self._call_impl, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_in_place)
    return found


def fit(make, tmp_path, backbone=NeuMF, **options):
    torch.manual_seed(1)
    model = make(partial(backbone, embedding_dim=4), **options)
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    trainer = make_trainer(folder, max_epochs=1, limit_train_batches=3)
    data = il.SyntheticDataModule(**SIZES, interactions_per_user=10, batch_size=64)
    trainer.fit(model, data)
    return model, trainer


@pytest.mark.parametrize("make", MODULES)
@pytest.mark.parametrize("sizes", [{}, SIZES])
def test_the_backbone_alone_is_compiled(make, sizes, compiled, tmp_path):
    model, trainer = fit(make, tmp_path, compile=True, **sizes)
    assert compiled == [NeuMF]
    plain, _ = fit(make, tmp_path, **sizes)
    assert compiled == [NeuMF]
    assert model.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.backbone.state_dict().items():
        torch.testing.assert_close(model.backbone.state_dict()[name], value, rtol=0, atol=1e-6)
    loaded = il.load(trainer.checkpoint_callback.best_model_path)
    assert compiled == [NeuMF, NeuMF]
    assert torch.equal(loaded.backbone.output.weight, model.backbone.output.weight)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the compiler of torch needs g++")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_the_real_compiler_gives_the_same_weights(tmp_path):
    """The candidates of inverse gradients are seen by compiled code too.

    Seen to fail when the flag was ignored.
    """
    make = MODULES[1]
    model, _ = fit(make, tmp_path, GMF, compile=True, inner_lr=0.05)
    plain, _ = fit(make, tmp_path, GMF, inner_lr=0.05)
    assert model.backbone._compiled_call_impl is not None
    assert plain.backbone._compiled_call_impl is None
    for name, value in plain.backbone.state_dict().items():
        torch.testing.assert_close(model.backbone.state_dict()[name], value, rtol=0, atol=1e-5)
