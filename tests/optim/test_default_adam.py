"""The optimizer of those who name none."""

from functools import partial

import pytest
import torch
from torch import nn

import invlightning as il
from invlightning.optim import default_adam
from tests.helpers.trainers import make_trainer

SIZES = {"num_users": 30, "num_items": 40, "interactions_per_user": 20, "batch_size": 64}


def train(**arguments):
    torch.manual_seed(0)
    backbone = partial(il.backbones.NeuMF, embedding_dim=4, dropout=0.2)
    model = il.Recommender(backbone, num_users=30, num_items=40, **arguments)
    trainer = make_trainer(gradient_clip_val=0.1)
    trainer.fit(model, il.SyntheticDataModule(**SIZES))
    return model, trainer.optimizers[0]


def test_fused_weights_are_those_of_plain_adam():
    """Seen to fail with another learning rate."""
    model, optimizer = train()
    plain, unfused = train(optimizer=partial(torch.optim.Adam, lr=1e-3))
    assert (optimizer.defaults["fused"], unfused.defaults["fused"]) == (True, None)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_precision_takes_a_step(dtype):
    weight = nn.Parameter(torch.ones(3, dtype=dtype))
    optimizer = default_adam([weight], lr=0.5)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert optimizer.defaults["fused"]
    torch.testing.assert_close(weight, torch.full_like(weight, 0.5))


def test_scaled_gradients_are_left_to_the_scaler():
    """A fused Adam would unscale after clipping. Seen to fail with fused=True."""
    weight = nn.Parameter(torch.ones(3))
    assert default_adam([weight], scaled=True).defaults["fused"] is None
    model = il.Recommender(il.backbones.GMF, num_users=3, num_items=4)
    model._trainer = make_trainer()
    model._trainer.precision_plugin.scaler = object()
    assert model.configure_optimizers().defaults["fused"] is None


def test_a_device_without_a_fused_kernel_gets_the_plain_one():
    weight = nn.Parameter(torch.ones(3, device="meta"))
    assert default_adam([weight]).defaults["fused"] is None
