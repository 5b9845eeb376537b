"""Generalized matrix factorization."""

from torch import Tensor
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.layers.embedding import check_sizes
from invlightning.backbones.layers.tower import FactorProduct, output_layer


class GMF(Backbone):
    """Generalized matrix factorization: the logit is h . (p_u * q_i) + b.

    He et al., "Neural collaborative filtering", WWW 2017, section 3.2. Embeddings start at
    N(0, 0.01^2), the weights h are LeCun-uniform, the bias b starts at 0.

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
        self.factors = FactorProduct(num_users, num_items, embedding_dim, sparse)
        self.output = output_layer(embedding_dim)

    @property
    @override
    def varies_in_training(self) -> bool:
        return False

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        logits: Tensor = self.output(self.factors(users, items)).squeeze(-1)
        return logits

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        return self.factors.score_range(users, start, stop, self.output.weight) + self.output.bias
