"""What losses that learn from positives have in common."""

from abc import ABC

from typing_extensions import override

from invlightning.losses.base import JointLoss
from invlightning.types import TrainingFacts


class PositiveBasedLoss(JointLoss, ABC):
    """A joint loss that learns nothing without labeled positives, and says so at set-up."""

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Checks that there are positives. Extend it to prepare tables.

        Raises:
            ValueError: If there is no positive.
        """
        if not bool((facts.labels > 0.5).any()):
            raise ValueError(
                f"{type(self).__name__} learns from labeled positives, but none of the "
                f"{len(facts.labels)} training labels is 1: check positive_threshold of the data "
                "module."
            )
