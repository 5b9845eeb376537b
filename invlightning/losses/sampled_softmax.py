"""Sampled softmax with the log-Q correction."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.dislikes import DislikesLoss
from invlightning.losses.functional import mean_where, sampled_rejection, sampled_softmax
from invlightning.losses.joint_rows import compared_rows, disliked_rows
from invlightning.types import JointRows, TrainingFacts


class SampledSoftmaxLoss(DislikesLoss):
    """Softmax over the catalogue, estimated from the drawn items and their probabilities Q.

    See :func:`~invlightning.losses.functional.sampled_softmax`. Q must be that of the sampler:
    Q_j is proportional to n_j ** beta with n_j the number of labeled training rows of item j, so
    ``beta`` is that of :class:`~invlightning.data.samplers.PopularitySampler`, 0 for uniform draws
    and 1 for draws from other rows of the batch (:class:`~invlightning.data.InBatchSampler` draws
    positives alone, so there it is exact for data without labeled negatives). A correction for
    popularity under uniform draws would teach the model to prefer popular items.

    Drawn items equal to the positive ("accidental hits") are left out. Q is that among all other
    items of the catalogue; that a sampler also leaves out the other known items of a user is
    neglected. Scores compare within a user only. Labeled negatives take no part unless they have a
    weight: then each adds the negative log-probability that it is not the item recommended, see
    :func:`~invlightning.losses.functional.sampled_rejection`.

    Source: Yi et al., RecSys 2019 (log Q), arXiv 2507.09331 (no correction of the positive), Wang
    et al., RecSys 2023, arXiv 2308.12256 (dislikes).

    Args:
        beta: Exponent of the popularity by which items are drawn, 0 or more.
        temperature: Divides the scores, above 0; values of about 0.1 suit cosines.
        negative_weight: Weight of the mean over the labeled negatives beside that over the
            positives; 0 leaves them out.

    Raises:
        ValueError: If an argument is out of its range.
    """

    log_weights: Tensor | None
    log_rest: Tensor | None

    def __init__(
        self, beta: float = 0.0, temperature: float = 1.0, negative_weight: float = 0.0
    ) -> None:
        super().__init__(negative_weight)
        if not beta >= 0:
            raise ValueError(f"beta is {beta}, expected 0 or more; 0 stands for uniform draws.")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected more than 0.")
        self.beta = beta
        self.temperature = temperature
        # Not in checkpoints: every fit counts them anew from its training rows.
        self.register_buffer("log_weights", None, persistent=False)
        self.register_buffer("log_rest", None, persistent=False)

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Counts the rows of each item, which give the probabilities of the draws.

        Raises:
            ValueError: If there is no positive, or no negative although they have a weight.
        """
        super().start_fit(facts)
        # A sampler never draws items without rows; should one be given, it counts as one row.
        counts = torch.bincount(facts.items, minlength=facts.num_items).clamp(min=1).double()
        weights = counts**self.beta
        self.log_weights = weights.log().float()
        self.log_rest = (weights.sum() - weights).log().float()

    @override
    def forward(self, rows: JointRows) -> Tensor:
        """Returns the mean over positives, 0 for a batch without any, and that over dislikes.

        Args:
            rows: Labeled rows ``(B,)`` and the unlabeled rows ``(B, K)`` of the same users.

        Returns:
            A scalar; float32 for half precision.

        Raises:
            RuntimeError: If the items were never counted.
        """
        if self.log_weights is None or self.log_rest is None:
            raise RuntimeError(
                "the items were never counted: call start_fit(facts) with the training "
                "rows before the first step."
            )
        no_hit = rows.unlabeled_items != rows.items.unsqueeze(1)
        rows = rows._replace(mask=no_hit if rows.mask is None else no_hit & rows.mask)
        log_q = self.log_weights[rows.unlabeled_items] - self.log_rest[rows.items].unsqueeze(1)
        given = (rows.logits, rows.unlabeled_logits, log_q, rows.mask, self.temperature)
        loss = mean_where(sampled_softmax(*given, reduction="none"), compared_rows(rows))
        if not self.negative_weight:
            return loss
        rejected = mean_where(sampled_rejection(*given, reduction="none"), disliked_rows(rows))
        return loss + self.negative_weight * rejected
