"""Every method trains every backbone, and learns to rank unseen labeled pairs."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning import losses
from tests.helpers.trainers import make_trainer

BACKBONES = {"GMF": il.backbones.GMF, "NeuMF": partial(il.backbones.NeuMF, dropout=0.0)}
METHODS = {
    "T-CE": (partial(losses.TruncatedLoss, drop_rate=0.05, num_gradual=10), 1),
    "R-CE": (losses.ReweightedLoss, 1),
    "GCE": (partial(losses.PooledRowsLoss, losses.GeneralizedCrossEntropy()), 1),
    "SCE": (partial(losses.PooledRowsLoss, losses.SymmetricCrossEntropy()), 1),
    "nnPU": (partial(losses.NonNegativePULoss, prior=0.2, logistic=True), 1),
    "Rel-MF": (losses.RelevanceLoss, 1),
    "debiased": (losses.DebiasedContrastiveLoss, 8),
    "softmax": (losses.SampledSoftmaxLoss, 8),
    "PSL": (losses.PSLReLULoss, 8),
    "SimCE": (losses.SimCELoss, 2),
    "LLPAUC": (losses.LowerLeftPartialAUCLoss, 8),
    "BPR": (losses.BPRLoss, 1),
}


def fit(backbone, method, folder, max_epochs=4, ckpt_path=None):
    build, num_unlabeled = METHODS[method]
    if ckpt_path is None:
        pl.seed_everything(0, verbose=False)
    data = il.SyntheticDataModule(
        num_users=80,
        num_items=60,
        latent_dim=1,
        interactions_per_user=20,
        noise=0.0,
        batch_size=128,
        num_unlabeled=num_unlabeled,
        meta_fraction=0.0,
    )
    model = il.Recommender(
        partial(BACKBONES[backbone], embedding_dim=8),
        joint_loss=build(),
        optimizer=partial(torch.optim.Adam, lr=0.05),
    )
    trainer = make_trainer(
        max_epochs=max_epochs,
        default_root_dir=folder,
        check_val_every_n_epoch=4,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model, trainer


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_method_learns(method, backbone, tmp_path):
    model, trainer = fit(backbone, method, tmp_path)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert trainer.callback_metrics["val_gauc"] > 0.6


@pytest.mark.resume
@pytest.mark.parametrize("method", ["T-CE", "GCE", "Rel-MF"])
def test_resume_equals_uninterrupted(method, tmp_path):
    """Two and two epochs through a safely loaded checkpoint are four, schedules included."""
    whole, _ = fit("GMF", method, tmp_path)
    _, first = fit("GMF", method, tmp_path, max_epochs=2)
    first.save_checkpoint(tmp_path / "half.ckpt")
    pl.seed_everything(99, verbose=False)
    resumed, _ = fit("GMF", method, tmp_path, ckpt_path=tmp_path / "half.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    loaded = il.load(tmp_path / "half.ckpt")
    assert type(loaded.joint_criterion) is type(whole.joint_criterion)
