from functools import partial

import pytest
import torch

from invlightning.losses import NaiveNegativeLoss
from invlightning.losses.functional import naive_negative_loss
from invlightning.testing import UnlabeledLossTests


class TestSampledNegativeLoss(UnlabeledLossTests):
    loss = partial(NaiveNegativeLoss, weight=0.1)


def test_weight():
    logits = torch.linspace(-5, 5, 20, dtype=torch.float64).view(5, 4)
    assert NaiveNegativeLoss()(logits) == naive_negative_loss(logits)
    assert NaiveNegativeLoss(weight=0.25)(logits) == 0.25 * naive_negative_loss(logits)


@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_bad_weight(weight):
    with pytest.raises(ValueError, match="expected 0 or more"):
        NaiveNegativeLoss(weight=weight)
