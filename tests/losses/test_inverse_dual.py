from functools import partial

import pytest
import torch

from invlightning.losses import InverseDualLoss
from invlightning.losses.functional import inverse_dual_loss, inverse_dual_weights
from invlightning.testing import UnlabeledLossTests
from tests.helpers.known import item_facts

LOGITS = torch.linspace(-5, 5, 40, dtype=torch.float64).view(10, 4)


class TestInverseDualLoss(UnlabeledLossTests):
    loss = InverseDualLoss


class TestWithOptions(UnlabeledLossTests):
    loss = partial(InverseDualLoss, weight=0.3, start_epoch=2, temperature=1.5, prior=0.1)


class TestWithLabeledPrior(UnlabeledLossTests):
    loss = partial(InverseDualLoss, prior="labeled")


def test_arguments_reach_the_formula():
    loss = InverseDualLoss(weight=0.3, temperature=1.5, prior=0.1)
    expected = 0.3 * inverse_dual_loss(LOGITS, temperature=1.5, prior=0.1)
    assert torch.equal(loss(LOGITS), expected)
    assert torch.equal(loss.weights(LOGITS), inverse_dual_weights(LOGITS, 1.5, 0.1))
    assert torch.equal(InverseDualLoss()(LOGITS), inverse_dual_loss(LOGITS))


def test_loss_counts_from_the_start_epoch_on():
    loss = InverseDualLoss(start_epoch=2)
    for epoch in range(4):
        loss.set_epoch(epoch)
        logits = LOGITS.clone().requires_grad_()
        value = loss(logits)
        value.backward()
        if epoch < 2:
            assert value.item() == 0
            assert torch.equal(logits.grad, torch.zeros_like(LOGITS))
        else:
            assert torch.equal(value, inverse_dual_loss(LOGITS))
            assert logits.grad.any()


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float16, 6e4), (torch.float32, 3e38)])
def test_delayed_loss_is_finite_at_extreme_logits(dtype, largest):
    logits = torch.tensor([largest, largest], dtype=dtype, requires_grad=True)
    value = InverseDualLoss(start_epoch=1)(logits)
    value.backward()
    assert value.item() == 0
    assert not logits.grad.any()


def test_labeled_prior_is_the_share_of_positives():
    loss = InverseDualLoss(prior="labeled")
    loss.start_fit(item_facts([1, 0, 0, 0]))
    assert loss.weights(LOGITS).mean().item() == pytest.approx(0.25, abs=1e-9)
    assert torch.equal(loss(LOGITS), inverse_dual_loss(LOGITS, prior=0.25))


def test_labeled_prior_travels_with_the_state():
    loss = InverseDualLoss(prior="labeled")
    loss.start_fit(item_facts([1, 0, 0, 0]))
    loaded = InverseDualLoss(prior="labeled")
    loaded.load_state_dict(loss.state_dict())
    assert torch.equal(loaded(LOGITS), loss(LOGITS))
    assert not InverseDualLoss(prior=0.2).state_dict()


def test_labeled_prior_without_start_fit():
    loss = InverseDualLoss(prior="labeled")
    with pytest.raises(RuntimeError, match=r"call start_fit\(facts\)"):
        loss(LOGITS)
    with pytest.raises(RuntimeError, match="never estimated"):
        loss.weights(LOGITS)


@pytest.mark.parametrize("labels", [torch.ones(5), torch.zeros(5), torch.empty(0)])
def test_labeled_prior_needs_both_classes(labels):
    with pytest.raises(ValueError, match="labeled positives and labeled negatives"):
        InverseDualLoss(prior="labeled").start_fit(item_facts(labels))
    InverseDualLoss(prior=0.1).start_fit(item_facts(labels))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "weight is -1.0"),
        ({"weight": float("nan")}, "weight is nan"),
        ({"start_epoch": -1}, "start_epoch is -1"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"prior": 0.0}, "prior is 0.0"),
        ({"prior": 1.0}, "prior is 1.0"),
        ({"prior": "guess"}, "prior is 'guess'"),
    ],
)
def test_bad_arguments_of_the_inverse_dual_loss_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        InverseDualLoss(**arguments)


class LateLoss(InverseDualLoss):
    """An attribute of its own that is named like an argument."""

    def __init__(self):
        super().__init__()
        self.start_epoch = 3


def test_an_attribute_may_be_named_like_the_argument():
    """start_epoch was a hook once: this class broke the training loop."""
    loss = LateLoss()
    loss.set_epoch(2)
    assert loss(LOGITS) == 0
    loss.set_epoch(3)
    assert torch.equal(loss(LOGITS), inverse_dual_loss(LOGITS))
