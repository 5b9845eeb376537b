"""The naive reading of unlabeled pairs: all are negatives."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import UnlabeledLoss
from invlightning.losses.functional import naive_negative_loss


class NaiveNegativeLoss(UnlabeledLoss):
    """Calls every unlabeled pair a negative ("sampled = negative") and weighs that by a constant.

    A control to compare inverse learning with: weight 1 is the usual practice, weights of about
    0.1 are often much better on labeled rows.

    Args:
        weight: Weight of this loss relative to the labeled loss. Both are means over their rows,
            so with K unlabeled items beside every labeled row, ``weight=K`` gives an unlabeled row
            the weight of a labeled one.

    Raises:
        ValueError: If ``weight`` is negative.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"weight is {weight}, expected 0 or more, for example weight=0.1.")
        self.weight = weight

    @override
    def forward(self, logits: Tensor) -> Tensor:
        return self.weight * naive_negative_loss(logits)
