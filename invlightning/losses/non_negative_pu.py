"""Non-negative positive-unlabeled risk, nnPU."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import non_negative_risk
from invlightning.losses.joint_rows import all_rows
from invlightning.losses.positive_based import PositiveBasedLoss
from invlightning.types import JointRows


class NonNegativePULoss(PositiveBasedLoss):
    """Risk of a classifier from positives and unlabeled rows alone, kept above -beta (nnPU).

    Unlabeled rows count as a mixture: of their risk as negatives, the part that is due to the
    share ``prior`` of positives among them is taken off again. Where the rest falls below -beta
    the model overfits, and the step goes up instead, gamma times as far. Labeled negatives take no
    part: the method is defined for positives and unlabeled rows, and drawn rows leave known pairs
    out.

    Source: Kiryo et al., NeurIPS 2017, arXiv 1703.00593; defaults of the released code.

    Args:
        prior: Share of positives among unlabeled pairs, strictly between 0 and 1. Must be known.
        beta: How far below 0 the risk of negatives may fall, 0 or more.
        gamma: Step of the ascent relative to an ordinary step, in [0, 1].
        logistic: Use the logistic loss instead of the sigmoid loss. The sigmoid loss is bounded
            but has small gradients where the model is wrong.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self, prior: float, beta: float = 0.0, gamma: float = 1.0, logistic: bool = False
    ) -> None:
        super().__init__()
        if not 0 < prior < 1:
            raise ValueError(
                f"prior is {prior}, expected the share of positives among unlabeled pairs, between "
                "0 and 1 (both excluded)."
            )
        if not beta >= 0:
            raise ValueError(f"beta is {beta}, expected 0 or more.")
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma is {gamma}, expected a number in [0, 1].")
        self.prior = prior
        self.beta = beta
        self.gamma = gamma
        self.logistic = logistic

    @override
    def forward(self, rows: JointRows) -> Tensor:
        logits, labels, mask = all_rows(rows)
        unlabeled = torch.arange(len(logits), device=logits.device) >= len(rows.logits)
        if mask is not None:
            unlabeled = unlabeled & mask
        return non_negative_risk(
            logits, labels > 0.5, unlabeled, self.prior, self.beta, self.gamma, self.logistic
        )
