"""Backbones that score an item for what a user liked before, in order of time."""

from abc import abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.layers.embedding import check_sizes, embedding_table
from invlightning.backbones.layers.histories import Histories
from invlightning.evaluation_mode import is_learning
from invlightning.types import TrainingFacts


class SequenceBackbone(Backbone):
    """A backbone whose logit is h . q_i, with a vector h of the user's history and q_i of the item.

    In evaluation the history has all positive training items of the user, up to the last
    ``max_len``. In training a pair is scored as of a moment and sees nothing later, so that no
    item predicts itself or an earlier one: a labeled training pair as of its own time; any other
    pair, such as an unlabeled one, as of the time of one of the user's training rows, chosen by a
    hash of the pair, so that the length of a history does not give the label away. This holds too
    while :func:`invlightning.evaluation_mode.evaluation_mode` pauses training. ``score_range``
    ranks for now and always takes the whole history.

    A split at random puts held-out rows before training rows in time; split by time for figures
    that a live system would reach. Needs timestamps.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length d of the item embeddings.
        max_len: Items L that a history has at most.
        std: Standard deviation of the item embeddings at the start.

    Raises:
        ValueError: If a size is below one.
    """

    def __init__(
        self, num_users: int, num_items: int, embedding_dim: int, max_len: int, std: float = 0.01
    ) -> None:
        super().__init__(num_users, num_items)
        check_sizes(num_users, num_items, embedding_dim)
        if max_len < 1:
            raise ValueError(f"max_len is {max_len}, but a history needs at least 1 item.")
        self.items = embedding_table(num_items, embedding_dim, sparse=False, std=std)
        self.histories = Histories(num_users, num_items, max_len)

    @abstractmethod
    def encode(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Computes the vectors of histories.

        Args:
            items: ``(n, L)`` items, oldest first; behind the length stands anything.
            lengths: ``(n,)`` how many there are, from 0 to L.

        Returns:
            ``(n, d)`` vectors.
        """

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Takes the training rows in order of time.

        Raises:
            ValueError: If there are no timestamps.
        """
        self.histories.start(facts, type(self).__name__)

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs; in training, as of their moment.

        Args:
            users: User indices; broadcast against ``items``.
            items: Item indices.

        Returns:
            Logits of the broadcast shape.
        """
        self.histories.check_started(type(self).__name__)
        if is_learning(self):
            shape = torch.broadcast_shapes(users.shape, items.shape)
            users = users.expand(shape)
            moments = self.histories.moment(users.flatten(), items.expand(shape).flatten())
        else:
            moments = self.histories.now(users.flatten())
        vectors = self._vectors(users.flatten(), moments)
        vectors = vectors.view(*users.shape, self.items.embedding_dim)
        logits: Tensor = (vectors * self.items(items)).sum(-1)
        return logits

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        """Scores the items ``start .. stop-1`` for each user now, by one matrix product.

        Args:
            users: ``(B,)`` user indices.
            start: First item.
            stop: One past the last item.

        Returns:
            ``(B, stop - start)`` logits.
        """
        self.histories.check_started(type(self).__name__)
        vectors = self._vectors(users, self.histories.now(users))
        return vectors @ self.items.weight[start:stop].T

    def score_histories(self, histories: list[Tensor], start: int, stop: int) -> Tensor:
        """Scores the items ``start .. stop-1`` for given histories, whoever's they are.

        Args:
            histories: B lists ``(n,)`` of item indices, the earliest first; the last ``max_len``
                count.
            start: First item.
            stop: One past the last item.

        Returns:
            ``(B, stop - start)`` logits.
        """
        device = self.items.weight.device
        latest = [history[-self.histories.max_len :] for history in histories]
        lengths = torch.tensor([len(history) for history in latest], device=device)
        longest = max(len(history) for history in latest)
        items = torch.zeros(len(latest), longest, dtype=torch.int64, device=device)
        for row, history in enumerate(latest):
            items[row, : len(history)] = history
        return self.encode(items, lengths) @ self.items.weight[start:stop].T

    def _vectors(self, users: Tensor, moments: Tensor) -> Tensor:
        """Vectors ``(n, d)`` of histories; a user who occurs often is encoded once a moment."""
        if self.training or users.device.type != "cpu":  # each row has a dropout mask of its own
            return self.encode(*self.histories.until(users, moments))
        states = torch.stack((users, moments.long()))
        distinct, places = states.unique(dim=1, return_inverse=True)
        return self.encode(*self.histories.until(*distinct)).index_select(0, places)
