"""Contract of the networks that score a (user, item) pair."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.specs import Specified
from invlightning.types import TrainingFacts


class Backbone(Specified, nn.Module, ABC):
    """A network built from ``(num_users, num_items)`` that scores pairs.

    A subclass hands the sizes to ``super().__init__(num_users, num_items)``.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.

    Raises:
        TypeError: If a subclass calls ``super().__init__()`` without the sizes.
    """

    num_users: int
    num_items: int

    @property
    def varies_in_training(self) -> bool:
        """Whether logits may differ between training and evaluation mode, as with dropout.

        A subclass whose ``forward`` is the same in both says so: some steps are cheaper then.
        """
        return True

    def __init__(self, num_users: int | None = None, num_items: int | None = None) -> None:
        if num_users is None or num_items is None:
            raise TypeError(
                f"{type(self).__name__} called super().__init__ without the sizes: write "
                "super().__init__(num_users, num_items) in its constructor."
            )
        super().__init__()
        self.num_users, self.num_items = int(num_users), int(num_items)

    def start_fit(self, facts: TrainingFacts) -> None:
        """Takes what it needs of the training data, before the optimizer is built.

        What is taken must be in the state dict, so that a loaded backbone works without the data:
        in buffers and parameters whose shapes the constructor knows, or by ``get_extra_state``.
        Called again when training starts again. Most backbones need nothing.

        Args:
            facts: The labeled training rows and the features of users and items.

        Raises:
            ValueError: If the data lacks something that the backbone needs.
        """

    def embedding_tables(self) -> tuple[list[nn.Embedding], list[nn.Embedding]]:
        """The tables that are looked up by user and those that are looked up by item.

        By default the embeddings of ``num_users`` rows under a name with ``user`` and those of
        ``num_items`` rows under a name with ``item``. Override it where that is wrong.
        """
        found: tuple[list[nn.Embedding], list[nn.Embedding]] = ([], [])
        sides = zip(found, ("user", "item"), (self.num_users, self.num_items), strict=True)
        for tables, side, rows in sides:
            for name, module in self.named_modules():
                named = side in name.rpartition(".")[2]
                if isinstance(module, nn.Embedding) and named and len(module.weight) == rows:
                    tables.append(module)
        return found

    def embedding_penalty(self, users: Tensor, items: Tensor) -> Tensor:
        """Mean squared norm of the embeddings that pairs look up, summed over tables; a scalar.

        Args:
            users: ``(M,)`` user indices.
            items: ``(M,)`` item indices.

        Raises:
            ValueError: If the backbone has no tables of users and items.
        """
        sides = zip(self.embedding_tables(), (users, items), strict=True)
        norms = [table(rows).square().sum(-1).mean() for tables, rows in sides for table in tables]
        if not norms:
            raise ValueError(
                f"embedding_l2 finds no tables of users or items in {type(self).__name__}: set it "
                "to 0, or override embedding_tables."
            )
        return torch.stack(norms).sum()

    @abstractmethod
    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs.

        Args:
            users: User indices; broadcast against ``items``.
            items: Item indices, for example ``(B,)`` beside ``(B,)`` or ``(B, K)`` beside
                ``(B, 1)``.

        Returns:
            Logits of the broadcast shape.
        """

    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        """Scores the items ``start .. stop-1`` for each user.

        Override it where scoring a block is cheaper than scoring its pairs one by one.

        Args:
            users: ``(B,)`` user indices.
            start: First item.
            stop: One past the last item.

        Returns:
            ``(B, stop - start)`` logits.
        """
        items = torch.arange(start, stop, device=users.device)
        logits: Tensor = self(users.unsqueeze(1), items.unsqueeze(0))
        return logits

    def score_all(self, users: Tensor) -> Tensor:
        """Scores the whole catalogue for each user.

        Args:
            users: ``(B,)`` user indices.

        Returns:
            ``(B, num_items)`` logits.
        """
        return self.score_range(users, 0, self.num_items)
