"""Generalized and symmetric cross entropy, alone and over unlabeled rows."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from invlightning.losses import (
    BinaryCrossEntropy,
    GeneralizedCrossEntropy,
    PooledRowsLoss,
    SymmetricCrossEntropy,
)
from invlightning.testing import JointLossTests, LabeledLossTests
from invlightning.types import JointRows
from tests.helpers.known import item_facts
from tests.reference import method_losses as oracle

LOGITS = torch.linspace(-12, 12, 40, dtype=torch.float64)
LABELS = (torch.arange(40) % 3 == 0).double()
ROWS = list(zip(LOGITS.tolist(), LABELS.tolist(), strict=True))


class TestGeneralizedCrossEntropy(LabeledLossTests):
    loss = partial(GeneralizedCrossEntropy, q=0.5)


class TestSymmetricCrossEntropy(LabeledLossTests):
    loss = partial(SymmetricCrossEntropy, alpha=0.2)


class TestSampledAsNegative(JointLossTests):
    loss = partial(PooledRowsLoss, GeneralizedCrossEntropy(q=0.7))


@pytest.mark.parametrize("q", [0.01, 0.5, 0.7, 1.0])
def test_generalized_formula(q):
    found = GeneralizedCrossEntropy(q=q)(LOGITS, LABELS).item()
    assert found == pytest.approx(oracle.generalized(ROWS, q), rel=1e-12)


def test_generalized_between_absolute_error_and_cross_entropy():
    p = LOGITS.sigmoid()
    absolute = (p - LABELS).abs().mean()
    assert torch.allclose(GeneralizedCrossEntropy(q=1.0)(LOGITS, LABELS), absolute)
    entropy = F.binary_cross_entropy_with_logits(LOGITS, LABELS)
    assert torch.allclose(GeneralizedCrossEntropy(q=1e-9)(LOGITS, LABELS), entropy)


def test_generalized_is_bounded():
    wrong = torch.tensor([-6e4], dtype=torch.float16)
    assert GeneralizedCrossEntropy(q=0.5)(wrong, torch.ones(1)).item() == pytest.approx(2.0)


@pytest.mark.parametrize(("alpha", "beta", "log_zero"), [(0.1, 1, -4), (6, 0.1, -9.21), (0, 1, -1)])
def test_symmetric_formula(alpha, beta, log_zero):
    found = SymmetricCrossEntropy(alpha, beta, log_zero)(LOGITS, LABELS).item()
    assert found == pytest.approx(oracle.symmetric(ROWS, alpha, beta, log_zero), rel=1e-12)


def test_reverse_part_is_noise_tolerant():
    """Its loss towards both labels sums to a constant, so flipped labels only rescale it."""
    loss = SymmetricCrossEntropy(alpha=0.0, beta=1.0, log_zero=-4.0)
    assert torch.allclose(loss(LOGITS, LABELS) + loss(LOGITS, 1 - LABELS), LOGITS.new_tensor(4.0))


@pytest.mark.parametrize("masked", [False, True])
def test_sampled_as_negative(masked):
    items = torch.arange(8)
    drawn, mask = LOGITS[8:40].view(8, 4), torch.arange(32).view(8, 4) % 5 != 0
    rows = JointRows(LOGITS[:8], LABELS[:8], items, drawn, items.view(8, 1).expand(8, 4))
    if masked:
        rows, drawn = rows._replace(mask=mask), drawn[mask]
    labels = torch.cat([LABELS[:8], torch.zeros(drawn.numel(), dtype=torch.float64)])
    plain = F.binary_cross_entropy_with_logits(torch.cat([LOGITS[:8], drawn.flatten()]), labels)
    assert torch.allclose(PooledRowsLoss(BinaryCrossEntropy())(rows), plain)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (partial(GeneralizedCrossEntropy, q=0.0), "q is 0.0"),
        (partial(GeneralizedCrossEntropy, q=1.1), "q is 1.1"),
        (partial(SymmetricCrossEntropy, alpha=-1.0), "alpha is -1.0"),
        (partial(SymmetricCrossEntropy, beta=-1.0), "beta is -1.0"),
        (partial(SymmetricCrossEntropy, log_zero=0.0), "log_zero is 0.0"),
    ],
)
def test_bad_arguments_of_robust_losses_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


class Curious(BinaryCrossEntropy):
    """Keeps what it is told before training and of the epochs."""

    def start_fit(self, facts):
        self.facts = facts

    def set_epoch(self, epoch):
        self.epoch = epoch


def test_the_pooled_loss_is_told_what_any_loss_is_told():
    inner = Curious()
    loss, facts = PooledRowsLoss(inner), item_facts([1, 0])
    loss.start_fit(facts)
    loss.set_epoch(3)
    assert inner.facts is facts
    assert inner.epoch == 3
