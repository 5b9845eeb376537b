"""Debiased contrastive loss, DCL."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import debiased_contrast, mean_where
from invlightning.losses.joint_rows import compared_rows
from invlightning.losses.positive_based import PositiveBasedLoss
from invlightning.types import JointRows


class DebiasedContrastiveLoss(PositiveBasedLoss):
    """Softmax of a positive among drawn items, cleared of the positives that are among them.

    Of the sum over the K drawn items, the part that is due to a share ``prior`` of positives is
    taken off; see :func:`~invlightning.losses.functional.debiased_contrast`. With prior 0 this is
    the plain softmax over the positive and the drawn items. It wants many of them, K of about 16
    and more. Labeled negatives take no part. Scores compare within a user only.

    Source: Chuang et al., NeurIPS 2020, arXiv 2007.00224; prior 0.1 as in the released code.
    Departure: scores are unbounded logits, not cosines, so the temperature is 1 and the bound of
    the negative term, -1 there as the least cosine, is an argument. Once the mean of the drawn
    items falls below it, they are pushed no further.

    Args:
        prior: Share of positives among the drawn items, 0 or more and below 1.
        temperature: Divides the scores, above 0; 0.5 in the paper, for cosines.
        floor: Lowest score that negatives are taken to have in the mean.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, prior: float = 0.1, temperature: float = 1.0, floor: float = -1.0) -> None:
        super().__init__()
        if not 0 <= prior < 1:
            raise ValueError(f"prior is {prior}, expected 0 or more and below 1, such as 0.1.")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected more than 0.")
        self.prior = prior
        self.temperature = temperature
        self.floor = floor

    @override
    def forward(self, rows: JointRows) -> Tensor:
        losses = debiased_contrast(
            rows.logits,
            rows.unlabeled_logits,
            self.prior,
            self.floor,
            rows.mask,
            self.temperature,
            reduction="none",
        )
        return mean_where(losses, compared_rows(rows))
