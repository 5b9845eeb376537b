"""Multilayer perceptron over a pair."""

from torch import Tensor
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.layers.embedding import check_sizes
from invlightning.backbones.layers.tower import Tower, output_layer


class MLP(Backbone):
    """Multilayer perceptron over the embeddings of user and item side by side.

    He et al., "Neural collaborative filtering", WWW 2017, section 3.3. The embeddings have
    embedding_dim * 2^(num_layers-1) entries each; every layer (dropout, linear, ReLU) halves the
    width, down to embedding_dim (with the defaults 256, 128, 64, 32), and a linear output follows.
    Embeddings start at N(0, 0.01^2), layers Xavier-uniform, the output LeCun-uniform, biases at 0.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Width of the last hidden layer.
        num_layers: Number of hidden layers.
        dropout: Probability that an input of a hidden layer is dropped in training.
        sparse: Whether the gradients of the tables hold the looked-up rows only; needs an
            optimizer that takes sparse gradients.

    Raises:
        ValueError: If a size or ``num_layers`` is below one, or ``dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 32,
        num_layers: int = 3,
        dropout: float = 0.0,
        sparse: bool = False,
    ) -> None:
        super().__init__(num_users, num_items)
        check_sizes(num_users, num_items, embedding_dim)
        self.tower = Tower(num_users, num_items, embedding_dim, num_layers, dropout, sparse)
        self.output = output_layer(embedding_dim)

    @property
    @override
    def varies_in_training(self) -> bool:
        return self.tower.dropout.p > 0

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        logits: Tensor = self.output(self.tower(users, items)).squeeze(-1)
        return logits

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        return self.tower.score_range(users, start, stop, self.output.weight) + self.output.bias
