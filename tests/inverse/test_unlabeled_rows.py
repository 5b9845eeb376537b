"""Tangents of the unlabeled rows: row-sparse displacements, random numbers, every backbone."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from invlightning import backbones
from invlightning.inverse import (
    InverseGradient,
    MetaWeightNet,
    PerExampleReweight,
    PerExampleSign,
    UnlabeledRows,
)
from tests.helpers.facts import ITEMS, USERS, awake, make_facts

BACKBONES = {
    "biased mf": backbones.BiasedMF,
    "cml": backbones.CML,
    "deepfm": backbones.DeepFM,
    "dmf": backbones.DMF,
    "fm": backbones.FactorizationMachine,
    "gmf": backbones.GMF,
    "gru4rec": backbones.GRU4Rec,
    "lightgcn": backbones.LightGCN,
    "mlp": backbones.MLP,
    "neumf": backbones.NeuMF,
    "sasrec": backbones.SASRec,
    "sparse cml": partial(backbones.CML, sparse=True),
    "sparse deepfm": partial(backbones.DeepFM, sparse=True),
    "sparse fm": partial(backbones.FactorizationMachine, sparse=True),
    "sparse neumf": partial(backbones.NeuMF, sparse=True),
}


class Unlabeled(nn.Module):
    """A backbone that scores unlabeled pairs."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def unlabeled_logits(self, batch):
        users, items = batch
        return self.backbone(users.unsqueeze(1), items)


def batch_of(rows=5, num_users=USERS, num_items=ITEMS):
    generator = torch.Generator().manual_seed(2)
    users = torch.randint(num_users, (rows,), generator=generator)
    return users, torch.randint(num_items, (rows, 2), generator=generator)


def row_sparse(displacement, rows):
    return torch.sparse_coo_tensor(rows[None], displacement[rows], displacement.shape)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", BACKBONES)
def test_tangents_are_products_with_the_gradients_of_rows(name, training):
    """Also with dropout, whose entries are the same in both; seen to fail with other ones."""
    features = (2, 3) if "fm" in name else (0, 0)
    backbone = awake(BACKBONES[name](USERS, ITEMS), make_facts(features=features), std=0.3)
    module = Unlabeled(backbone).train(training)
    rows = UnlabeledRows(module, "unlabeled_logits", batch_of(), torch.mean)
    parameters = list(module.parameters())
    looked_up = {m.weight for m in module.modules() if isinstance(m, nn.Embedding) and m.sparse}
    displacement = [torch.randn_like(p) for p in parameters]
    given = [
        row_sparse(v, torch.randperm(len(v))[: len(v) // 2 + 1]) if p in looked_up else v
        for p, v in zip(parameters, displacement, strict=True)
    ]
    found = rows.tangent(parameters, given)
    for logit, derivative in zip(rows.logits().flatten(), found.flatten(), strict=True):
        gradients = torch.autograd.grad(logit, parameters, retain_graph=True, allow_unused=True)
        expected = sum(
            (g.to_dense() * v.to_dense()).sum()
            for g, v in zip(gradients, given, strict=True)
            if g is not None
        )
        torch.testing.assert_close(derivative, expected, rtol=1e-9, atol=1e-12)


def test_the_generators_stay_where_they_were():
    module = Unlabeled(awake(backbones.MLP(USERS, ITEMS, dropout=0.5))).train()
    rows = UnlabeledRows(module, "unlabeled_logits", batch_of(), torch.mean)
    state = torch.get_rng_state()
    logits = rows.logits()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(rows.logits(), logits)
    parameters = list(module.parameters())
    rows.tangent(parameters, [None] * len(parameters))
    assert torch.equal(torch.get_rng_state(), state)


def test_no_displacement_has_no_tangent():
    module = Unlabeled(backbones.GMF(USERS, ITEMS, sparse=True))
    parameters = list(module.parameters())
    rows = UnlabeledRows(module, "unlabeled_logits", batch_of(), torch.mean)
    nothing = [row_sparse(p.detach(), torch.arange(0)) for p in parameters[:2]]
    for displacement in ([None] * 4, [*nothing, None, None]):
        assert not rows.tangent(parameters, displacement).any()


def test_repeated_rows_count_once():
    """As sums over rows come from an accelerator: each entry with the total of its row."""
    module = Unlabeled(awake(backbones.GMF(USERS, ITEMS, sparse=True)))
    parameters = list(module.parameters())
    users = parameters[0]
    entries = torch.tensor([3, 1, 3, 6])
    values = torch.randn(4, users.shape[1], dtype=torch.float64)
    repeated = torch.sparse_coo_tensor(entries[None], values, users.shape)
    rows = UnlabeledRows(module, "unlabeled_logits", batch_of(), torch.mean)
    others = [None] * (len(parameters) - 1)
    expected = rows.tangent(parameters, [repeated.to_dense(), *others])
    assert expected.any()
    torch.testing.assert_close(rows.tangent(parameters, [repeated, *others]), expected)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that does not share the memory of given ones."""

    def __init__(self, known):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        is_tensor = isinstance(found, torch.Tensor) and not found.is_sparse
        if is_tensor and found.untyped_storage().data_ptr() not in self.known:
            self.numel = max(self.numel, found.numel())
        return found


@pytest.mark.parametrize("decision", [PerExampleSign(), PerExampleReweight(), MetaWeightNet()])
def test_no_tensor_of_the_size_of_a_sparse_table(decision):
    """Seen to fail with a dense gradient of the risk."""
    size = 10_000
    module = Unlabeled(backbones.NeuMF(size, size, embedding_dim=4, sparse=True))
    users, items = batch_of(5, size, size)
    rows = UnlabeledRows(module, "unlabeled_logits", (users, items), lambda s: s.sigmoid().mean())
    with Largest(module.parameters()) as largest:
        InverseGradient(0.1, "sgd", decision).step(
            list(module.parameters()),
            lambda: None,
            lambda: nn.functional.softplus(module.backbone(users, items[:, 0])).mean(),
            rows=rows,
        )
    assert largest.numel < size
