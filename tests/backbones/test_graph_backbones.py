"""LightGCN and DMF."""

from functools import partial

import pytest
import torch

from invlightning.backbones import DMF, LightGCN
from invlightning.backbones.layers.graph import PositivePairs, linear_map
from invlightning.testing import BackboneTests
from tests.helpers.facts import ITEMS, USERS, all_pairs, awake, make_facts, state_of
from tests.reference import graph_backbones as oracle

COSINE = partial(DMF, temperature=0.2)


class TestLightGCN(BackboneTests):
    backbone = LightGCN


class TestCosineLightGCN(BackboneTests):
    backbone = partial(LightGCN, temperature=2.0)


class TestDMF(BackboneTests):
    backbone = DMF


class TestCosineDMF(BackboneTests):
    backbone = COSINE


def positive_pairs(facts):
    return list(zip(*(column.tolist() for column in facts.positives()), strict=True))


@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("temperature", [None, 0.2])
def test_lightgcn_matches_the_formula(num_layers, temperature):
    facts = make_facts()
    backbone = awake(LightGCN(USERS, ITEMS, 4, num_layers, temperature), facts)
    tables = (state_of(backbone)[f"{side}.weight"] for side in ("users", "items"))
    expected = oracle.lightgcn(*tables, positive_pairs(facts), num_layers, temperature)
    assert torch.allclose(backbone(*all_pairs()), torch.from_numpy(expected), atol=1e-12)


@pytest.mark.parametrize("num_layers", [0, 2])
@pytest.mark.parametrize("temperature", [None, 0.2])
def test_dmf_matches_the_formula(num_layers, temperature):
    facts = make_facts()
    backbone = awake(DMF(USERS, ITEMS, 4, num_layers, temperature), facts)
    expected = oracle.dmf(state_of(backbone), positive_pairs(facts), USERS, ITEMS, temperature)
    assert torch.allclose(backbone(*all_pairs()), torch.from_numpy(expected), atol=1e-12)


def test_every_positive_pair_is_an_edge_and_nothing_else():
    facts = make_facts()
    pairs = PositivePairs(USERS, ITEMS)
    pairs.start(*facts.positives())
    matrix = torch.from_numpy(oracle.feedback(positive_pairs(facts), USERS, ITEMS))
    assert torch.equal(pairs.sum_items(torch.eye(ITEMS).double()), matrix)
    assert torch.equal(pairs.sum_users(torch.eye(USERS).double()), matrix.T)
    assert pairs.get_extra_state().shape == (2, int(facts.labels.sum()))


def test_linear_map_is_differentiable_in_every_way():
    pairs = PositivePairs(USERS, ITEMS)
    pairs.start(*make_facts().positives())
    table = torch.randn(ITEMS, 2, dtype=torch.float64, requires_grad=True)

    def apply(x):
        return linear_map(x, pairs.sum_items, pairs.sum_users)

    assert torch.autograd.gradcheck(apply, table, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: apply(x).square(), table)
    tangent = torch.randn_like(table)
    value, change = torch.func.jvp(apply, (table.detach(),), (tangent,))
    assert torch.equal(value, apply(table))
    assert torch.equal(change, apply(tangent))


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_order_of_rows_does_not_matter(build):
    facts = make_facts()
    backbone = awake(build(USERS, ITEMS, 4), facts)
    before = backbone(*all_pairs())
    order = torch.randperm(len(facts.users))
    columns = (column[order] for column in (facts.users, facts.items, facts.labels))
    backbone.start_fit(
        facts._replace(**dict(zip(("users", "items", "labels"), columns, strict=True)))
    )
    assert torch.equal(backbone(*all_pairs()), before)


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_without_training_pairs(build):
    with pytest.raises(RuntimeError, match=f"{build.__name__} does not know the positive training"):
        build(USERS, ITEMS)(*all_pairs())


def test_bad_arguments_of_graph_backbones_are_refused():
    with pytest.raises(ValueError, match="num_layers is -1"):
        LightGCN(USERS, ITEMS, num_layers=-1)
    with pytest.raises(ValueError, match="num_layers is -1"):
        DMF(USERS, ITEMS, num_layers=-1)
    for build in (LightGCN, DMF):
        with pytest.raises(ValueError, match="temperature is 0"):
            build(USERS, ITEMS, temperature=0)
    for build in (LightGCN, DMF):
        with pytest.raises(ValueError, match="num_users is 0"):
            build(0, ITEMS)


def test_initialization():
    backbone = LightGCN(3000, 2000)
    assert backbone.users.weight.shape == (3000, 64)
    assert backbone.users.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert backbone.items.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert DMF(3000, 2000).items.weight.std().item() == pytest.approx(0.01, rel=0.02)
