"""Popularity: the same ranking for everybody."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.backbones.layers.fitted import FittedBackbone, FittedTable
from invlightning.types import TrainingFacts


class Popularity(FittedBackbone):
    """Scores an item by its share of positive training rows; the baseline below all others.

    Cremonesi et al., "Performance of recommender algorithms on top-N recommendation tasks", RecSys
    2010, section 3.1. The count of an item is divided by the largest count, which changes no
    ranking. Gradients never touch the scores; an optimizer trains the scale and the offset that
    make logits of them.

    Needs the labeled training rows, from a data module.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
    """

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__(num_users, num_items)
        self.shares = FittedTable("Popularity")

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Counts the positive rows of each item."""
        counts = torch.bincount(facts.positives()[1], minlength=self.num_items)
        self.shares.values = (counts / counts.max().clamp(min=1)).to(self.offset)

    @override
    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        users, items = torch.broadcast_tensors(users, items)
        return self.shares.fitted()[items]

    @override
    def range_scores(self, users: Tensor, start: int, stop: int) -> Tensor:
        return self.shares.fitted()[start:stop].expand(len(users), -1)
