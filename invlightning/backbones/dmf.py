"""Deep matrix factorization."""

from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.layers.cosine import check_temperature, cosine_vectors
from invlightning.backbones.layers.embedding import check_sizes, embedding_table
from invlightning.backbones.layers.graph import PositivePairs, linear_map
from invlightning.backbones.layers.propagated import PropagatedBackbone, Vectors
from invlightning.types import TrainingFacts


class DMF(PropagatedBackbone):
    """Deep matrix factorization: two towers over rows and columns of the feedback matrix.

    Xue et al., "Deep matrix factorization models for recommender systems", IJCAI 2017, sections
    3.1 and 3.2. A user is the row of their positive training items, an item the column of its
    users, each scaled to length one. A linear layer without bias and ``num_layers`` fully
    connected layers, with ReLU before each, turn them into vectors. Departures: values are 0 and
    1; the last layer has no ReLU and the inner product is the default, since a logit must take
    both signs. The rows are never dense: the first layer sums the embeddings of the neighbors.
    Embeddings start at N(0, 0.01^2), layers are Xavier-uniform, biases start at 0.

    A forward pass costs as much as there are positive pairs, whatever the batch. Needs the
    positive training pairs, from a data module.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Width of all layers.
        num_layers: Number of layers of each tower after the first.
        temperature: The logit is the cosine of the two vectors divided by it. None takes their
            inner product.

    Raises:
        ValueError: If a size is below one, ``num_layers`` is below zero or ``temperature`` is not
            positive.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 64,
        num_layers: int = 2,
        temperature: float | None = None,
    ) -> None:
        super().__init__(num_users, num_items)
        check_sizes(num_users, num_items, embedding_dim)
        if num_layers < 0:
            raise ValueError(f"num_layers is {num_layers}, expected at least 0.")
        check_temperature(temperature)
        self.temperature = temperature
        # A user is embedded by items and the other way round.
        self.users = embedding_table(num_users, embedding_dim, sparse=False)
        self.items = embedding_table(num_items, embedding_dim, sparse=False)
        self.user_tower = _tower(embedding_dim, num_layers)
        self.item_tower = _tower(embedding_dim, num_layers)
        self.pairs = PositivePairs(num_users, num_items)

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Takes the positive training pairs."""
        self.pairs.start(*facts.positives())
        self._memory.clear()

    @override
    def compute_vectors(self) -> Vectors:
        self.pairs.check_started(type(self).__name__)
        pairs, tables = self.pairs, (self.users.weight, self.items.weight)
        user_sums = linear_map(tables[1], pairs.sum_items, pairs.sum_users)
        item_sums = linear_map(tables[0], pairs.sum_users, pairs.sum_items)
        users: Tensor = self.user_tower(pairs.user_scale(user_sums) * user_sums)
        items: Tensor = self.item_tower(pairs.item_scale(item_sums) * item_sums)
        return cosine_vectors(users, items, self.temperature)


def _tower(width: int, num_layers: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(num_layers):
        linear = nn.Linear(width, width)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [nn.ReLU(), linear]
    return nn.Sequential(*layers)
