"""Relevance from clicks under missing exposure, Rel-MF."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import relevance_risk
from invlightning.losses.joint_rows import all_rows
from invlightning.losses.positive_based import PositiveBasedLoss
from invlightning.types import JointRows, TrainingFacts


class RelevanceLoss(PositiveBasedLoss):
    """Squared error of relevance, unbiased for the exposure of items (Rel-MF).

    The chance that item i was seen is estimated by its popularity among positives,
    ``max(sqrt(n_i / max n), clip)``, and every positive weighs 1 over it. Rows that are not
    positive, labeled negatives and unlabeled rows alike, have label 0 and the given weight: the
    method knows clicks only. The loss may be below 0.

    Source: Saito et al., WSDM 2020, arXiv 1909.03601. The released code clips at a tuned 0.0091;
    such small values weigh rare items a hundred times. Departures: propensities are those of the
    items themselves, where the released code misaligns them if an item has no positive.

    Args:
        clip: Lower bound of the propensities, in (0, 1]; 1 leaves out the correction.
        weight: Weight of rows that are not positive, and of the error towards irrelevance; 0 or
            more.

    Raises:
        ValueError: If an argument is out of its range.
    """

    propensities: Tensor | None

    def __init__(self, clip: float = 0.1, weight: float = 1.0) -> None:
        super().__init__()
        if not 0 < clip <= 1:
            raise ValueError(f"clip is {clip}, expected more than 0 and at most 1, such as 0.1.")
        if not weight >= 0:
            raise ValueError(f"weight is {weight}, expected 0 or more, usually 1.")
        self.clip = clip
        self.weight = weight
        # Not in checkpoints: every fit counts them anew from its training rows.
        self.register_buffer("propensities", None, persistent=False)

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Estimates the propensities from the positives of each item.

        Raises:
            ValueError: If there is no positive.
        """
        super().start_fit(facts)
        counts = torch.bincount(facts.positives()[1], minlength=facts.num_items)
        self.propensities = (counts / counts.max()).sqrt().clamp(min=self.clip)

    @override
    def forward(self, rows: JointRows) -> Tensor:
        """Returns the unbiased squared error.

        Args:
            rows: Labeled rows ``(B,)`` and the unlabeled rows ``(B, K)`` of the same users.

        Returns:
            A scalar; float32 for half precision.

        Raises:
            RuntimeError: If the propensities were never estimated.
        """
        if self.propensities is None:
            raise RuntimeError(
                "the propensities were never estimated: call start_fit(facts) with the "
                "training rows before the first step."
            )
        logits, labels, mask = all_rows(rows)
        items = torch.cat([rows.items, rows.unlabeled_items.flatten()])
        return relevance_risk(logits, labels, self.propensities[items], self.weight, mask)
