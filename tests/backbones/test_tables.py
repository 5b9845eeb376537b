"""LightGCN, DMF and the memory of their tables."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch.autograd import forward_ad

from invlightning.backbones import DMF, LightGCN
from invlightning.backbones.pairs import PositivePairs, linear_map
from invlightning.modes import evaluation_mode
from invlightning.testing import BackboneTests
from tests.facts import ITEMS, USERS, all_pairs, awake, make_facts, state_of
from tests.reference import graph_backbones as oracle

COSINE = partial(DMF, temperature=0.2)
# What torch warns of when it loads its own rules of forward-mode derivatives.
FORWARD_MODE = "ignore:.torch.jit.script. is deprecated:DeprecationWarning"


class TestLightGCN(BackboneTests):
    backbone = LightGCN


class TestDMF(BackboneTests):
    backbone = DMF


class TestCosineDMF(BackboneTests):
    backbone = COSINE


def positive_pairs(facts):
    return list(zip(*(column.tolist() for column in facts.positives()), strict=True))


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_lightgcn_matches_the_formula(num_layers):
    facts = make_facts()
    backbone = awake(LightGCN(USERS, ITEMS, 4, num_layers), facts)
    state = state_of(backbone)
    expected = oracle.lightgcn(
        state["users.weight"], state["items.weight"], positive_pairs(facts), num_layers
    )
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


@pytest.mark.filterwarnings(FORWARD_MODE)
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


# ---------------------------------------------------------------------------------- memory


def counting(backbone, monkeypatch):
    """Counts how often the tables are computed."""
    calls, compute = [], backbone.compute_tables
    monkeypatch.setattr(backbone, "compute_tables", lambda: calls.append(1) or compute())
    return calls


def fresh(backbone):
    """The logits of a copy, which remembers nothing."""
    with torch.no_grad():
        return copy.deepcopy(backbone)(*all_pairs())


def edit_add(p):
    with torch.no_grad():
        p.add_(1.0)


def edit_row(p):
    with torch.no_grad():
        p[0] = 3.0


def edit_data(p):
    p.data = torch.randn_like(p)


def edit_step(p):
    p.grad = torch.ones_like(p)
    torch.optim.SGD([p], 0.5).step()


@pytest.mark.parametrize("edit", [edit_add, edit_row, edit_data, edit_step])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_tables_are_never_stale(build, mode, grad, edit):
    """Edited parameters count at once, in every mode, with and without gradients."""
    backbone = awake(build(USERS, ITEMS, 4), make_facts()).train(mode)
    for parameter in list(backbone.parameters())[:2]:
        with torch.set_grad_enabled(grad):
            before = backbone(*all_pairs())
            edit(parameter)
            logits = backbone(*all_pairs())
            scores = backbone.score_all(torch.arange(USERS))
        assert not torch.equal(logits, before)
        assert torch.equal(logits, fresh(backbone))
        assert torch.allclose(scores, logits, atol=1e-12)


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_a_training_step_by_an_optimizer_that_leaves_no_trace(build):
    """Fused optimizers and edits through .data do not raise the version; a step is seen anyway."""
    backbone = awake(build(USERS, ITEMS, 4), make_facts())
    logits = backbone(*all_pairs())
    for _ in range(3):
        logits.square().sum().backward()
        for parameter in backbone.parameters():
            parameter.data.sub_(parameter.grad, alpha=0.01)
            parameter.grad = None
        logits = backbone(*all_pairs())
        assert torch.equal(logits, fresh(backbone))
    backbone.eval()
    with torch.no_grad():
        backbone(*all_pairs())
        backbone.users.weight.data.zero_()
        backbone.eval()  # as Lightning does before every evaluation
        assert torch.equal(backbone(*all_pairs()), fresh(backbone))


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_other_pairs_and_other_state_count_at_once(build):
    backbone, other = (awake(build(USERS, ITEMS, 4), make_facts(seed=n)).eval() for n in (0, 1))
    with torch.no_grad():
        before = backbone(*all_pairs())
        backbone.start_fit(make_facts(seed=1))
        assert not torch.equal(backbone(*all_pairs()), before)
        assert torch.equal(backbone(*all_pairs()), other(*all_pairs()))
        other.users.weight.zero_()
        backbone.load_state_dict(other.state_dict())
        assert torch.equal(backbone(*all_pairs()), other(*all_pairs()))


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_evaluation_computes_once(build, monkeypatch):
    backbone = awake(build(USERS, ITEMS, 4), make_facts()).eval()
    calls = counting(backbone, monkeypatch)
    with torch.inference_mode():
        backbone.score_all(torch.arange(USERS))
        backbone.score_range(torch.arange(USERS), 2, 5)
    with torch.no_grad():
        backbone(*all_pairs())
    assert len(calls) == 1
    backbone(*all_pairs()).sum().backward()
    assert backbone.items.weight.grad.any()
    assert len(calls) == 2


def test_lightgcn_propagates_once_a_training_step(monkeypatch):
    """Two forward passes share one propagation, with the gradients of two."""
    users, items = torch.arange(USERS), torch.arange(USERS)
    gradients = []
    for shares in (True, False):
        monkeypatch.setattr(LightGCN, "shares_graph", shares)
        backbone = awake(LightGCN(USERS, ITEMS, 4), make_facts())
        with monkeypatch.context() as patch:
            calls = counting(backbone, patch)
            loss = backbone(users, items).square().sum()
            loss = loss + backbone(users.unsqueeze(1), items).sin().sum()
            assert len(calls) == (1 if shares else 2)
            loss.backward()
            backbone(users, items)
            assert len(calls) == (2 if shares else 3)  # after a backward pass all begins anew
        gradients.append([p.grad for p in backbone.parameters()])
    for left, right in zip(*gradients, strict=True):
        assert torch.allclose(left, right, atol=1e-12)


def test_shared_propagation_stands_two_backward_passes():
    backbone = awake(LightGCN(USERS, ITEMS, 4), make_facts())
    first, second = backbone(*all_pairs()).sum(), backbone(*all_pairs()).square().sum()
    first.backward()
    second.backward()
    both = [p.grad.clone() for p in backbone.parameters()]
    backbone.zero_grad()
    logits = backbone(*all_pairs())
    (logits.sum() + logits.square().sum()).backward()
    for p, gradient in zip(backbone.parameters(), both, strict=True):
        assert torch.allclose(p.grad, gradient, atol=1e-12)


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_paused_training_does_not_remember(build, monkeypatch):
    """The risks of an inverse gradient step are those of the parameters at hand."""
    backbone = awake(build(USERS, ITEMS, 4), make_facts())
    calls = counting(backbone, monkeypatch)
    with evaluation_mode(backbone), torch.no_grad():
        backbone(*all_pairs())
        backbone.users.weight.data.add_(1)
        backbone(*all_pairs())
    assert len(calls) == 2


@pytest.mark.filterwarnings(FORWARD_MODE)
@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_forward_mode_derivative(build):
    """Dual numbers in place of the parameters pass through, also with tables remembered."""
    backbone = awake(build(USERS, ITEMS, 4), make_facts()).eval()
    parameters = {name: p.detach() for name, p in backbone.named_parameters()}
    tangents = {name: torch.randn_like(p) for name, p in parameters.items()}
    for enabled in (False, True):
        with torch.set_grad_enabled(enabled):
            backbone(*all_pairs())

    def risk(values):
        return torch.func.functional_call(backbone, values, all_pairs()).square().sum()

    _, change = torch.func.jvp(risk, (parameters,), (tangents,))
    gradients = torch.func.grad(risk)(parameters)
    expected = sum((gradients[name] * tangents[name]).sum() for name in parameters)
    assert torch.allclose(change, expected)
    assert change != 0


@pytest.mark.filterwarnings(FORWARD_MODE)
def test_shared_tables_are_not_those_of_dual_numbers():
    """A dual number has the storage and the version of its parameter, and a tangent besides."""
    backbone = awake(LightGCN(USERS, ITEMS, 4), make_facts())
    backbone(*all_pairs())
    with forward_ad.dual_level():
        duals = {
            name: forward_ad.make_dual(p, torch.ones_like(p))
            for name, p in backbone.named_parameters()
        }
        logits = torch.func.functional_call(backbone, duals, all_pairs())
        assert forward_ad.unpack_dual(logits).tangent.any()
    assert backbone(*all_pairs()).requires_grad


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_tables_of_inference_mode_can_be_trained_on(build):
    backbone = awake(build(USERS, ITEMS, 4), make_facts()).eval().requires_grad_(False)
    scale = torch.ones(4, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        backbone.score_all(torch.arange(USERS))
    (backbone.tables()[0] * scale).sum().backward()
    assert scale.grad.any()


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_copies_start_without_memory(build):
    backbone = awake(build(USERS, ITEMS, 4), make_facts())
    logits = backbone(*all_pairs())
    for twin in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert twin._memory is not backbone._memory
        with torch.no_grad():
            twin.items.weight.add_(1)
        assert not torch.allclose(twin(*all_pairs()), logits)
        assert torch.equal(backbone(*all_pairs()), logits)


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_without_training_pairs(build):
    with pytest.raises(RuntimeError, match=f"{build.__name__} does not know the positive training"):
        build(USERS, ITEMS)(*all_pairs())


def test_bad_arguments():
    with pytest.raises(ValueError, match="num_layers is -1"):
        LightGCN(USERS, ITEMS, num_layers=-1)
    with pytest.raises(ValueError, match="num_layers is -1"):
        DMF(USERS, ITEMS, num_layers=-1)
    with pytest.raises(ValueError, match="temperature is 0"):
        DMF(USERS, ITEMS, temperature=0)
    for build in (LightGCN, DMF):
        with pytest.raises(ValueError, match="num_users is 0"):
            build(0, ITEMS)


def test_initialization():
    backbone = LightGCN(3000, 2000)
    assert backbone.users.weight.shape == (3000, 64)
    assert backbone.users.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert backbone.items.weight.std().item() == pytest.approx(0.1, rel=0.02)
    assert DMF(3000, 2000).items.weight.std().item() == pytest.approx(0.01, rel=0.02)
