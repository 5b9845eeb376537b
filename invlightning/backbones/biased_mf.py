"""Matrix factorization with biases."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.layers.embedding import check_sizes, embedding_table


class BiasedMF(Backbone):
    """Matrix factorization with biases: the logit is mu + b_u + b_i + p_u . q_i.

    Koren, Bell and Volinsky, "Matrix factorization techniques for recommender systems", IEEE
    Computer 42(8), 2009. Embeddings start at N(0, 0.01^2), biases at 0.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length of the embeddings p and q.
        sparse: Whether the gradients of the tables hold the looked-up rows only; needs an
            optimizer that takes sparse gradients.

    Raises:
        ValueError: If a size is below one.
    """

    def __init__(
        self, num_users: int, num_items: int, embedding_dim: int = 32, sparse: bool = False
    ) -> None:
        super().__init__(num_users, num_items)
        check_sizes(num_users, num_items, embedding_dim)
        self.users = embedding_table(num_users, embedding_dim, sparse)
        self.items = embedding_table(num_items, embedding_dim, sparse)
        self.user_bias = embedding_table(num_users, 1, sparse, std=0)
        self.item_bias = embedding_table(num_items, 1, sparse, std=0)
        self.bias = nn.Parameter(torch.zeros(1))

    @property
    @override
    def varies_in_training(self) -> bool:
        return False

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        product = (self.users(users) * self.items(items)).sum(-1)
        biases = self.user_bias(users) + self.item_bias(items) + self.bias
        logits: Tensor = product + biases.squeeze(-1)
        return logits

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        item_bias = self.item_bias.weight[start:stop].T + self.bias
        product = torch.addmm(item_bias, self.users(users), self.items.weight[start:stop].T)
        logits: Tensor = product + self.user_bias(users)
        return logits
