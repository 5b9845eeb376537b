"""Symmetric cross entropy, SCE."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import LabeledLoss
from invlightning.losses.functional import symmetric_cross_entropy


class SymmetricCrossEntropy(LabeledLoss):
    """Cross entropy plus its reverse, which is bounded and forgives wrong labels.

    The loss is alpha CE + beta RCE with RCE = -log_zero * (1 - P), P the likelihood of the label.
    With :class:`~invlightning.losses.PooledRowsLoss` it covers unlabeled rows too. Source:
    Wang et al., ICCV 2019, arXiv 1908.06112; ``alpha`` and ``beta`` as there for ten classes. The
    released code takes log 0 for log(1e-4) = -9.21.

    Args:
        alpha: Weight of the cross entropy, 0 or more.
        beta: Weight of the reverse cross entropy, 0 or more.
        log_zero: What log 0 counts as, below 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0) -> None:
        super().__init__()
        for name, weight in (("alpha", alpha), ("beta", beta)):
            if not weight >= 0:
                raise ValueError(f"{name} is {weight}, expected 0 or more.")
        if not log_zero < 0:
            raise ValueError(f"log_zero is {log_zero}, expected less than 0, for example -4.")
        self.alpha = alpha
        self.beta = beta
        self.log_zero = log_zero

    @override
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return symmetric_cross_entropy(logits, labels, self.alpha, self.beta, self.log_zero)
