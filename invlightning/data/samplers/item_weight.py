"""Draws from the items a user has no known pair with, by fixed weights of the items."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import NegativeSampler, draw_below
from invlightning.types import TrainingFacts


def quantize_weights(weights: Tensor, num_users: int) -> Tensor:
    """Turns item weights into integers, so that sums and comparisons of them are exact.

    The weights are scaled to a total of about T = min(2**40, 2**61 / U) and rounded, positive ones
    to at least 1. The share of an item in the total is thus off by less than about 1 / T: 1e-12 up
    to two million users, 5e-12 at ten million. The total times U stays below 2**62.

    Args:
        weights: ``(I,)`` non-negative weights.
        num_users: Number of users U.

    Returns:
        ``(I,)`` int64 weights, 0 exactly where ``weights`` is 0.

    Raises:
        ValueError: If a weight is negative or not finite, or all are 0.
    """
    weights = weights.double()
    total = weights.sum()
    if not (total > 0 and torch.isfinite(total) and (weights >= 0).all()):
        raise ValueError(
            "item weights must be finite, non-negative and not all 0, found values in "
            f"{float(weights.min())}..{float(weights.max())} with sum {float(total)}."
        )
    units = min(2**40, 2**61 // num_users) - weights.numel()
    scaled = (weights / total * units).round().long()
    return torch.where(weights > 0, scaled.clamp(min=1), 0)


def _exclusive_sum(values: Tensor) -> Tensor:
    total = torch.zeros(values.numel() + 1, dtype=torch.int64)
    torch.cumsum(values, 0, out=total[1:])
    return total


class ItemWeightSampler(NegativeSampler, ABC):
    """Draws unlabeled items of a user with probability proportional to a weight of the item.

    Subclasses say :meth:`item_weights`. Exact and free of rejection, in integers: lay the weights
    of all items on a line, cut out those of the user's known items, and draw a point r of what is
    left. With ``W_k`` the weight of all items before item k and ``K_j`` that of the user's known
    items before the j-th, the known items cut out before r are those with ``W_(k_j) - K_j <= r``.
    One binary search over the keys ``user * W_I + W_(k_j) - K_j`` counts them, and a second one
    over W finds the item at ``r + K``. Items of weight 0 and known items are never drawn. Memory:
    16 bytes a known pair and 8 bytes a user and an item.
    """

    keys: Tensor
    pair_mass: Tensor
    user_mass: Tensor
    item_mass: Tensor

    @abstractmethod
    def item_weights(self, item_counts: Tensor) -> Tensor:
        """Weighs the items.

        Args:
            item_counts: ``(I,)`` int64 number of known pairs of each item.

        Returns:
            ``(I,)`` non-negative weights, up to a common factor.
        """

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares the cumulative weights of the known pairs and of the catalogue.

        Raises:
            ValueError: If a weight is negative or not finite, or all are 0.
        """
        super().prepare(known, facts)
        weights = quantize_weights(self.item_weights(known.item_counts), known.num_users)
        before = _exclusive_sum(weights)
        pair_mass = _exclusive_sum(weights[known.items])
        user_mass = pair_mass[known.indptr]
        self.total_mass = int(before[-1])
        users = known.users()
        cut = before[known.items] - (pair_mass[:-1] - user_mass[users])
        self.register_buffer("keys", users * self.total_mass + cut, persistent=False)
        self.register_buffer("pair_mass", pair_mass, persistent=False)
        self.register_buffer("user_mass", user_mass, persistent=False)
        self.register_buffer("item_mass", before[1:].contiguous(), persistent=False)
        self.has_saturated_users = bool((user_mass.diff() >= self.total_mass).any())

    @override
    def sample(self, users: Tensor, num_unlabeled: int, generator: torch.Generator) -> Tensor:
        self.check_request(num_unlabeled)
        first = self.user_mass.index_select(0, users)
        free = self.total_mass - (self.user_mass.index_select(0, users + 1) - first)
        points = draw_below(free, num_unlabeled, generator)
        wanted = points + (users * self.total_mass).unsqueeze(1)
        places = torch.searchsorted(self.keys, wanted, right=True)
        points.add_(self.pair_mass[places]).sub_(first.unsqueeze(1))
        items = torch.searchsorted(self.item_mass, points, right=True)
        if self.has_saturated_users:
            items.masked_fill_((free < 1).unsqueeze(1), -1)
        return items
