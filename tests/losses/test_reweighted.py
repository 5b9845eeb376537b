from functools import partial

import pytest
import torch
from torch.nn import functional as F

from invlightning.losses import ReweightedLoss
from invlightning.losses.functional import reweighted_cross_entropy
from invlightning.testing import JointLossTests
from invlightning.types import JointRows
from tests.reference import method_losses as oracle

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64)
LABELS = (torch.arange(24) % 3 == 0).double()


class TestReweightedLoss(JointLossTests):
    loss = partial(ReweightedLoss, alpha=0.25)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_formula_and_constant_weights(alpha):
    logits = LOGITS.clone().requires_grad_()
    value = reweighted_cross_entropy(logits, LABELS, alpha)
    value.backward()
    rows = list(zip(LOGITS.tolist(), LABELS.tolist(), strict=True))
    expected, slopes = oracle.reweighted(rows, alpha)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    assert logits.grad.tolist() == pytest.approx(slopes, rel=1e-10)


def make_rows():
    items = torch.arange(12)
    return JointRows(LOGITS[:12], LABELS[:12], items, LOGITS[12:].view(12, 1), items.view(12, 1))


def test_unlabeled_rows_are_negatives():
    rows = make_rows()
    labels = torch.cat([LABELS[:12], torch.zeros(12)])
    expected = reweighted_cross_entropy(LOGITS, labels, 0.3)
    assert torch.equal(ReweightedLoss(alpha=0.3)(rows), expected)


def test_evaluation_is_plain():
    labels = torch.cat([LABELS[:12], torch.zeros(12, dtype=torch.float64)])
    plain = F.binary_cross_entropy_with_logits(LOGITS, labels)
    assert torch.allclose(ReweightedLoss(alpha=1.0).eval()(make_rows()), plain)
    assert torch.allclose(ReweightedLoss(alpha=0.0)(make_rows()), plain)


@pytest.mark.parametrize("alpha", [-0.1, float("nan")])
def test_bad_alpha(alpha):
    with pytest.raises(ValueError, match="expected 0 or more"):
        ReweightedLoss(alpha=alpha)
