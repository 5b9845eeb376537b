"""Sampled softmax with the log-Q correction."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.counted_draws import CountedDrawsLoss
from invlightning.losses.functional import mean_where, sampled_rejection, sampled_softmax
from invlightning.losses.joint_rows import compared_rows, disliked_rows
from invlightning.types import JointRows


class SampledSoftmaxLoss(CountedDrawsLoss):
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
        rows, log_q = self.drawn(rows)
        given = (rows.logits, rows.unlabeled_logits, log_q, rows.mask, self.temperature)
        loss = mean_where(sampled_softmax(*given, reduction="none"), compared_rows(rows))
        if not self.negative_weight:
            return loss
        rejected = mean_where(sampled_rejection(*given, reduction="none"), disliked_rows(rows))
        return loss + self.negative_weight * rejected
