"""Constant soft labels, and what all pseudo-labels have in common."""

from functools import partial

import pytest
import torch

from invlightning.losses import InverseDualLoss, PseudoLabelLoss, SoftLabel
from invlightning.testing import UnlabeledLossTests
from tests.helpers.known import item_facts
from tests.reference import losses as oracle

LOGITS = torch.linspace(-4, 4, 12, dtype=torch.float64)


class TestSoftLabel(UnlabeledLossTests):
    loss = SoftLabel


class TestWithOptions(UnlabeledLossTests):
    loss = partial(SoftLabel, prior=0.2, weight=0.3, start_epoch=2)


@pytest.mark.parametrize("prior", [0.1, 0.7])
def test_equals_the_oracle(prior):
    rows = [prior * oracle.softplus(-s) + (1 - prior) * oracle.softplus(s) for s in LOGITS.tolist()]
    assert SoftLabel(prior, weight=0.3)(LOGITS).item() == pytest.approx(
        0.3 * sum(rows) / len(rows), rel=1e-12
    )
    found = SoftLabel(prior).row_losses(LOGITS)
    assert torch.allclose(found, torch.tensor(rows, dtype=torch.float64), rtol=1e-12)


def test_the_labeled_share_is_the_label_of_every_pair():
    loss = SoftLabel()
    with pytest.raises(RuntimeError, match="never estimated"):
        loss(LOGITS)
    loss.start_fit(item_facts([1, 0, 0, 0]))
    assert torch.equal(loss.weights(LOGITS), torch.full_like(LOGITS, 0.25))


def test_soft_label_is_the_inverse_dual_loss_without_its_sharpening():
    """The mean annotation is the same, and nothing tells one pair from another."""
    constant, own = SoftLabel(0.3).weights(LOGITS), InverseDualLoss(prior=0.3).weights(LOGITS)
    assert constant.mean().item() == pytest.approx(own.mean().item(), abs=1e-9)
    assert constant.std() == 0
    assert own.std() > 0.1
    assert isinstance(SoftLabel(), PseudoLabelLoss)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior": None}, "SoftLabel needs a prior"),
        ({"prior": 1.0}, "prior is 1.0"),
        ({"weight": -1.0}, "weight is -1.0"),
        ({"start_epoch": -1}, "start_epoch is -1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftLabel(**arguments)
