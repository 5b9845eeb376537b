"""Meta-Weight-Net against the double differentiation it replaces."""

import copy

import pytest
import torch
from torch.nn import functional as F

import invlightning as il
from invlightning.inverse import MetaWeightNet, UnlabeledRows
from invlightning.testing import InnerStepProblem
from tests.reference import meta_weight_net as reference


def unlabeled_losses(problem, net):
    users, _, drawn, _ = problem.rows
    logits = net(users.unsqueeze(1), drawn).flatten()
    return F.softplus(logits).square() - 0.3 * logits


def labeled_loss(problem, net, offset):
    users, items, _, labels = problem.rows
    logits = net(users, items) + offset
    return F.binary_cross_entropy_with_logits(logits, labels)


@pytest.mark.parametrize("sparse", [False, True])
def test_equals_differentiating_through_the_virtual_step(sparse):
    """Seen to fail with the risk at the origin, tangents at the virtual place and old weights."""
    decision = MetaWeightNet(hidden=5, lr=0.05, weight_decay=0.01, seed=3)
    start = decision.state_dict()["values"].double()
    weight_net = reference.weight_network(start, 5)
    optimizer = reference.adam(weight_net, 0.05, 0.01)
    problem, naive = InnerStepProblem(sparse=sparse), InnerStepProblem()
    for seed in range(8):
        problem.rows = naive.rows = InnerStepProblem(seed=seed).rows
        problem.step(decision, inner_lr=2.0)
        naive.offset.requires_grad_(False)
        reference.step(
            _WithoutOffset(naive),
            lambda net: unlabeled_losses(naive, net),
            lambda net: labeled_loss(naive, net, naive.offset),
            weight_net,
            optimizer,
            2.0,
        )
        for found, expected in zip(problem.values(), naive.values(), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    values = torch.cat([p.detach().flatten() for p in weight_net.parameters()])
    torch.testing.assert_close(decision.state_dict()["values"], values, rtol=0, atol=1e-11)
    assert (values - start).abs().max() > 0.1


class _WithoutOffset(torch.nn.Module):
    """The parameters that the unlabeled rows depend on."""

    def __init__(self, problem):
        super().__init__()
        self.users, self.items, self.layer = problem.users, problem.items, problem.layer

    def forward(self, users, items):
        return self.layer(torch.tanh(self.users(users) * self.items(items))).squeeze(-1)


def test_starts_as_layers_of_torch_do():
    """Uniform within one over the root of the number of inputs, the same for equal seeds."""
    values = MetaWeightNet().state_dict()["values"]
    assert values.shape == (301,)
    assert 0.95 < values[:200].abs().max() <= 1
    assert 0.09 < values[200:].abs().max() <= 0.1
    assert torch.equal(MetaWeightNet().state_dict()["values"], values)
    assert not torch.equal(MetaWeightNet(seed=1).state_dict()["values"], values)
    state = torch.get_rng_state()
    MetaWeightNet(seed=2)
    assert torch.equal(torch.get_rng_state(), state)


class Line(torch.nn.Module):
    """Two logits, one of which grows with the only weight while the other falls."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def unlabeled_logits(self, batch):
        return self.weight * torch.tensor([1.0, -1.0]) + batch


def test_learns_to_follow_rows_that_lower_the_risk():
    """Those are rows of small loss here, and rows of large loss raise it: their weights part."""
    line, batch = Line(), torch.tensor([-2.0, 2.0], dtype=torch.float64)
    rows = UnlabeledRows(line, "unlabeled_logits", batch, lambda s: F.softplus(s).mean())
    decision = MetaWeightNet(lr=0.01, weight_decay=0)
    engine = il.inverse.InverseGradient(0.5, "sgd", decision)
    for _ in range(200):
        with torch.no_grad():
            line.weight.zero_()
        engine.step([line.weight], lambda: None, line.weight.sum, rows=rows)
    small, large = decision.weights(F.softplus(batch)).tolist()
    assert small > 0.9
    assert large < 0.1


def test_rows_of_a_loss_with_a_prior_share_its_annotations():
    """The mean of the losses of the rows is the loss of the batch."""
    logits = torch.tensor([[-1.0, 2.0], [0.3, -4.0]], dtype=torch.float64)
    for loss in (
        il.losses.InverseDualLoss(prior=0.2, weight=0.7),
        il.losses.InverseDualLoss(),
        il.losses.NaiveNegativeLoss(0.1),
        il.losses.InverseDualLoss(start_epoch=1),
    ):
        found = UnlabeledRows(InnerStepProblem(), "unlabeled_logits", None, loss).losses(logits)
        assert found.shape == logits.shape
        torch.testing.assert_close(found.mean(), loss(logits))
    assert not found.any()


def test_slopes_are_those_of_the_rows():
    logits = torch.linspace(-2, 3, 6, dtype=torch.float64).view(3, 2)
    rows = UnlabeledRows(
        InnerStepProblem(), "unlabeled_logits", None, lambda s: s.square().mean() / 2
    )
    torch.testing.assert_close(rows.slopes(logits), logits)
    nothing = logits[:0]
    assert rows.slopes(nothing).shape == rows.losses(nothing).shape == (0, 2)


def test_a_batch_without_unlabeled_rows_takes_no_step():
    problem, decision = InnerStepProblem(), MetaWeightNet()
    users, items, drawn, labels = problem.rows
    problem.rows = (users, items, drawn[:, :0], labels)
    before = problem.values()
    record = problem.step(decision)
    assert record.shares.tolist() == [1, 0, 0]
    assert all(torch.equal(a, b) for a, b in zip(problem.values(), before, strict=True))


def test_the_state_is_a_snapshot():
    decision, problem = MetaWeightNet(), InnerStepProblem()
    problem.step(decision)
    state = decision.state_dict()
    kept = copy.deepcopy(state)
    problem.step(decision)
    assert all(torch.equal(state[name], kept[name]) for name in kept)
    assert not torch.equal(decision.state_dict()["values"], kept["values"])
    assert float(decision.state_dict()["steps"]) == 2


def test_the_trial_is_plain_descent_for_every_direction():
    """Seen to fail when the network is tried along the direction of the real step."""
    states = []
    for direction in ("sgd", "adam", "sign"):
        decision = MetaWeightNet()
        InnerStepProblem().step(decision, direction=direction)
        states.append(decision.state_dict()["means"])
    assert states[0].any()
    assert all(torch.equal(state, states[0]) for state in states)


def test_a_loaded_state_is_a_copy():
    """A file that is mapped into memory may be overwritten by the next checkpoint."""
    decision, state = MetaWeightNet(), copy.deepcopy(MetaWeightNet(seed=1).state_dict())
    decision.load_state_dict(state)
    state["values"].zero_()
    assert decision.state_dict()["values"].all()


def test_losses_beyond_float16_under_autocast():
    """Seen to fail with a product of matrices, which autocast takes in float16."""
    decision, losses = MetaWeightNet(), torch.tensor([0.1, 1e6])
    with torch.autocast("cpu", dtype=torch.float16):
        weights = decision.weights(losses)
    assert torch.equal(weights, decision.weights(losses))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"lr": -1.0}, "must not be negative"),
        ({"weight_decay": -1.0}, "must not be negative"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MetaWeightNet(**arguments)


def test_states_of_other_decisions_are_refused():
    state = MetaWeightNet(hidden=5).state_dict()
    with pytest.raises(ValueError, match=r"does not hold a MetaWeightNet\(hidden=100\)"):
        MetaWeightNet().load_state_dict(state)
    with pytest.raises(ValueError, match="BatchSign does not: go on with the decision"):
        il.inverse.BatchSign().load_state_dict(state)
