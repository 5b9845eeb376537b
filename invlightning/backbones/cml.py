"""Collaborative metric learning."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.layers.embedding import check_sizes, embedding_table


class CML(Backbone):
    """Collaborative metric learning: the logit is a margin minus the squared distance of the two.

    Hsieh et al., "Collaborative metric learning", WWW 2017, section 3. The points p and q lie in
    the unit ball. Departures: a point outside the ball is pulled to its surface in the forward
    pass, where the paper moves the parameters after every step; the losses are those of this
    package, where the paper has a hinge weighted by rank and a penalty on covariances. The learned
    margin m makes a probability of the distance; rankings do not depend on it. Points start at
    N(0, 1/embedding_dim), and m at 2, the mean squared distance between them.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Dimension of the space.
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
        std = embedding_dim**-0.5
        self.users = embedding_table(num_users, embedding_dim, sparse, std)
        self.items = embedding_table(num_items, embedding_dim, sparse, std)
        self.margin = nn.Parameter(torch.full((1,), 2.0))

    @property
    @override
    def varies_in_training(self) -> bool:
        return False

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        difference = _in_ball(self.users(users)) - _in_ball(self.items(items))
        return self.margin - difference.square().sum(-1)

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        p, q = _in_ball(self.users(users)), _in_ball(self.items.weight[start:stop])
        item_part = self.margin - q.square().sum(1)
        return torch.addmm(item_part, p, q.T, alpha=2) - p.square().sum(1, keepdim=True)


def _in_ball(points: Tensor) -> Tensor:
    # Of the squared length, whose root has no derivative at zero.
    return points * points.square().sum(-1, keepdim=True).clamp(min=1).rsqrt()
