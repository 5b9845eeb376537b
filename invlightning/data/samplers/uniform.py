"""Uniform draws from the items a user has no known pair with."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import NegativeSampler, draw_below
from invlightning.types import TrainingFacts


class UniformSampler(NegativeSampler):
    """Draws every unlabeled item of a user with equal probability.

    Exact and free of rejection: a user with n known items ``k_0 < k_1 < ...`` has I - n unlabeled
    ones, and the one of rank r is ``r + #{j : k_j - j <= r}``, because ``k_j - j`` unlabeled items
    come before ``k_j``. One binary search over the keys ``user * I + k_j - j`` finds the count for
    all rows at once, whatever the size of the catalogue. Memory: one key a known pair (4 bytes
    while U * I < 2**31, else 8) and 8 bytes a user.
    """

    keys: Tensor
    indptr: Tensor

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares the keys of the known pairs."""
        super().prepare(known, facts)
        users = known.users()
        ranks = torch.arange(users.numel()) - known.indptr[users]
        keys = users * known.num_items + known.items - ranks
        small = known.num_users * known.num_items < 2**31
        self.register_buffer("keys", keys.int() if small else keys, persistent=False)
        self.register_buffer("indptr", known.indptr, persistent=False)

    @override
    def sample(self, users: Tensor, num_unlabeled: int, generator: torch.Generator) -> Tensor:
        self.check_request(num_unlabeled)
        first = self.indptr.index_select(0, users)
        free = self.num_items - (self.indptr.index_select(0, users + 1) - first)
        ranks = draw_below(free, num_unlabeled, generator)
        wanted = (ranks + (users * self.num_items).unsqueeze(1)).to(self.keys.dtype)
        places = torch.searchsorted(self.keys, wanted, right=True)
        items = ranks.add_(places).sub_(first.unsqueeze(1))
        if self.has_saturated_users:
            items.masked_fill_((free < 1).unsqueeze(1), -1)
        return items
