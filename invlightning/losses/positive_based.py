"""What losses that learn from positives have in common."""

from abc import ABC

from torch import Tensor

from invlightning.losses.base import JointLoss


class PositiveBasedLoss(JointLoss, ABC):
    """A joint loss that learns nothing without labeled positives, and says so at set-up."""

    def start_fit(self, labels: Tensor, items: Tensor, num_items: int) -> None:
        """Checks that there are positives. Extend it to prepare tables.

        Args:
            labels: ``(N,)`` 0 or 1.
            items: ``(N,)`` item indices.
            num_items: Number of items I.

        Raises:
            ValueError: If there is no positive.
        """
        if not bool((labels > 0.5).any()):
            raise ValueError(
                f"{type(self).__name__} learns from labeled positives, but none of the "
                f"{len(labels)} training labels is 1: check positive_threshold of the data module."
            )
