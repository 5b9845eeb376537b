"""Pairwise softmax losses, SimCE and the lower-left partial AUC."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.losses import (
    BPRLoss,
    LowerLeftPartialAUCLoss,
    PairwiseSoftmaxLoss,
    PSLArctanLoss,
    PSLReLULoss,
    PSLTanhLoss,
    SampledSoftmaxLoss,
    SimCELoss,
)
from invlightning.losses.functional import (
    hardest_margin,
    log_arctan_activation,
    log_relu_activation,
    log_tanh_activation,
    lower_left_partial_auc,
    pairwise_softmax,
)
from invlightning.testing import JointLossTests
from invlightning.types import JointRows
from tests.helpers.known import item_facts
from tests.reference import ranking_losses as oracle

GENERATOR = torch.Generator().manual_seed(4)
POSITIVES = torch.rand(6, dtype=torch.float64, generator=GENERATOR) - 0.5
DRAWN = torch.rand(6, 5, dtype=torch.float64, generator=GENERATOR) - 0.5
MASK = torch.rand(6, 5, generator=GENERATOR) < 0.7
MASK[2] = False
USERS = torch.tensor([3, 1, 3, 3, 1, 3])
LOSSES = [PSLTanhLoss, PSLReLULoss, PSLArctanLoss, SimCELoss, LowerLeftPartialAUCLoss]
ACTIVATIONS = [
    (log_tanh_activation, oracle.tanh),
    (log_relu_activation, oracle.relu),
    (log_arctan_activation, oracle.arctan),
]


class TestPSLTanhLoss(JointLossTests):
    loss = partial(PSLTanhLoss, beta=0.5, temperature=0.2)


class TestPSLReLULoss(JointLossTests):
    loss = PSLReLULoss


class TestPSLReLUWithOptions(JointLossTests):
    loss = partial(PSLReLULoss, beta=0.5, temperature=0.01)


class TestPSLArctanLoss(JointLossTests):
    loss = partial(PSLArctanLoss, temperature=0.2)


class TestSimCELoss(JointLossTests):
    loss = SimCELoss


class TestLowerLeftPartialAUCLoss(JointLossTests):
    loss = partial(LowerLeftPartialAUCLoss, alpha=0.6, beta=0.5)


def kept(row):
    return DRAWN[row][MASK[row]].tolist()


# --- formulas -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 4.0], ids=["in the range", "beyond it"])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
@pytest.mark.parametrize(("log_activation", "activation"), ACTIVATIONS)
def test_pairwise_softmax_formula(log_activation, activation, temperature, scale):
    """Seen to fail with the temperature inside the activation, and without the positive."""
    q = torch.linspace(0.01, 0.2, 30, dtype=torch.float64).view(6, 5)
    positives, drawn = scale * POSITIVES, scale * DRAWN
    given = (q.log(), log_activation, MASK, temperature)
    found = pairwise_softmax(positives, drawn, *given, reduction="none")
    for row, value in enumerate(found.tolist()):
        columns = [column[row][MASK[row]].tolist() for column in (drawn, q)]
        options = (activation, temperature)
        own = positives[row].item()
        expected = oracle.pairwise_softmax(own, *columns, *options) if columns[0] else 0.0
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_exponential_gives_the_sampled_softmax():
    class Exponential(PairwiseSoftmaxLoss):
        def log_activation(self, differences):
            return differences

    values = []
    for loss in (Exponential(0.5, 0.3), SampledSoftmaxLoss(0.5, 0.3)):
        loss.start_fit(item_facts(torch.ones(20), torch.arange(20) % 14, 20))
        items = torch.arange(30).view(6, 5) % 14 + 6
        values.append(loss(JointRows(POSITIVES, torch.ones(6), torch.arange(6), DRAWN, items)))
    assert torch.allclose(*values, rtol=1e-12)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_hardest_margin_formula(margin):
    found = hardest_margin(POSITIVES, DRAWN, margin, MASK, reduction="none")
    for row, value in enumerate(found.tolist()):
        own = POSITIVES[row].item()
        expected = oracle.hardest_margin(own, kept(row), margin) if kept(row) else 0.0
        assert value == pytest.approx(expected, rel=1e-12)


def test_a_margin_of_log_k_bounds_the_softmax():
    margin = torch.tensor(5.0).log().item()
    softmax = torch.cat([POSITIVES.unsqueeze(1), DRAWN], 1).mul(9).log_softmax(1)[:, 0].neg()
    bound = hardest_margin(9 * POSITIVES, 9 * DRAWN, margin, reduction="none")
    assert (softmax <= bound + torch.tensor(2.0).log()).all()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(-4, 4),
            st.lists(st.integers(-4, 4), max_size=4),
        ),
        min_size=1,
        max_size=7,
    ),
    st.sampled_from([0.1, 0.5, 0.75, 1.0]),
    st.sampled_from([0.1, 0.5, 0.75, 1.0]),
)
def test_lower_left_formula(rows, alpha, beta):
    """Ties included. Seen to fail with shares rounded down, and with ranks over all users."""
    users, scores = (torch.tensor([row[n] for row in rows]) for n in (0, 1))
    drawn, mask = torch.zeros(len(rows), 4).double(), torch.zeros(len(rows), 4).bool()
    for place, (_, _, own) in enumerate(rows):
        drawn[place, : len(own)] = torch.tensor(own).double()
        mask[place, : len(own)] = True
    given = (scores.double(), drawn, users, alpha, beta, None, mask)
    found = lower_left_partial_auc(*given, reduction="none").tolist()
    expected = oracle.lower_left(rows, alpha, beta)
    assert found == pytest.approx([value or 0.0 for value in expected], rel=1e-12)
    values = [value for value in expected if value is not None]
    mean = lower_left_partial_auc(*given).item()
    assert mean == pytest.approx(sum(values) / max(1, len(values)), rel=1e-12)


# --- losses -------------------------------------------------------------------------------------


def batch(labels=None, logits=POSITIVES, drawn=DRAWN, mask=MASK):
    labels = torch.tensor([1.0, 0, 1, 1, 0, 1]) if labels is None else labels
    items = torch.arange(30).view(6, 5) % 14 + 6
    return JointRows(logits, labels, torch.arange(6), drawn, items, mask, USERS)


@pytest.mark.parametrize("loss_class", LOSSES)
def test_only_positives_with_drawn_items_count(loss_class):
    """Labeled negatives and rows without drawn items change nothing."""
    loss = loss_class()
    loss.start_fit(item_facts(torch.ones(6), torch.arange(6), 20))
    places = torch.tensor([0, 3, 5])
    alone = JointRows(*(column[places] for column in batch()))
    assert torch.allclose(loss(batch()), loss(alone), rtol=1e-12)
    assert loss(batch(torch.zeros(6))) == 0


def test_whole_curve_is_bpr():
    loss = LowerLeftPartialAUCLoss(1.0, 1.0)
    assert torch.allclose(loss(batch()), BPRLoss()(batch()), rtol=1e-12)


def test_what_ranking_losses_lack_is_said():
    rows = batch()._replace(users=None)
    with pytest.raises(ValueError, match="LowerLeftPartialAUCLoss compares rows of a user, but"):
        LowerLeftPartialAUCLoss()(rows)
    with pytest.raises(RuntimeError, match="the items were never counted"):
        PSLTanhLoss()(rows)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (partial(PSLTanhLoss, beta=-1.0), "beta is -1.0"),
        (partial(PSLReLULoss, temperature=0.0), "temperature is 0.0"),
        (partial(SimCELoss, margin=-0.5), "margin is -0.5"),
        (partial(LowerLeftPartialAUCLoss, alpha=0.0), "alpha is 0.0"),
        (partial(LowerLeftPartialAUCLoss, beta=1.5), "beta is 1.5"),
    ],
)
def test_bad_arguments_of_ranking_losses_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
