"""Cross entropy of labeled rows."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import LabeledLoss
from invlightning.losses.functional import cross_entropy


class BinaryCrossEntropy(LabeledLoss):
    """Binary cross entropy of the logits, the default loss of labeled rows.

    Half-precision logits are computed in float32.
    """

    @override
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels)
