"""CML, factorization machines and DeepFM."""

from functools import partial

import pytest
import torch

from invlightning.backbones import CML, BiasedMF, DeepFM, FactorizationMachine
from invlightning.backbones.layers import tower
from invlightning.testing import BackboneTests
from invlightning.types import TrainingFacts
from tests.helpers.facts import ITEMS, USERS, all_pairs, awake, make_facts, state_of
from tests.reference import feature_backbones as oracle

DEEP = partial(DeepFM, hidden_dim=6, num_layers=2)
FEATURES = [(0, 0), (3, 0), (0, 2), (3, 2)]


class FeatureTests(BackboneTests):
    def facts(self) -> TrainingFacts:
        return make_facts(features=(3, 2))


class TestCML(BackboneTests):
    backbone = CML


class TestSparseCML(BackboneTests):
    backbone = partial(CML, sparse=True)


class TestMachineOfIds(BackboneTests):
    backbone = FactorizationMachine


class TestFactorizationMachine(FeatureTests):
    backbone = FactorizationMachine


class TestSparseMachine(FeatureTests):
    backbone = partial(FactorizationMachine, sparse=True)


class TestDeepFM(FeatureTests):
    backbone = DeepFM


def table(logit):
    """All logits, pair by pair."""
    rows = [[float(logit(user, item)) for item in range(ITEMS)] for user in range(USERS)]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("std", [0.1, 0.5])  # inside and outside of the ball
def test_cml_matches_the_formula(std):
    backbone = awake(CML(USERS, ITEMS, 4), std=std)
    state = state_of(backbone)
    points = (state["users.weight"], state["items.weight"])
    expected = table(lambda u, i: oracle.cml(points[0][u], points[1][i], state["margin"][0]))
    assert torch.allclose(backbone(*all_pairs()), expected, atol=1e-12)


def test_cml_is_a_metric():
    """Points on the same ray beyond the ball coincide; nothing is nearer than itself."""
    backbone = CML(2, 2, 3)
    with torch.no_grad():
        backbone.users.weight.copy_(torch.tensor([[5.0, 0, 0], [0, 0, 0]]))
        backbone.items.weight.copy_(torch.tensor([[2.0, 0, 0], [0, -9.0, 0]]))
    logits = backbone(torch.tensor([[0], [1]]), torch.arange(2))
    assert torch.equal(logits, backbone.margin - torch.tensor([[0.0, 2], [1, 1]]))
    logits.sum().backward()
    assert backbone.users.weight.grad.isfinite().all()  # also at the origin


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize(
    ("build", "formula"),
    [(FactorizationMachine, oracle.factorization_machine), (DEEP, oracle.deepfm)],
)
def test_machines_match_the_formula(build, formula, features):
    facts = make_facts(features=features)
    backbone = awake(build(USERS, ITEMS, embedding_dim=4), facts).eval()
    values = {"users": facts.user_features, "items": facts.item_features}
    rows = {"users": USERS, "items": ITEMS}
    values = {
        side: [()] * rows[side] if table is None else table.double().numpy()
        for side, table in values.items()
    }
    state = state_of(backbone)
    expected = table(lambda user, item: formula(state, values, user, item))
    assert torch.allclose(backbone(*all_pairs()), expected, atol=1e-12)


def test_a_machine_of_ids_is_biased_matrix_factorization():
    machine, factorization = awake(FactorizationMachine(USERS, ITEMS, 4)), BiasedMF(USERS, ITEMS, 4)
    names = {
        "users.weight": "users.ids.weight",
        "items.weight": "items.ids.weight",
        "user_bias.weight": "users.id_weights.weight",
        "item_bias.weight": "items.id_weights.weight",
        "bias": "bias",
    }
    state = machine.state_dict()
    factorization.double().load_state_dict({own: state[name] for own, name in names.items()})
    assert torch.allclose(machine(*all_pairs()), factorization(*all_pairs()), atol=1e-12)


@pytest.mark.parametrize("floats", [1, 200, 10**6])
def test_deepfm_in_blocks(floats, monkeypatch):
    monkeypatch.setattr(tower, "_CPU_BLOCK_FLOATS", floats)
    backbone = awake(DEEP(USERS, ITEMS), make_facts(features=(3, 2))).eval()
    expected = backbone(*all_pairs())
    users = torch.arange(USERS)
    assert torch.allclose(backbone.score_all(users), expected, atol=1e-12)
    assert torch.allclose(backbone.score_range(users, 4, 9), expected[:, 4:9], atol=1e-12)
    assert backbone.score_range(users, 5, 5).shape == (USERS, 0)


@pytest.mark.parametrize("build", [FactorizationMachine, DeepFM])
def test_training_again_keeps_what_was_learned(build):
    facts = make_facts(features=(3, 2))
    backbone = awake(build(USERS, ITEMS), facts).eval()
    before = backbone(*all_pairs())
    backbone.start_fit(facts)
    assert torch.equal(backbone(*all_pairs()), before)
    backbone.start_fit(facts._replace(item_features=facts.item_features + 1))
    assert not torch.allclose(backbone(*all_pairs()), before)
    for other in (facts._replace(item_features=None), make_facts(features=(3, 4))):
        with pytest.raises(ValueError, match="trained with 2 features, the data has"):
            backbone.start_fit(other)


def test_sparse_machine_touches_what_the_batch_touches():
    backbone = FactorizationMachine(USERS, ITEMS, sparse=True)
    backbone.start_fit(make_facts(features=(3, 2)))
    backbone(torch.tensor([1]), torch.tensor([2])).sum().backward()
    assert backbone.users.ids.weight.grad.is_sparse
    assert not backbone.users.features.weight.grad.is_sparse


def test_dropout_acts_in_training_only():
    backbone = awake(DEEP(USERS, ITEMS, dropout=0.5))
    assert not torch.equal(backbone(*all_pairs()), backbone(*all_pairs()))
    backbone.eval()
    assert torch.equal(backbone(*all_pairs()), awake(DEEP(USERS, ITEMS)).eval()(*all_pairs()))


def test_bad_arguments_of_feature_backbones_are_refused():
    for build in (CML, FactorizationMachine, DeepFM):
        with pytest.raises(ValueError, match="embedding_dim is 0"):
            build(USERS, ITEMS, embedding_dim=0)
    with pytest.raises(ValueError, match="hidden_dim is 0"):
        DeepFM(USERS, ITEMS, hidden_dim=0)
    with pytest.raises(ValueError, match=r"dropout is 1\.0"):
        DeepFM(USERS, ITEMS, dropout=1.0)


def test_initialization():
    backbone = CML(3000, 2000, 25)
    assert backbone.users.weight.std().item() == pytest.approx(0.2, rel=0.02)
    assert backbone(*all_pairs(300, 300)).mean().abs() < 0.3  # logits start around zero
    machine = FactorizationMachine(3000, 2000)
    machine.start_fit(make_facts(num_users=3000, num_items=2000, features=(400, 0)))
    for weight in (machine.users.ids.weight, machine.users.features.weight):
        assert weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not machine.users.feature_weights.weight.any()
