"""Reweighted cross entropy, R-CE."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import JointLoss
from invlightning.losses.functional import (
    mean_where,
    reweighted_cross_entropy,
)
from invlightning.losses.joint_rows import all_rows
from invlightning.types import JointRows


class ReweightedLoss(JointLoss):
    """Weighs every row by what the model thinks of its label, to the power of alpha (R-CE).

    Unlabeled rows are negatives. The weight is p^alpha for positives and (1 - p)^alpha for
    negatives, held constant, so that rows of large loss count less. A large alpha collapses onto
    the rows the model already agrees with.

    Source: Wang et al., WSDM 2021, arXiv 2006.04153; the released logs use alpha 0.2 to 0.3.
    Departure: in evaluation mode the loss is plain cross entropy, not the weighted one.

    Args:
        alpha: Exponent of the weights, 0 or more; 0 is plain cross entropy.

    Raises:
        ValueError: If ``alpha`` is negative.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__()
        if not alpha >= 0:
            raise ValueError(f"alpha is {alpha}, expected 0 or more, for example alpha=0.2.")
        self.alpha = alpha

    @override
    def forward(self, rows: JointRows) -> Tensor:
        logits, labels, mask = all_rows(rows)
        alpha = self.alpha if self.training else 0.0
        losses = reweighted_cross_entropy(logits, labels, alpha, reduction="none")
        return mean_where(losses, mask)
