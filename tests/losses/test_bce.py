import pytest
import torch

from invlightning.losses import BinaryCrossEntropy
from invlightning.testing import LabeledLossTests
from tests.reference import losses as oracle


class TestBinaryCrossEntropy(LabeledLossTests):
    loss = BinaryCrossEntropy


@pytest.mark.parametrize("label_type", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_value(label_type):
    logits = torch.linspace(-30, 30, 61, dtype=torch.float64)
    labels = torch.arange(61) % 3 == 0
    loss = BinaryCrossEntropy()(logits, labels.to(label_type))
    exact = oracle.cross_entropy(logits.tolist(), labels.tolist())
    assert loss.item() == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    logits = torch.linspace(-30, 30, 61).to(dtype)
    labels = (torch.arange(61) % 3 == 0).to(dtype)
    loss = BinaryCrossEntropy()(logits, labels)
    assert loss.dtype == torch.float32
    exact = oracle.cross_entropy(logits.tolist(), labels.tolist())
    assert loss.item() == pytest.approx(exact, rel=1e-6)
