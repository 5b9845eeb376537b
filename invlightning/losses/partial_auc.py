"""Lower-left partial AUC."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import lower_left_partial_auc
from invlightning.losses.joint_rows import compared_rows, users_of
from invlightning.losses.positive_based import PositiveBasedLoss
from invlightning.types import JointRows


class LowerLeftPartialAUCLoss(PositiveBasedLoss):
    """BPR of the best positives of a user against the hardest drawn items of their rows.

    What decides the first ranks is the lower left of the ROC curve; see
    :func:`~invlightning.losses.functional.lower_left_partial_auc`. With few positives of a user in
    a batch ``alpha`` leaves out little. It wants many drawn items. Labeled negatives take no part.
    Scores compare within a user only.

    Source: Shi et al., WWW 2024, arXiv 2403.00844.

    Args:
        alpha: Share of a user's positives in the batch that count, the best ones, in (0, 1].
        beta: Share of the drawn items of a row that count, the best ones, in (0, 1].

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, alpha: float = 0.7, beta: float = 0.2) -> None:
        super().__init__()
        for name, share in (("alpha", alpha), ("beta", beta)):
            if not 0 < share <= 1:
                raise ValueError(f"{name} is {share}, expected a share above 0 and at most 1.")
        self.alpha, self.beta = alpha, beta

    @override
    def forward(self, rows: JointRows) -> Tensor:
        """Returns the mean over the positives that count, 0 for a batch without any.

        Args:
            rows: Labeled rows ``(B,)`` and the unlabeled rows ``(B, K)`` of the same users.

        Raises:
            ValueError: If the rows do not tell their users.
        """
        return lower_left_partial_auc(
            rows.logits,
            rows.unlabeled_logits,
            users_of(rows, type(self).__name__),
            self.alpha,
            self.beta,
            compared_rows(rows),
            rows.mask,
        )
