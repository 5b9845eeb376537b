"""Item-based nearest neighbors."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.layers.co_occurrence import co_occurrences
from invlightning.backbones.layers.fitted import FittedBackbone, FittedTable
from invlightning.backbones.layers.graph import PositivePairs
from invlightning.memory import check_bytes
from invlightning.types import TrainingFacts


class _SearchedPairs(PositivePairs):
    """Positive pairs among which others are looked up."""

    @override
    def start(self, users: Tensor, items: Tensor) -> None:
        """Takes the pairs, each of them once."""
        super().start(users, items)
        keys = (users * self.num_items + items).to(self.user_items.device).sort().values
        # A key beyond all others, so that every search ends at an entry.
        self.keys = torch.cat([keys, keys.new_tensor([self.num_users * self.num_items])])

    def contain(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether pairs are among them; booleans of the broadcast shape."""
        keys = users * self.num_items + items
        return self.keys[torch.searchsorted(self.keys, keys)] == keys


class ItemKNN(FittedBackbone):
    """Item-based nearest neighbors: a score is a sum over the neighbors that the user likes.

    Deshpande and Karypis, "Item-based top-N recommendation algorithms", TOIS 2004, section 4: of
    each item i the ``num_neighbors`` most similar items j are kept, of equal ones those with the
    lower index, and the score of (u, i) is the sum of the similarities of those that u likes.
    The similarity is the cosine c_ij / (sqrt(c_i c_j) + shrinkage) of the users who like an item,
    c_ij of both and c_i of one of them; the shrinkage, as in Ferrari Dacrema et al., RecSys 2019,
    lowers what rests on few users. Nothing is trained by gradients but the scale and the offset
    that make logits of the scores.

    Fitting takes a time proportional to the positive pairs times I. Needs the positive training
    pairs, from a data module.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        num_neighbors: Neighbors K of each item; all others where there are fewer.
        shrinkage: Added to the denominator of the cosine, in users.

    Raises:
        ValueError: If ``num_neighbors`` is below one or ``shrinkage`` below zero.
    """

    def __init__(
        self, num_users: int, num_items: int, num_neighbors: int = 100, shrinkage: float = 10.0
    ) -> None:
        super().__init__(num_users, num_items, scale=1.0)
        if num_neighbors < 1:
            raise ValueError(f"num_neighbors is {num_neighbors}, expected at least 1.")
        if not shrinkage >= 0:
            raise ValueError(f"shrinkage is {shrinkage}, expected at least 0.")
        self.num_neighbors, self.shrinkage = min(num_neighbors, num_items), shrinkage
        self.pairs = _SearchedPairs(num_users, num_items)
        self.neighbors = FittedTable("ItemKNN", torch.int64)
        self.similarities = FittedTable("ItemKNN")

    @torch.no_grad()
    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Finds the neighbors.

        Raises:
            MemoryError: If they do not fit into memory.
        """
        self.pairs.start(*facts.positives())
        size, like = (self.num_items, self.num_neighbors), self.offset
        check_bytes(
            self.num_items * self.num_neighbors * (torch.int64.itemsize + like.dtype.itemsize),
            like.device,
            f"ItemKNN with {self.num_neighbors:,} neighbors of {self.num_items:,} items",
            "lower num_neighbors, or remove rare items by min_item_count",
        )
        neighbors = torch.empty(size, dtype=torch.int64, device=like.device)
        similarities = like.new_empty(size)
        counts = self.pairs.item_offsets.diff().double()
        for block, both in co_occurrences(self.pairs, torch.float64):
            norms = (counts.unsqueeze(1) * counts[block]).sqrt() + self.shrinkage
            cosines = (both / norms.clamp(min=torch.finfo(norms.dtype).tiny)).T
            cosines[:, block].fill_diagonal_(0)
            values, items = cosines.sort(dim=1, descending=True, stable=True)
            neighbors[block] = items[:, : self.num_neighbors]
            similarities[block] = values[:, : self.num_neighbors].to(like)
        self.neighbors.values, self.similarities.values = neighbors, similarities

    @override
    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        similarities = self.similarities.fitted()[items]
        liked = self.pairs.contain(users.unsqueeze(-1), self.neighbors.fitted()[items])
        return (similarities * liked).sum(-1)

    @override
    def range_scores(self, users: Tensor, start: int, stop: int) -> Tensor:
        liked, _, lengths = self.pairs.items_of(users)
        rows = torch.arange(len(users), device=users.device).repeat_interleave(lengths)
        similarities = self.similarities.fitted()[start:stop]
        profiles = similarities.new_zeros(self.num_items, len(users))
        profiles[liked, rows] = 1
        neighbors = self.neighbors.fitted()[start:stop]
        sums: Tensor = nn.functional.embedding_bag(
            neighbors, profiles, mode="sum", per_sample_weights=similarities
        )
        return sums.T
