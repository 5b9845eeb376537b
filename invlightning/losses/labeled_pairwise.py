"""Ranking the labeled rows of each user."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import LabeledLoss
from invlightning.losses.functional import labeled_pairwise_loss


class LabeledPairwiseLoss(LabeledLoss):
    """Puts each user's true positives above that user's true negatives in the batch.

    See :func:`~invlightning.losses.functional.labeled_pairwise_loss`; for those who rank the
    labeled rows (GAUC). Users need several rows in a batch: with few, draw a true negative beside
    every row instead, by :class:`~invlightning.losses.BPRLoss` over
    :class:`~invlightning.data.TrueNegativeSampler`. Scores compare within a user only.
    """

    @override
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Takes all rows for those of one user.

        Args:
            logits: ``(B,)`` scores.
            labels: ``(B,)`` 0 or 1.
        """
        return labeled_pairwise_loss(logits, labels, labels.new_zeros(labels.shape))

    @override
    def of_rows(self, logits: Tensor, labels: Tensor, users: Tensor) -> Tensor:
        return labeled_pairwise_loss(logits, labels, users)
