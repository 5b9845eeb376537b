"""DeepFM."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.factorization_machine import FactorizationMachine
from invlightning.backbones.layers.tower import item_blocks, output_layer


class DeepFM(FactorizationMachine):
    """DeepFM: a factorization machine plus a network over the same factors.

    Guo et al., "DeepFM: a factorization-machine based neural network for CTR prediction", IJCAI
    2017, section 2.1. Departure: the network sees the sum of the factors of the user and their
    features beside that of the item and its features, where the paper has every feature side by
    side. Layers are Xavier-uniform, with ReLU and dropout behind each.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length of the factors.
        hidden_dim: Width of the hidden layers.
        num_layers: Number of hidden layers.
        dropout: Probability that an activation of a hidden layer is dropped in training.
        sparse: Whether the gradients of the tables of ids hold the looked-up rows only; needs an
            optimizer that takes sparse gradients.

    Raises:
        ValueError: If a size or ``num_layers`` is below one, or ``dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 32,
        hidden_dim: int = 128,
        num_layers: int = 3,
        dropout: float = 0.2,
        sparse: bool = False,
    ) -> None:
        super().__init__(num_users, num_items, embedding_dim, sparse)
        if min(hidden_dim, num_layers) < 1:
            raise ValueError(
                f"hidden_dim is {hidden_dim} and num_layers {num_layers}, expected at least 1."
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}, expected at least 0 and less than 1.")
        self.drops = dropout > 0
        # The first layer is linear in the pair: halves of users and items are added.
        self.user_half = nn.Linear(embedding_dim, hidden_dim)
        self.item_half = nn.Linear(embedding_dim, hidden_dim, bias=False)
        layers: list[nn.Module] = [nn.ReLU(), nn.Dropout(dropout)]
        for _ in range(num_layers - 1):
            layers += [nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        for module in (self.user_half, self.item_half, *self.layers):
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.output = output_layer(hidden_dim)

    @property
    @override
    def varies_in_training(self) -> bool:
        return self.drops

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        left, user_bias = self.users(users)
        right, item_bias = self.items(items)
        shallow = (left * right).sum(-1) + user_bias + item_bias + self.bias
        deep: Tensor = self.output(self.layers(self.user_half(left) + self.item_half(right)))
        logits: Tensor = shallow + deep.squeeze(-1)
        return logits

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        left, _ = self.users(users)
        half = self.user_half(left).unsqueeze(1)
        column = self.output.weight.flatten()
        deep = [
            self.layers(half + self.item_half(self.items(items)[0])) @ column
            for items in item_blocks(half, start, stop)
        ]
        shallow = super().score_range(users, start, stop)
        logits: Tensor = shallow + torch.cat(deep, 1) + self.output.bias
        return logits
