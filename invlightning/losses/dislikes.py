"""What ranking losses that may learn from dislikes have in common."""

from abc import ABC

from typing_extensions import override

from invlightning.losses.positive_based import PositiveBasedLoss
from invlightning.types import TrainingFacts


class DislikesLoss(PositiveBasedLoss, ABC):
    """A ranking loss of positives, to which labeled negatives add a loss of their own.

    Args:
        negative_weight: Weight of the mean loss of the labeled negatives beside that of the
            positives; 0 leaves them out.

    Raises:
        ValueError: If ``negative_weight`` is negative.
    """

    def __init__(self, negative_weight: float) -> None:
        super().__init__()
        if not negative_weight >= 0:
            raise ValueError(
                f"negative_weight is {negative_weight}, expected 0, which leaves dislikes out, or "
                "more."
            )
        self.negative_weight = negative_weight

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Checks that there are positives, and negatives where they count.

        Raises:
            ValueError: If there is no positive, or no negative although ``negative_weight`` is
                above 0.
        """
        super().start_fit(facts)
        if self.negative_weight and not bool((facts.labels <= 0.5).any()):
            raise ValueError(
                f"negative_weight is {self.negative_weight}, but none of the {len(facts.labels)} "
                "training labels is 0: set it to 0, or name positive_threshold or "
                "negative_threshold of the data module."
            )
