"""Bayesian personalized ranking, BPR."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.dislikes import DislikesLoss
from invlightning.losses.functional import bayesian_personalized_ranking, mean_where
from invlightning.losses.joint_rows import compared_rows, disliked_rows
from invlightning.types import JointRows


class BPRLoss(DislikesLoss):
    """Ranks every positive above the unlabeled items of its row: softplus(s_j - s_i).

    The mean over K unlabeled items, then over the positives. Only differences within a user are
    learned: scores are no log-odds, and compare within a user only. Labeled negatives take no part
    unless they have a weight: then every one is ranked below the unlabeled items of its row, too,
    so that the order is liked, unknown, disliked.

    Source: Rendle et al., UAI 2009, arXiv 1205.2618. The L2 term of the paper is weight decay of
    the optimizer.

    Args:
        negative_weight: Weight of the mean over the labeled negatives beside that over the
            positives; 0 leaves them out.

    Raises:
        ValueError: If ``negative_weight`` is negative.
    """

    def __init__(self, negative_weight: float = 0.0) -> None:
        super().__init__(negative_weight)

    @override
    def forward(self, rows: JointRows) -> Tensor:
        liked = bayesian_personalized_ranking(
            rows.logits, rows.unlabeled_logits, rows.mask, reduction="none"
        )
        loss = mean_where(liked, compared_rows(rows))
        if not self.negative_weight:
            return loss
        disliked = bayesian_personalized_ranking(
            -rows.logits, -rows.unlabeled_logits, rows.mask, reduction="none"
        )
        return loss + self.negative_weight * mean_where(disliked, disliked_rows(rows))
