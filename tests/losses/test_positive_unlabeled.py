"""nnPU and Rel-MF."""

from functools import partial

import pytest
import torch

from invlightning.losses import NonNegativePULoss, RelevanceLoss
from invlightning.losses.functional import non_negative_risk, relevance_risk
from invlightning.testing import JointLossTests
from invlightning.types import JointRows
from tests.helpers.known import item_facts
from tests.reference import method_losses as oracle

NORMAL = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
POSITIVE = torch.arange(40) < 8
UNLABELED = torch.arange(40) >= 14  # the six between are labeled negatives


class TestNonNegativePULoss(JointLossTests):
    loss = partial(NonNegativePULoss, prior=0.2)


class TestLogistic(JointLossTests):
    loss = partial(NonNegativePULoss, prior=0.4, beta=0.1, gamma=0.5, logistic=True)


class TestRelevanceLoss(JointLossTests):
    loss = partial(RelevanceLoss, clip=0.2, weight=0.5)


def numeric_gradient(function, positives, unlabeled):
    slopes = []
    for place in range(len(positives) + len(unlabeled)):
        values = []
        for step in (1e-6, -1e-6):
            scores = [*positives, *unlabeled]
            scores[place] += step
            values.append(function(scores[: len(positives)], scores[len(positives) :]))
        slopes.append((values[0] - values[1]) / 2e-6)
    return slopes


# A high prior with positives on top makes the estimated risk of negatives negative.
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize(
    ("prior", "beta", "gamma"), [(0.2, 0, 1), (0.9, 0, 1), (0.9, 0.01, 0.5), (0.9, 9, 1)]
)
def test_risk_and_its_gradient(logistic, prior, beta, gamma):
    logits = (NORMAL + 3 * POSITIVE - 1).requires_grad_()
    risk = non_negative_risk(logits, POSITIVE, UNLABELED, prior, beta, gamma, logistic)
    risk.backward()
    positives, unlabeled = logits[POSITIVE].tolist(), logits[UNLABELED].tolist()
    value, followed = oracle.non_negative(positives, unlabeled, prior, beta, gamma, logistic)
    assert risk.item() == pytest.approx(value, rel=1e-12)
    slopes = numeric_gradient(followed, positives, unlabeled)
    found = [*logits.grad[POSITIVE].tolist(), *logits.grad[UNLABELED].tolist()]
    assert found == pytest.approx(slopes, abs=1e-8)
    assert not logits.grad[8:14].any()


def test_overfitting_goes_up_where_a_maximum_would_stand_still():
    logits = (NORMAL + 5 * POSITIVE - 3).requires_grad_()
    non_negative_risk(logits, POSITIVE, UNLABELED, prior=0.9).backward()
    assert (logits.grad[UNLABELED] < 0).all()  # an ordinary step would push unlabeled rows down


def test_risk_is_unbiased():
    """Where unlabeled rows hold exactly the prior share of positives, the risk is the true one."""
    positives, negatives = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.0, -2.0, 0.1, 3.0, 1.0])
    logits = torch.cat([positives, positives, negatives]).double()
    place = torch.arange(10)
    risk = non_negative_risk(logits, place < 2, place >= 2, prior=0.25)
    true = (2 * (-positives).sigmoid().mean() + 6 * negatives.sigmoid().mean()) / 8
    assert risk.item() == pytest.approx(true.item(), rel=1e-6)


@pytest.mark.parametrize(("positive", "unlabeled"), [(False, True), (True, False)])
def test_empty_groups_teach_nothing(positive, unlabeled):
    logits = NORMAL.clone().requires_grad_()
    risk = non_negative_risk(logits, POSITIVE & positive, UNLABELED & unlabeled, prior=0.3)
    risk.backward()
    assert risk == 0
    assert not logits.grad.any()


def make_rows(mask=None):
    items = torch.tensor([0, 1, 2, 0])
    drawn = torch.tensor([[3, 1], [0, 2], [1, 3], [2, 2]])
    labels = torch.tensor([1.0, 0.0, 1.0, 1.0])
    return JointRows(NORMAL[:4], labels, items, NORMAL[4:12].view(4, 2), drawn, mask)


def test_pu_loss_takes_its_groups_from_the_rows():
    mask = torch.tensor([[True, False], [True, True], [True, True], [False, True]])
    loss = NonNegativePULoss(prior=0.3, logistic=True)
    rows = make_rows(mask)
    expected, _ = oracle.non_negative(
        rows.logits[rows.labels > 0].tolist(), rows.unlabeled_logits[mask].tolist(), 0.3, 0, 1, True
    )
    assert loss(rows).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mask", [None, torch.arange(40) % 3 != 1])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_relevance_formula(weight, mask):
    labels = POSITIVE.double()
    propensities = torch.linspace(0.05, 1, 40, dtype=torch.float64)
    found = relevance_risk(NORMAL, labels, propensities, weight, mask).item()
    columns = [NORMAL, labels, propensities]
    if mask is not None:
        columns = [column[mask] for column in columns]
    logits, labels, chances = (column.tolist() for column in columns)
    expected = oracle.relevance(list(zip(logits, labels, strict=True)), chances, weight)
    assert found == pytest.approx(expected, rel=1e-12)


def test_relevance_is_unbiased():
    """With click chance t r, the expected terms are those of relevance r."""
    logits = torch.tensor([0.7], dtype=torch.float64)
    for chance, relevance in ((0.25, 1.0), (0.5, 0.4)):
        t = torch.tensor([chance], dtype=torch.float64)
        clicked = relevance_risk(logits, torch.ones(1), t)
        silent = relevance_risk(logits, torch.zeros(1), t)
        p = logits.sigmoid()
        expected = relevance * (1 - p) ** 2 + (1 - relevance) * p**2
        found = chance * relevance * clicked + (1 - chance * relevance) * silent
        assert torch.allclose(found, expected)


def test_without_weight_a_batch_of_negatives_teaches_nothing():
    logits = NORMAL.clone().requires_grad_()
    risk = relevance_risk(logits, torch.zeros(40), torch.ones(40), weight=0.0)
    risk.backward()
    assert risk == 0
    assert not logits.grad.any()


def test_propensities_are_those_of_the_items():
    labels = torch.tensor([1.0, 1, 1, 1, 0, 0, 1])
    items = torch.tensor([3, 3, 3, 3, 0, 0, 2])
    loss = RelevanceLoss(clip=0.1)
    loss.start_fit(item_facts(labels, items, 5))
    expected = oracle.popularity(items.tolist(), labels.tolist(), 5, 0.1)
    assert loss.propensities.tolist() == pytest.approx(expected, rel=1e-6)
    assert not loss.state_dict()
    rows = make_rows()
    pairs = [
        *zip(rows.logits.tolist(), rows.labels.tolist(), strict=True),
        *((s, 0.0) for s in rows.unlabeled_logits.flatten().tolist()),
    ]
    places = [*rows.items.tolist(), *rows.unlabeled_items.flatten().tolist()]
    value = oracle.relevance(pairs, [expected[i] for i in places], 1.0)
    assert loss(rows).item() == pytest.approx(value, rel=1e-6)


def test_what_is_missing_is_said():
    with pytest.raises(RuntimeError, match=r"call start_fit\(facts\)"):
        RelevanceLoss()(make_rows())
    for loss in (RelevanceLoss(), NonNegativePULoss(prior=0.1)):
        with pytest.raises(ValueError, match="none of the 3 training labels is 1"):
            loss.start_fit(item_facts(torch.zeros(3), torch.arange(3), 3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (partial(NonNegativePULoss, prior=0.0), "prior is 0.0"),
        (partial(NonNegativePULoss, prior=1.0), "prior is 1.0"),
        (partial(NonNegativePULoss, prior=0.1, beta=-1.0), "beta is -1.0"),
        (partial(NonNegativePULoss, prior=0.1, gamma=1.5), "gamma is 1.5"),
        (partial(RelevanceLoss, clip=0.0), "clip is 0.0"),
        (partial(RelevanceLoss, clip=1.1), "clip is 1.1"),
        (partial(RelevanceLoss, weight=-1.0), "weight is -1.0"),
    ],
)
def test_bad_arguments_of_positive_unlabeled_losses_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
