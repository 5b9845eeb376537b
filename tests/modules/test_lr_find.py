"""Lightning's learning-rate finder on the ready modules."""

from functools import partial

import pytest
import torch
from pytorch_lightning.tuner import Tuner

import invlightning as il
from tests.helpers.trainers import make_trainer

GMF = partial(il.backbones.GMF, embedding_dim=4)
MODULES = {
    "recommender": il.Recommender,
    "inverse gradient": partial(il.InverseGradientRecommender, schedule="every_batch"),
    "entire space": il.EntireSpaceRecommender,
}


@pytest.mark.parametrize("name", MODULES)
def test_the_learning_rate_is_found_and_used(name, tmp_path, monkeypatch):
    """Seen to fail: the modules had no attribute to set, which the optimizer now takes."""
    monkeypatch.chdir(tmp_path)
    model = MODULES[name](GMF, optimizer=partial(torch.optim.Adam, lr=0.5))
    data = il.SyntheticDataModule(num_users=60, num_items=50, batch_size=128)
    trainer = make_trainer(tmp_path, max_epochs=1)
    found = Tuner(trainer).lr_find(model, datamodule=data, num_training=20)
    suggested = found.suggestion()
    assert model.lr == suggested is not None
    trainer.fit(model, data)
    assert {group["lr"] for group in trainer.optimizers[0].param_groups} == {suggested}
