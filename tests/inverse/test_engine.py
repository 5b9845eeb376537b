"""The engine against a naive implementation, and its edge cases."""

import copy

import pytest
import torch
from torch import nn

from invlightning.inverse import BatchSign, InnerStep, InverseGradient, StepContext
from invlightning.inverse.directions import DIRECTIONS
from invlightning.inverse.displacement import Displacement
from tests.helpers.toys import NAMES, Factors, batches, labeled, unlabeled
from tests.reference import inverse_gradient as reference


def run(net, rule, inner_lr=0.05, steps=30):
    engine = InverseGradient(inner_lr, rule, BatchSign())
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.05)
    choices = []
    for batch in batches(steps):
        record = engine.step(
            list(net.parameters()),
            lambda batch=batch: unlabeled(net, batch),
            lambda batch=batch: labeled(net, batch),
        )
        choices.append(NAMES[int(record.choice)])
        optimizer.zero_grad()
        labeled(net, batch).backward()
        optimizer.step()
    return choices


@pytest.mark.parametrize("rule", ["adam", "sgd"])
@pytest.mark.parametrize("sparse", [False, True])
def test_equals_naive_implementation(rule, sparse):
    """Weights and choices of 30 steps equal copies, fresh optimizers and if-else, in float64."""
    dense = Factors()
    net = Factors(sparse=sparse)
    net.load_state_dict(dense.state_dict())
    start = copy.deepcopy(dense.state_dict())
    optimizer = torch.optim.Adagrad(dense.parameters(), lr=0.05)
    expected = reference.train(dense, batches(30), unlabeled, labeled, rule, 0.05, optimizer)
    assert run(net, rule) == expected
    assert len(set(expected)) > 1, "the toy must exercise more than one choice"
    for name, value in dense.state_dict().items():
        assert not torch.equal(value, start[name])
        torch.testing.assert_close(net.state_dict()[name], value, rtol=0, atol=1e-12)


def quadratic(start, inner_lr, gradient, risk, rule="sgd"):
    """One step on a single scalar parameter with a given unlabeled gradient and risk."""
    theta = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    engine = InverseGradient(inner_lr, rule, BatchSign())
    record = engine.step([theta], lambda: gradient * theta, lambda: risk(theta))
    return float(theta.detach()), NAMES[int(record.choice)], record


@pytest.mark.parametrize(
    ("minimum", "expected", "choice"),
    [(-1.0, -0.1, "direct"), (1.0, 0.1, "inverse"), (0.0, 0.0, "none"), (0.04, 0.0, "none")],
)
def test_takes_the_lowest_risk(minimum, expected, choice):
    """theta = 0 and gradient 1: direct is -0.1, inverse +0.1."""
    theta, chosen, record = quadratic(0.0, 0.1, 1.0, lambda t: (t - minimum) ** 2)
    assert chosen == choice
    assert theta == pytest.approx(expected, abs=1e-15)
    risks = [minimum**2, (0.1 - minimum) ** 2, (-0.1 - minimum) ** 2]
    assert record.risks.tolist() == pytest.approx(risks, abs=1e-15)


def test_ties_prefer_none_then_inverse():
    assert quadratic(0.0, 0.1, 1.0, lambda t: 0 * t)[1] == "none"
    assert quadratic(0.0, 0.1, 1.0, lambda t: -t.abs())[1] == "inverse"


def test_nan_risk_never_wins():
    risk = lambda t: torch.where(t == 0, torch.nan, t)  # noqa: E731
    assert quadratic(0.0, 0.1, 1.0, risk)[1] == "direct"
    nothing = quadratic(0.5, 0.1, 1.0, lambda t: t * torch.nan)
    assert nothing[:2] == (0.5, "none")


@pytest.mark.parametrize("rule", sorted(DIRECTIONS))
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_overflowing_gradient_changes_nothing(rule, bad):
    theta, chosen, record = quadratic(0.5, 0.1, bad, lambda t: t**2, rule)
    assert (theta, chosen) == (0.5, "none")
    assert record.risks.tolist() == [0.25, torch.inf, torch.inf]
    # The next step works again.
    assert quadratic(0.5, 0.1, 1.0, lambda t: t**2, rule)[1] == "direct"


@pytest.mark.parametrize("sparse", [False, True])
def test_none_restores_every_bit(sparse):
    net = Factors(sparse=sparse, dtype=torch.float32)
    before = copy.deepcopy(net.state_dict())
    engine = InverseGradient(0.37, "adam", BatchSign())
    for batch in batches(50, torch.float32):
        calls = iter([0.0, 1.0, 1.0])  # the first risk, without a step, is always the lowest
        record = engine.step(
            list(net.parameters()),
            lambda batch=batch: unlabeled(net, batch),
            lambda calls=calls: torch.tensor(next(calls)),
        )
        assert int(record.choice) == 0
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


def test_sparse_moves_touched_rows_only():
    net = Factors(sparse=True)
    users, items = torch.tensor([1, 1, 4]), torch.tensor([0, 2, 2])
    step = InnerStep(
        list(net.parameters()), lambda: net(users, items).sum(), lambda: 0, DIRECTIONS["adam"], 0.1
    )
    step.propose()
    rows = {tuple(m.parameter.shape): m.rows for m in step.displacements if m.rows is not None}
    assert rows[(7, 3)].tolist() == [1, 4]
    assert rows[(9, 3)].tolist() == [0, 2]


def test_parameter_without_gradient_stays():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    engine = InverseGradient(0.1, "adam", BatchSign())
    engine.step([used, unused], lambda: used.sum(), lambda: used.sum() + unused.sum())
    assert used.tolist() == pytest.approx([0.9, 0.9])
    assert unused.tolist() == [1.0, 1.0]


def test_processes_agree_on_means():
    """With ``reduce``, gradient and risks are replaced by their means before anything is chosen."""
    theta = nn.Parameter(torch.zeros((), dtype=torch.float64))
    other_gradient, other_risks = 5.0, torch.tensor([0.0, -9.0, 9.0], dtype=torch.float64)
    seen = []

    def reduce(values):
        seen.append(values.clone())
        return (values + (other_gradient if values.numel() == 1 else other_risks)) / 2

    engine = InverseGradient(0.1, "sgd", BatchSign())
    record = engine.step([theta], lambda: -1.0 * theta, lambda: theta, StepContext(reduce))
    assert [v.numel() for v in seen] == [1, 3]
    assert NAMES[int(record.choice)] == "inverse"
    assert theta.item() == pytest.approx(0.1 * (5.0 - 1.0) / 2)


@pytest.mark.parametrize("rule", sorted(DIRECTIONS))
def test_rules_are_odd_and_keep_zero(rule):
    gradient = torch.randn(100, dtype=torch.float64)
    gradient[::7] = 0
    direction = DIRECTIONS[rule](gradient)
    assert torch.equal(DIRECTIONS[rule](-gradient), -direction)
    assert (direction[::7] == 0).all()


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="inner_lr must be positive"):
        InverseGradient(0.0, "adam", BatchSign())
    with pytest.raises(ValueError, match="direction must be one of"):
        InverseGradient(0.1, "adm", BatchSign())


@pytest.mark.parametrize("rule", sorted(DIRECTIONS))
def test_rules_leave_the_gradient_alone(rule):
    gradient = torch.randn(10)
    before = gradient.clone()
    DIRECTIONS[rule](gradient).fill_(7)
    assert torch.equal(gradient, before)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_an_overflow_anywhere_is_noticed(bad, dtype):
    parameter = torch.zeros(1000, 3, dtype=dtype)
    gradient = torch.full_like(parameter, 100.0)  # the sum is beyond float16
    assert Displacement(parameter, gradient, DIRECTIONS["sgd"]).is_finite
    gradient[417, 1] = bad
    assert not Displacement(parameter, gradient, DIRECTIONS["sgd"]).is_finite
    gradient[3, 0] = -bad
    assert not Displacement(parameter, gradient, DIRECTIONS["sgd"]).is_finite
