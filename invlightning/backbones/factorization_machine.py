"""Factorization machines."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.layers.embedding import check_sizes, embedding_table
from invlightning.compat import TravelingTensors
from invlightning.types import TrainingFacts


class FeatureSide(TravelingTensors):
    """The users, or the items, of a factorization machine: an id and side features for each.

    With x the features of a row, each with a factor v_j and a weight w_j, beside the factor and
    the weight of the id, the vector is s = v_id + sum_j x_j v_j, and the bias has the linear terms
    and the products of these features among themselves.

    Args:
        rows: Number of users or items R.
        embedding_dim: Length of the factors.
        sparse: Whether the gradients of the tables hold the looked-up rows only.
    """

    features: nn.Linear | None
    feature_weights: nn.Linear | None

    def __init__(self, rows: int, embedding_dim: int, sparse: bool) -> None:
        super().__init__()
        self.ids = embedding_table(rows, embedding_dim, sparse)
        self.id_weights = embedding_table(rows, 1, sparse, std=0)
        self.features = self.feature_weights = None
        self.values = torch.empty(rows, 0)

    def start(self, values: Tensor | None) -> None:
        """Takes the features and, the first time, makes their factors and weights.

        Args:
            values: ``(R, F)`` numbers; None for no features.

        Raises:
            ValueError: If there were features before, of another number.
        """
        table = self.ids.weight
        values = table.new_empty(len(table), 0) if values is None else values
        width, known = values.shape[1], self.values.shape[1]
        if known and width != known:
            raise ValueError(
                f"the factorization machine was trained with {known} features, the data has "
                f"{width}: give the same features as in training."
            )
        self.values = values.to(table)
        if width and not known:
            self.features = nn.Linear(width, table.shape[1], bias=False).to(table)
            self.feature_weights = nn.Linear(width, 1, bias=False).to(table)
            nn.init.normal_(self.features.weight, 0, 0.01)
            nn.init.zeros_(self.feature_weights.weight)

    @override
    def get_extra_state(self) -> Tensor:
        """The features ``(R, F)``, for the checkpoint."""
        return self.values

    @override
    def set_extra_state(self, state: Tensor) -> None:
        """Takes the features; their factors and weights are loaded after it."""
        self.start(state.clone())

    @override
    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns vectors, with d entries behind the shape of ``rows``, and biases."""
        factors: Tensor = self.ids(rows)
        bias: Tensor = self.id_weights(rows).squeeze(-1)
        if self.features is None or self.feature_weights is None:
            return factors, bias
        values = self.values[rows]
        vectors = factors + self.features(values)
        # Rendle's lemma: the products of all pairs are half of the square of the sum less squares.
        squares = factors.square().sum(-1) + values.square() @ self.features.weight.square().sum(0)
        products = (vectors.square().sum(-1) - squares) / 2
        return vectors, bias + self.feature_weights(values).squeeze(-1) + products


class FactorizationMachine(Backbone):
    """Factorization machine of second order over ids and side features of users and items.

    Rendle, "Factorization machines", ICDM 2010, equation 1: a bias, a weight for each feature and
    the inner product of the factors of every two features. Users and items are features too, so
    side features are not needed; without them this is matrix factorization with biases. Factors
    start at N(0, 0.01^2), weights and biases at 0.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length of the factors.
        sparse: Whether the gradients of the tables of ids hold the looked-up rows only; needs an
            optimizer that takes sparse gradients.

    Raises:
        ValueError: If a size is below one.
    """

    def __init__(
        self, num_users: int, num_items: int, embedding_dim: int = 32, sparse: bool = False
    ) -> None:
        super().__init__(num_users, num_items)
        check_sizes(num_users, num_items, embedding_dim)
        self.users = FeatureSide(num_users, embedding_dim, sparse)
        self.items = FeatureSide(num_items, embedding_dim, sparse)
        self.bias = nn.Parameter(torch.zeros(1))

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Takes the features of users and items, where the data has them.

        Raises:
            ValueError: If there were features before, of another number.
        """
        self.users.start(facts.user_features)
        self.items.start(facts.item_features)

    @property
    @override
    def varies_in_training(self) -> bool:
        return False

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        left, user_bias = self.users(users)
        right, item_bias = self.items(items)
        logits: Tensor = (left * right).sum(-1) + user_bias + item_bias + self.bias
        return logits

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        left, user_bias = self.users(users)
        right, item_bias = self.items(torch.arange(start, stop, device=users.device))
        logits: Tensor = torch.addmm(item_bias + self.bias, left, right.T) + user_bias.unsqueeze(1)
        return logits
