"""Generalized cross entropy, GCE."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import LabeledLoss
from invlightning.losses.functional import generalized_cross_entropy


class GeneralizedCrossEntropy(LabeledLoss):
    """Between cross entropy and absolute error: a wrong label has a bounded loss.

    The loss (1 - P^q) / q of the likelihood P of the label is at most 1 / q, and its gradient is
    that of cross entropy times P^q. With :class:`~invlightning.losses.PooledRowsLoss` it
    covers unlabeled rows too. Source: Zhang & Sabuncu, NeurIPS 2018, arXiv 1805.07836, whose
    experiments use q = 0.7.

    Args:
        q: Exponent in (0, 1]; small values are close to cross entropy, 1 is the absolute error.

    Raises:
        ValueError: If ``q`` is out of its range.
    """

    def __init__(self, q: float = 0.7) -> None:
        super().__init__()
        if not 0 < q <= 1:
            raise ValueError(f"q is {q}, expected more than 0 and at most 1, for example q=0.7.")
        self.q = q

    @override
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return generalized_cross_entropy(logits, labels, self.q)
