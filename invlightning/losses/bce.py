"""Cross entropy of labeled rows."""

from torch import Tensor

from invlightning.losses.base import LabeledLoss
from invlightning.losses.functional import cross_entropy


class BinaryCrossEntropy(LabeledLoss):
    """Binary cross entropy of the logits, the default loss of labeled rows.

    Half-precision logits are computed in float32.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean of y softplus(-s) + (1 - y) softplus(s).

        Args:
            logits: ``(B,)`` scores s.
            labels: ``(B,)`` labels y, 0 or 1 of any dtype.

        Returns:
            A scalar; float32 for half precision, else of the dtype of ``logits``.
        """
        return cross_entropy(logits, labels)
