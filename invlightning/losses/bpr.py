"""Bayesian personalized ranking, BPR."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import bayesian_personalized_ranking, mean_where
from invlightning.losses.joint_rows import compared_rows
from invlightning.losses.positive_based import PositiveBasedLoss
from invlightning.types import JointRows


class BPRLoss(PositiveBasedLoss):
    """Ranks every positive above the unlabeled items of its row: softplus(s_j - s_i).

    The mean over K unlabeled items, then over the positives. Labeled negatives take no part. Only
    differences within a user are learned: scores are no log-odds, and compare within a user only.

    Source: Rendle et al., UAI 2009, arXiv 1205.2618. The L2 term of the paper is weight decay of
    the optimizer.
    """

    @override
    def forward(self, rows: JointRows) -> Tensor:
        losses = bayesian_personalized_ranking(
            rows.logits, rows.unlabeled_logits, rows.mask, reduction="none"
        )
        return mean_where(losses, compared_rows(rows))
