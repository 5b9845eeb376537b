"""LightGCN."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.backbones.layers.cosine import check_temperature, cosine_vectors
from invlightning.backbones.layers.embedding import check_sizes, embedding_table
from invlightning.backbones.layers.graph import PositivePairs, linear_map
from invlightning.backbones.layers.propagated import PropagatedBackbone, Vectors
from invlightning.types import TrainingFacts


class LightGCN(PropagatedBackbone):
    """LightGCN: embeddings propagated over the graph of positive training pairs.

    He et al., "LightGCN: simplifying and powering graph convolution network for recommendation",
    SIGIR 2020, equations 3, 4 and 8. A layer is E(k+1) = D^-1/2 A D^-1/2 E(k), with the adjacency
    A of users and items and their degrees D; the vectors are the mean of E(0) .. E(num_layers),
    the logit is the inner product of two of them. Embeddings start at N(0, 0.1^2). The weight
    decay of the paper is left to the optimizer.

    A layer costs as much as there are positive pairs, whatever the batch; the forward passes of a
    training step share one propagation. Needs the positive training pairs, from a data module.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length of the embeddings.
        num_layers: Number of layers; 0 is plain matrix factorization.
        temperature: The logit is the cosine of the two vectors divided by it. None takes their
            inner product.

    Raises:
        ValueError: If a size is below one, ``num_layers`` below zero or ``temperature`` not
            positive.
    """

    shares_graph = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 64,
        num_layers: int = 3,
        temperature: float | None = None,
    ) -> None:
        super().__init__(num_users, num_items)
        check_sizes(num_users, num_items, embedding_dim)
        if num_layers < 0:
            raise ValueError(f"num_layers is {num_layers}, expected at least 0.")
        check_temperature(temperature)
        self.num_layers, self.temperature = num_layers, temperature
        self.users = embedding_table(num_users, embedding_dim, sparse=False, std=0.1)
        self.items = embedding_table(num_items, embedding_dim, sparse=False, std=0.1)
        self.pairs = PositivePairs(num_users, num_items)

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Takes the positive training pairs as the graph."""
        self.pairs.start(*facts.positives())
        self._memory.clear()

    @override
    def compute_vectors(self) -> Vectors:
        self.pairs.check_started(type(self).__name__)
        embeddings = torch.cat((self.users.weight, self.items.weight))
        # The propagation is symmetric, so its own adjoint.
        vectors = linear_map(embeddings, self._propagate, self._propagate)
        users, items = vectors[: self.num_users], vectors[self.num_users :]
        return cosine_vectors(users, items, self.temperature)

    def _propagate(self, embeddings: Tensor) -> Tensor:
        users, items = embeddings[: self.num_users], embeddings[self.num_users :]
        user_scale, item_scale = self.pairs.user_scale(users), self.pairs.item_scale(items)
        total = embeddings.clone()
        for _ in range(self.num_layers):
            users, items = (
                user_scale * self.pairs.sum_items(item_scale * items),
                item_scale * self.pairs.sum_users(user_scale * users),
            )
            total += torch.cat((users, items))
        return total / (self.num_layers + 1)
