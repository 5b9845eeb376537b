"""Forward-mode derivatives, which decisions about single rows take, pass through every backbone."""

from functools import partial

import pytest
import torch
from torch.autograd import forward_ad

from invlightning.backbones import (
    CML,
    DMF,
    MLP,
    BiasedMF,
    DeepFM,
    ExposureMF,
    FactorizationMachine,
    GRU4Rec,
    LightGCN,
    SASRec,
)
from tests.helpers.facts import ITEMS, USERS, all_pairs, awake, make_facts

BACKBONES = [
    BiasedMF,
    MLP,
    LightGCN,
    DMF,
    CML,
    FactorizationMachine,
    partial(DeepFM, dropout=0.0),
    ExposureMF,
    partial(GRU4Rec, dropout=0.0, hidden_dim=4),
    partial(SASRec, dropout=0.0),
]


@pytest.mark.parametrize(
    "build", BACKBONES, ids=lambda build: getattr(build, "func", build).__name__
)
def test_forward_mode_is_the_slope(build):
    backbone = awake(build(USERS, ITEMS, embedding_dim=4), make_facts(features=(2, 3)), std=0.3)
    values = {name: p.detach().clone() for name, p in backbone.named_parameters()}
    tangents = {name: torch.randn_like(value) for name, value in values.items()}
    backbone(*all_pairs())  # what it remembers must not get in the way

    def logits(step):
        moved = {name: value + step * tangents[name] for name, value in values.items()}
        return torch.func.functional_call(backbone, moved, all_pairs())

    with torch.no_grad():
        slope = (logits(1e-5) - logits(-1e-5)) / 2e-5
        with forward_ad.dual_level():
            duals = {n: forward_ad.make_dual(v, tangents[n]) for n, v in values.items()}
            result = torch.func.functional_call(backbone, duals, all_pairs())
            tangent = forward_ad.unpack_dual(result).tangent
    assert slope.abs().max() > 0.1
    assert torch.allclose(tangent, slope, rtol=1e-5, atol=1e-6)
