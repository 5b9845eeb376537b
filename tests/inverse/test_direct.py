"""The control that always follows the step."""

import torch

from invlightning.inverse import Direct, InverseGradient
from invlightning.testing import DecisionTests
from tests.helpers.toys import Factors, batches, labeled, unlabeled


class TestDirect(DecisionTests):
    decision = Direct
    measures_risk = False


def test_the_step_is_always_taken():
    """However bad it is for the labeled rows, and without looking at them."""
    model, risks = Factors(), []
    [batch] = batches(1)
    engine = InverseGradient(0.05, "sgd", Direct())
    origin = [p.detach().clone() for p in model.parameters()]
    loss = unlabeled(model, batch)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    record = engine.step(
        list(model.parameters()),
        lambda: unlabeled(model, batch),
        lambda: risks.append(1) or labeled(model, batch),
    )
    assert not risks
    assert record.shares.tolist() == [0, 0, 1]
    assert record.risks.isnan().all()
    for p, before, g in zip(model.parameters(), origin, gradients, strict=True):
        assert torch.allclose(p, before - 0.05 * g)
