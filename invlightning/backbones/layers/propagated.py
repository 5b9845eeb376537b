"""Backbones that compute the vectors of all users and items at once."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invlightning.backbones.base import Backbone
from invlightning.evaluation_mode import fixed_period, is_learning

Tables = tuple[Tensor, Tensor]


class TableMemory:
    """Remembers tables until one of the parameters they were computed from changes.

    A parameter has changed if another storage or another version is found. The version counts
    in-place edits, but misses those through ``.data`` and those of fused optimizers; so
    :class:`TableBackbone` forgets on all other occasions as well, and names the period for which
    they stand at most. Copies and pickles start empty.
    """

    def __init__(self) -> None:
        self._origin: list[tuple[Tensor, int]] = []
        self._period: object | None = None
        self._tables: Tables | None = None

    def recall(self, parameters: Sequence[Tensor], period: object | None = None) -> Tables | None:
        """The tables, or None if they are unknown, out of date or of another period."""
        if len(parameters) != len(self._origin) or period is not self._period:
            return None
        for p, (alias, version) in zip(parameters, self._origin, strict=True):
            same_storage = p.data_ptr() == alias.data_ptr() and p.dtype == alias.dtype
            if p._version != version or not same_storage:
                return None
        return self._tables

    def keep(
        self, parameters: Sequence[Tensor], tables: Tables, period: object | None = None
    ) -> None:
        """Remembers tables, for a period or for ever."""
        # The alias keeps the storage alive, so that no other can take its address.
        self._origin = [(p.detach(), p._version) for p in parameters]
        self._period, self._tables = period, tables

    def clear(self) -> None:
        """Forgets the tables."""
        self._origin, self._period, self._tables = [], None, None

    def __reduce__(self) -> tuple[type["TableMemory"], tuple[()]]:
        return TableMemory, ()


class TableBackbone(Backbone):
    """A backbone whose logit is the inner product of a user's and an item's vector.

    The vectors come from all parameters at once. In evaluation without gradients they are computed
    once and remembered until a parameter changes, the mode is set or training goes on. In training
    every forward pass computes them anew, so that a step whose loss is evaluated at several
    parameters, as an inverse gradient does, never sees old ones; under the promise of
    :func:`invlightning.evaluation_mode.fixed_parameters` those without gradients share one
    computation.

    Attributes:
        shares_graph: True in a class whose tables stand several backward passes. The forward
            passes of a training step then share one computation, until the first backward pass.
    """

    shares_graph: bool = False

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__(num_users, num_items)
        self._memory = TableMemory()

    @abstractmethod
    def compute_tables(self) -> Tables:
        """Computes the vectors of all users ``(U, d)`` and of all items ``(I, d)``."""

    def tables(self) -> Tables:
        """The vectors of all users and items, computed or remembered."""
        parameters = list(self.parameters())
        # Within a functional call others take the place of the parameters, perhaps dual numbers.
        own = all(isinstance(p, nn.Parameter) for p in parameters)
        if torch.is_grad_enabled() and any(p.requires_grad for p in parameters):
            return self._tables_with_graph(parameters, own)
        period = fixed_period(self) if is_learning(self) else None
        stands = not is_learning(self) or (period is not None and not self.training)
        if not own or not stands:
            self._memory.clear()
            return self.compute_tables()
        tables = self._memory.recall(parameters, period)
        if tables is None:
            # Tables made in inference mode could not be used outside of it.
            with torch.inference_mode(False), torch.no_grad():
                tables = self.compute_tables()
            self._memory.keep(parameters, tables, period)
        return tables

    def _tables_with_graph(self, parameters: Sequence[Tensor], own: bool) -> Tables:
        # While training is paused, parameters may be edited between two passes with graphs.
        shares = self.shares_graph and own and self.training
        tables = self._memory.recall(parameters) if shares else None
        if tables is not None and tables[0].requires_grad:
            return tables
        tables = self.compute_tables()
        self._memory.clear()
        if shares:
            self._memory.keep(parameters, tables)
            for table in tables:
                table.register_hook(self._forget)  # type: ignore[no-untyped-call]
        return tables

    def _forget(self, gradient: Tensor) -> None:
        self._memory.clear()

    def train(self, mode: bool = True) -> "TableBackbone":
        """Sets the mode, and forgets remembered vectors."""
        self._memory.clear()
        super().train(mode)
        return self

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs.

        Args:
            users: User indices; broadcast against ``items``.
            items: Item indices.

        Returns:
            Logits of the broadcast shape.
        """
        user_table, item_table = self.tables()
        embedding = nn.functional.embedding
        return (embedding(users, user_table) * embedding(items, item_table)).sum(-1)

    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        """Scores the items ``start .. stop-1`` for each user, by one matrix product.

        Args:
            users: ``(B,)`` user indices.
            start: First item.
            stop: One past the last item.

        Returns:
            ``(B, stop - start)`` logits.
        """
        user_table, item_table = self.tables()
        scores: Tensor = nn.functional.embedding(users, user_table) @ item_table[start:stop].T
        return scores
