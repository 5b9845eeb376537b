from functools import partial

import pytest
import torch

from invlightning.losses import SampledNegativeLoss
from invlightning.losses.functional import sampled_negative_loss
from invlightning.testing import UnlabeledLossTests


class TestSampledNegativeLoss(UnlabeledLossTests):
    loss = partial(SampledNegativeLoss, weight=0.1)


def test_weight():
    logits = torch.linspace(-5, 5, 20, dtype=torch.float64).view(5, 4)
    assert SampledNegativeLoss()(logits) == sampled_negative_loss(logits)
    assert SampledNegativeLoss(weight=0.25)(logits) == 0.25 * sampled_negative_loss(logits)


@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_bad_weight(weight):
    with pytest.raises(ValueError, match="expected 0 or more"):
        SampledNegativeLoss(weight=weight)
