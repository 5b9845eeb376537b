"""EASE: a linear model from items to items, in closed form."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.backbones.layers.co_occurrence import co_occurrences
from invlightning.backbones.layers.fitted import FittedBackbone, FittedTable
from invlightning.backbones.layers.graph import PositivePairs, sum_rows
from invlightning.memory import check_bytes
from invlightning.types import TrainingFacts

# Pairs that are scored at a time; each needs an index for every item that its user likes.
_PAIRS = 2**12


class EASE(FittedBackbone):
    """Embarrassingly shallow autoencoder: a user's score is a sum over the items they like.

    Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, equations 2 to 8: the
    weights B minimize ||X - X B||^2 + regularization ||B||^2 with a zero diagonal, where X (U, I)
    has a one for each positive training pair. With P = (X'X + regularization I)^-1 the weights are
    B_ij = -P_ij / P_jj off the diagonal, and the scores are X B. Nothing is trained by gradients
    but the scale and the offset that make logits of the scores.

    Fitting takes a time proportional to I^3 and, in float64, 32 I^2 bytes; the weights that are
    kept and stored take I^2 numbers. Needs the positive training pairs, from a data module.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        regularization: Weight of the squared norm of B, in users.

    Raises:
        ValueError: If ``regularization`` is not positive.
    """

    def __init__(self, num_users: int, num_items: int, regularization: float = 250.0) -> None:
        super().__init__(num_users, num_items)
        if not regularization > 0:
            raise ValueError(f"regularization is {regularization}, expected a positive number.")
        self.regularization = regularization
        self.pairs = PositivePairs(num_users, num_items)
        self.weights = FittedTable("EASE")

    @torch.no_grad()
    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Finds the weights.

        Raises:
            MemoryError: If the matrices of all pairs of items do not fit into memory.
        """
        device = self.offset.device
        check_bytes(
            4 * self.num_items**2 * torch.float64.itemsize,
            device,
            f"EASE, which fits a weight for every pair of {self.num_items:,} items,",
            "remove rare items by min_item_count, or take ItemKNN, which keeps a few neighbors "
            "of each item",
        )
        self.pairs.start(*facts.positives())
        gram = torch.empty(self.num_items, self.num_items, dtype=torch.float64, device=device)
        for block, counts in co_occurrences(self.pairs, torch.float64):
            gram[:, block] = counts
        gram.diagonal().add_(self.regularization)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = inverse.div_(-inverse.diagonal()).fill_diagonal_(0)
        self.weights.values = weights.to(self.offset).contiguous()

    @override
    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        users, items = torch.broadcast_tensors(users, items)
        weights = self.weights.fitted().view(-1, 1)  # that of items i and j is row i I + j
        scores = []
        blocks = (pairs.flatten().split(_PAIRS) for pairs in (users, items))
        for own, item in zip(*blocks, strict=True):
            liked, offsets, lengths = self.pairs.items_of(own)
            index = liked * self.num_items + item.repeat_interleave(lengths)
            scores.append(sum_rows(weights, index, offsets))
        return torch.cat(scores).view(users.shape)

    @override
    def range_scores(self, users: Tensor, start: int, stop: int) -> Tensor:
        liked, offsets, _ = self.pairs.items_of(users)
        weights = self.weights.fitted()[
            :, start:stop
        ].contiguous()  # itself where it is all of them
        return sum_rows(weights, liked, offsets)
