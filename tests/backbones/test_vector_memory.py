"""When the vectors of LightGCN and DMF are remembered, and when they are not."""

import copy
import pickle

import pytest
import torch
from torch.autograd import forward_ad

from invlightning.backbones import DMF, LightGCN
from invlightning.evaluation_mode import evaluation_mode, fixed_parameters
from tests.helpers.facts import ITEMS, USERS, all_pairs, awake, make_facts


def counting(backbone, monkeypatch):
    """Counts how often the vectors are computed."""
    calls, compute = [], backbone.compute_vectors
    monkeypatch.setattr(backbone, "compute_vectors", lambda: calls.append(1) or compute())
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
def test_vectors_are_never_stale(build, mode, grad, edit):
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


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_paused_training_remembers_where_parameters_are_fixed(build, monkeypatch):
    """Seen to fail when the promise is ignored, and when it outlives its end."""
    backbone = awake(build(USERS, ITEMS, 4), make_facts())
    calls, users = counting(backbone, monkeypatch), torch.arange(USERS)
    for _ in range(2):
        blocks = []
        calls.clear()
        with torch.no_grad(), fixed_parameters(backbone):
            for start, stop in ((0, 3), (3, ITEMS)):
                with evaluation_mode(backbone), fixed_parameters(backbone):  # the outer one stands
                    blocks.append(backbone.score_range(users, start, stop))
        assert len(calls) == 1
        assert torch.allclose(torch.cat(blocks, 1), fresh(backbone), atol=1e-12)
        backbone.users.weight.data.add_(1)  # leaves no trace


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_fixed_parameters_leave_training_alone(build, monkeypatch):
    """Forward passes in training mode, dropout and all, are never remembered."""
    backbone = awake(build(USERS, ITEMS, 4), make_facts())
    calls = counting(backbone, monkeypatch)
    with fixed_parameters(backbone), torch.no_grad():
        backbone(*all_pairs())
        backbone(*all_pairs())
    assert len(calls) == 2
    with fixed_parameters(backbone):
        backbone(*all_pairs()).sum().backward()
    assert backbone.items.weight.grad.any()


def test_graphs_are_not_shared_while_training_is_paused():
    """Candidates of an inverse gradient step keep their graphs. Seen to fail: one stale risk."""
    backbone = awake(LightGCN(USERS, ITEMS, 4), make_facts())
    with evaluation_mode(backbone):
        backbone(*all_pairs())
        backbone.users.weight.data.add_(1)  # leaves no trace
        assert torch.equal(backbone(*all_pairs()), fresh(backbone))


@pytest.mark.parametrize("build", [LightGCN, DMF])
def test_forward_mode_derivative(build):
    """Dual numbers in place of the parameters pass through, also with vectors remembered."""
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


def test_shared_vectors_are_not_those_of_dual_numbers():
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
def test_vectors_of_inference_mode_can_be_trained_on(build):
    backbone = awake(build(USERS, ITEMS, 4), make_facts()).eval().requires_grad_(False)
    scale = torch.ones(4, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        backbone.score_all(torch.arange(USERS))
    (backbone.vectors()[0] * scale).sum().backward()
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
