"""Simplified sampled softmax cross entropy, SimCE."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import hardest_margin, mean_where
from invlightning.losses.joint_rows import compared_rows
from invlightning.losses.positive_based import PositiveBasedLoss
from invlightning.types import JointRows


class SimCELoss(PositiveBasedLoss):
    """Lets a positive lead the hardest of the K drawn items by a margin.

    max(0, margin + max_j s_j - s_i), the mean over the positives: a simple bound of the softmax
    over the drawn items, see :func:`~invlightning.losses.functional.hardest_margin`. It wants many
    of them. Labeled negatives take no part. Scores compare within a user only.

    Source: Yang et al., arXiv 2406.16170.

    Args:
        margin: By how much a positive is to lead, 0 or more.

    Raises:
        ValueError: If ``margin`` is negative.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        if not margin >= 0:
            raise ValueError(f"margin is {margin}, expected 0 or more.")
        self.margin = margin

    @override
    def forward(self, rows: JointRows) -> Tensor:
        losses = hardest_margin(
            rows.logits, rows.unlabeled_logits, self.margin, rows.mask, reduction="none"
        )
        return mean_where(losses, compared_rows(rows))
