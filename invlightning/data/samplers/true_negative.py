"""Draws from the true negatives of a user."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import NegativeSampler, draw_below
from invlightning.types import TrainingFacts


class TrueNegativeSampler(NegativeSampler):
    """Draws the labeled negatives of each user, uniformly and with replacement.

    Beside a pairwise loss it compares each true positive with a true negative of the same user
    among the training rows. Users without a true negative get none. These are known pairs: the
    one sampler that draws nothing else.
    """

    indptr: Tensor
    items: Tensor

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        super().prepare(known, facts)
        negatives = KnownPairs.from_pairs(*facts.negatives(), facts.num_users, facts.num_items)
        if not len(negatives.items):
            raise ValueError(
                "TrueNegativeSampler draws true negatives but no training row is labeled negative: "
                "set positive_threshold, or use data with ratings or dislikes."
            )
        self.register_buffer("indptr", negatives.indptr, persistent=False)
        self.register_buffer("items", negatives.items, persistent=False)
        self.has_saturated_users = bool((negatives.indptr.diff() == 0).any())

    @override
    def sample(self, users: Tensor, num_unlabeled: int, generator: torch.Generator) -> Tensor:
        self.check_request(num_unlabeled)
        start = self.indptr[users]
        counts = self.indptr[users + 1] - start
        places = start.unsqueeze(1) + draw_below(counts, num_unlabeled, generator)
        items = self.items[places.clamp_(max=len(self.items) - 1)].long()
        return items.masked_fill_((counts == 0).unsqueeze(1), -1)
