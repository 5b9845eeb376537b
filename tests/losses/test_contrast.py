"""BPR, sampled softmax and debiased contrastive loss."""

from functools import partial

import pytest
import torch

from invlightning.losses import BPRLoss, DebiasedContrastiveLoss, SampledSoftmaxLoss
from invlightning.losses.functional import (
    bayesian_personalized_ranking,
    debiased_contrast,
    sampled_softmax,
)
from invlightning.testing import JointLossTests
from invlightning.types import JointRows
from tests.helpers.known import item_facts
from tests.reference import method_losses as oracle

GENERATOR = torch.Generator().manual_seed(4)
POSITIVES = torch.randn(6, dtype=torch.float64, generator=GENERATOR)
DRAWN = torch.randn(6, 5, dtype=torch.float64, generator=GENERATOR)
MASK = torch.rand(6, 5, generator=GENERATOR) < 0.7
MASK[2] = False
LOSSES = [BPRLoss, DebiasedContrastiveLoss, SampledSoftmaxLoss]


class TestBPRLoss(JointLossTests):
    loss = BPRLoss


class TestDebiasedContrastiveLoss(JointLossTests):
    loss = DebiasedContrastiveLoss


class TestDebiasedWithOptions(JointLossTests):
    loss = partial(DebiasedContrastiveLoss, prior=0.4, temperature=0.1, floor=-3.0)


class TestSampledSoftmaxLoss(JointLossTests):
    loss = SampledSoftmaxLoss


class TestSampledSoftmaxWithOptions(JointLossTests):
    loss = partial(SampledSoftmaxLoss, beta=0.75, temperature=0.2)


def per_row(function, *columns):
    """Applies an oracle to each row and its unmasked columns; 0 for rows without any."""
    values = []
    for row in range(6):
        kept = [column[row][MASK[row]].tolist() for column in columns]
        values.append(function(POSITIVES[row].item(), *kept) if kept[0] else 0.0)
    return values


# --- formulas -----------------------------------------------------------------------------------


def test_bpr_formula():
    found = bayesian_personalized_ranking(POSITIVES, DRAWN, MASK, reduction="none")
    assert found.tolist() == pytest.approx(per_row(oracle.ranking, DRAWN), rel=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_sampled_softmax_formula(temperature):
    q = torch.linspace(0.01, 0.2, 30, dtype=torch.float64).view(6, 5)
    found = sampled_softmax(POSITIVES, DRAWN, q.log(), MASK, temperature, reduction="none")
    expected = per_row(partial(oracle.sampled_softmax, temperature=temperature), DRAWN, q)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("prior", [0.0, 0.1, 0.4])
@pytest.mark.parametrize(("floor", "temperature"), [(-1.0, 1.0), (-5.0, 0.5), (2.0, 0.7)])
def test_debiased_formula(prior, floor, temperature):
    found = debiased_contrast(POSITIVES, DRAWN, prior, floor, MASK, temperature, reduction="none")
    options = {"prior": prior, "floor": floor, "temperature": temperature}
    expected = per_row(partial(oracle.debiased, **options), DRAWN)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


# --- closed forms -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        bayesian_personalized_ranking,
        partial(sampled_softmax, log_probabilities=torch.tensor(-3.0)),
        partial(debiased_contrast, prior=0.2, floor=-20.0),
    ],
)
def test_only_differences_count(function):
    shifted = function(POSITIVES + 3, DRAWN + 3, reduction="none")
    assert torch.allclose(shifted, function(POSITIVES, DRAWN, reduction="none"), rtol=1e-12)


def test_all_items_drawn_once_give_the_full_softmax():
    loss, scores = SampledSoftmaxLoss(), torch.randn(7, dtype=torch.float64)
    loss.start_fit(item_facts(torch.ones(3), torch.arange(3), 7))
    others = torch.arange(1, 7).unsqueeze(0)
    rows = JointRows(scores[:1], torch.ones(1), torch.zeros(1).long(), scores[others], others)
    expected = oracle.softmax(scores[0].item(), scores[1:].tolist())
    assert loss(rows).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.75, 1.0])
def test_draws_by_popularity_give_the_full_softmax(beta):
    """The sampled sum of others, averaged over Q, is their sum in the full softmax."""
    counts = torch.tensor([4, 1, 2, 8, 3])
    items = torch.arange(5).repeat_interleave(counts)
    loss = SampledSoftmaxLoss(beta=beta)
    loss.start_fit(item_facts(torch.ones(18), items, 5))
    scores = torch.tensor([0.3, -1.0, 0.7, 2.0, -0.2], dtype=torch.float64)
    weights = counts[1:].double() ** beta
    total = 0.0
    for place, share in enumerate((weights / weights.sum()).tolist(), start=1):
        item = torch.tensor([[place]])
        rows = JointRows(scores[:1], torch.ones(1), torch.zeros(1).long(), scores[item], item)
        total += share * (loss(rows).exp().item() - 1)  # Z / exp(s_i)
    full = oracle.softmax(scores[0].item(), scores[1:].tolist())
    assert torch.tensor(1 + total).log().item() == pytest.approx(full, rel=1e-6)


def test_gradient_is_that_of_the_published_form():
    """(1 - P_i) held constant, times -s_i + log of the sampled sum without the positive."""
    log_q = torch.linspace(-5, -1, 30, dtype=torch.float64).view(6, 5)
    gradients = []
    for published in (False, True):
        s, t = POSITIVES.clone().requires_grad_(), DRAWN.clone().requires_grad_()
        losses = sampled_softmax(s, t, log_q, reduction="none")
        if published:
            rest = 1 - (-losses.detach()).exp()
            losses = rest * ((t - log_q).logsumexp(1) - s)
        losses.sum().backward()
        gradients.append((s.grad, t.grad))
    for own, other in zip(*gradients, strict=True):
        assert torch.allclose(own, other, rtol=1e-12)


def test_items_equal_to_the_positive_are_left_out():
    loss = SampledSoftmaxLoss()
    loss.start_fit(item_facts(torch.ones(4), torch.arange(4), 4))
    items, drawn = torch.tensor([2]), torch.tensor([[0, 2, 1]])
    scores = torch.tensor([[0.5, 9.0, -1.0]], dtype=torch.float64)
    rows = JointRows(POSITIVES[:1], torch.ones(1), items, scores, drawn)
    clean = rows._replace(unlabeled_logits=scores[:, [0, 2]], unlabeled_items=drawn[:, [0, 2]])
    assert torch.allclose(loss(rows), loss(clean), rtol=1e-12)


def test_debiasing_removes_the_positives_among_the_draws():
    """Half of the drawn items score as the positive does: the others remain, and N of them."""
    negatives = torch.tensor([[0.2, -0.4]], dtype=torch.float64)
    positive = torch.tensor([1.5], dtype=torch.float64)
    drawn = torch.cat([positive.expand(1, 2), negatives], dim=1)
    found = debiased_contrast(positive, drawn, prior=0.5)
    expected = oracle.softmax(1.5, [0.2, -0.4, 0.2, -0.4])
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("score", [-6e4, 6e4])
def test_extreme_rows_without_draws(score, dtype):
    logits = torch.tensor([score], dtype=dtype, requires_grad=True)
    drawn, mask = torch.zeros(1, 2, dtype=dtype), torch.zeros(1, 2, dtype=torch.bool)
    for loss in (
        debiased_contrast(logits, drawn, prior=0.1, mask=mask),
        sampled_softmax(logits, drawn, torch.tensor(-9.0), mask),
        bayesian_personalized_ranking(logits, drawn, mask),
    ):
        loss.backward()
        assert loss.item() == 0
        assert logits.grad.item() == 0


def test_at_the_floor_negatives_are_pushed_no_further():
    positives = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    drawn = torch.tensor([[-2.0, -3.0]], dtype=torch.float64, requires_grad=True)
    debiased_contrast(positives, drawn, prior=0.1).backward()
    assert not drawn.grad.any()
    assert positives.grad.item() < 0


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_class", LOSSES)
def test_only_positives_with_unlabeled_items_count(loss_class):
    loss = loss_class()
    loss.start_fit(item_facts(torch.ones(6), torch.arange(6), 20))
    labels = torch.tensor([1.0, 0, 1, 1, 0, 1])
    drawn = torch.arange(30).view(6, 5) % 14 + 6
    logits, others = POSITIVES.clone().requires_grad_(), DRAWN.clone().requires_grad_()
    loss(JointRows(logits, labels, torch.arange(6), others, drawn, MASK)).backward()
    teaching = torch.tensor([True, False, False, True, False, True])
    assert logits.grad.ne(0).tolist() == teaching.tolist()
    kept = [
        JointRows(
            *(c[n : n + 1] for c in (POSITIVES, labels, torch.arange(6), DRAWN, drawn)),
            MASK[n : n + 1],
        )
        for n in (0, 3, 5)
    ]
    mean = torch.stack([loss(row) for row in kept]).mean()
    rows = JointRows(POSITIVES, labels, torch.arange(6), DRAWN, drawn, MASK)
    assert torch.allclose(loss(rows), mean, rtol=1e-12)


@pytest.mark.parametrize("loss_class", LOSSES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_batch_without_comparison_is_zero(loss_class, label):
    """No positives, or positives without unlabeled items."""
    loss = loss_class()
    loss.start_fit(item_facts(torch.ones(6), torch.arange(6), 20))
    logits = POSITIVES.clone().requires_grad_()
    mask = torch.full((6, 5), label == 0)
    items = torch.full((6, 5), 9)
    value = loss(JointRows(logits, torch.full((6,), label), torch.arange(6), DRAWN, items, mask))
    value.backward()
    assert value == 0
    assert not logits.grad.any()


def test_what_is_missing_is_said():
    items = torch.arange(6)
    rows = JointRows(POSITIVES, torch.ones(6), items, DRAWN, items.view(6, 1).expand(6, 5))
    with pytest.raises(RuntimeError, match="the items were never counted"):
        SampledSoftmaxLoss()(rows)
    for loss_class in LOSSES:
        with pytest.raises(ValueError, match=f"{loss_class.__name__} learns from labeled positiv"):
            loss_class().start_fit(item_facts(torch.zeros(3), torch.arange(3), 3))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (partial(SampledSoftmaxLoss, beta=-1.0), "beta is -1.0"),
        (partial(SampledSoftmaxLoss, temperature=0.0), "temperature is 0.0"),
        (partial(DebiasedContrastiveLoss, prior=1.0), "prior is 1.0"),
        (partial(DebiasedContrastiveLoss, prior=-0.1), "prior is -0.1"),
        (partial(DebiasedContrastiveLoss, temperature=0.0), "temperature is 0.0"),
    ],
)
def test_bad_arguments_of_contrastive_losses_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
