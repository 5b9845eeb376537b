"""Draws in proportion to a power of the popularity of the items."""

import math

from torch import Tensor
from typing_extensions import override

from invlightning.data.samplers.item_weight import ItemWeightSampler


class PopularitySampler(ItemWeightSampler):
    """Draws item j with probability proportional to n_j ** beta, n_j its number of known pairs.

    Mikolov et al. 2013, "Distributed Representations of Words and Phrases", section 2.2, draw
    negatives this way with exponent 3/4. Items without any known pair are never drawn unless
    ``beta`` is 0, which is the uniform distribution.

    Args:
        beta: Exponent, at least 0; larger draws popular items more often.

    Raises:
        ValueError: If ``beta`` is negative or not finite.
    """

    def __init__(self, beta: float = 0.75) -> None:
        super().__init__()
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta must be a finite number of at least 0, found {beta}.")
        self.beta = beta

    @override
    def item_weights(self, item_counts: Tensor) -> Tensor:
        """Returns ``item_counts ** beta``.

        Args:
            item_counts: ``(I,)`` number of known pairs of each item.

        Returns:
            ``(I,)`` float64 weights.
        """
        return item_counts.double().pow(self.beta)
