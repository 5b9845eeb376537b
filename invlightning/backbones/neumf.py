"""Neural matrix factorization."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.gmf import GMF
from invlightning.backbones.layers.embedding import check_sizes
from invlightning.backbones.layers.tower import FactorProduct, Tower, output_layer
from invlightning.backbones.mlp import MLP


class NeuMF(Backbone):
    """Neural matrix factorization: the features of GMF and of MLP under one linear output.

    He et al., "Neural collaborative filtering", WWW 2017, section 3.4. The two parts have tables
    of their own: embedding_dim entries in the GMF part and embedding_dim * 2^(num_layers-1) in the
    MLP part. Dimensions and initialization as in :class:`GMF` and :class:`MLP`.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Number of features that each part gives to the output.
        num_layers: Number of hidden layers of the MLP part.
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
        self.factors = FactorProduct(num_users, num_items, embedding_dim, sparse)
        self.tower = Tower(num_users, num_items, embedding_dim, num_layers, dropout, sparse)
        self.output = output_layer(2 * embedding_dim)

    @property
    @override
    def varies_in_training(self) -> bool:
        return self.tower.dropout.p > 0

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        features = torch.cat([self.factors(users, items), self.tower(users, items)], dim=-1)
        logits: Tensor = self.output(features).squeeze(-1)
        return logits

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        factor_weight, tower_weight = self.output.weight.chunk(2, dim=1)
        linear = self.factors.score_range(users, start, stop, factor_weight)
        return linear + self.tower.score_range(users, start, stop, tower_weight) + self.output.bias

    @torch.no_grad()
    def load_pretrained(self, gmf: GMF, mlp: MLP, alpha: float = 0.5) -> None:
        """Starts from trained parts, so that the logit is alpha * GMF + (1 - alpha) * MLP.

        He et al. 2017, section 3.4.1, who go on with plain SGD, because the moments of Adam are
        not those of the pre-training.

        Args:
            gmf: A trained GMF of the same sizes.
            mlp: A trained MLP of the same sizes and number of layers.
            alpha: Weight of the GMF part, between 0 and 1.

        Raises:
            ValueError: If ``alpha`` is out of range or a size differs.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha}, expected a number between 0 and 1.")
        _copy_part(self.factors, gmf.factors, "GMF")
        _copy_part(self.tower, mlp.tower, "MLP")
        weights = [alpha * gmf.output.weight, (1 - alpha) * mlp.output.weight]
        self.output.weight.copy_(torch.cat(weights, dim=1))
        self.output.bias.copy_(alpha * gmf.output.bias + (1 - alpha) * mlp.output.bias)


def _copy_part(target: torch.nn.Module, source: torch.nn.Module, name: str) -> None:
    shapes = [
        {key: tuple(value.shape) for key, value in part.state_dict().items()}
        for part in (target, source)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"the pre-trained {name} does not fit: its parameters are {shapes[1]}, those of NeuMF "
            f"are {shapes[0]}. Use the same num_users, num_items, embedding_dim and num_layers."
        )
    target.load_state_dict(source.state_dict())
