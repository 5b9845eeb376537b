"""Backbones that compute the vectors of all users and items at once."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.compat import edit_count
from invlightning.evaluation_mode import fixed_period, is_learning

Vectors = tuple[Tensor, Tensor]


class VectorMemory:
    """Remembers vectors until one of the parameters they were computed from changes.

    A parameter has changed if another storage or another version is found. The version counts
    in-place edits, but misses those through ``.data`` and those of fused optimizers; so
    :class:`PropagatedBackbone` forgets on all other occasions as well, and names the period for
    which they stand at most. Copies and pickles start empty.
    """

    def __init__(self) -> None:
        self._origin: list[tuple[Tensor, int]] = []
        self._period: object | None = None
        self._vectors: Vectors | None = None

    def recall(self, parameters: Sequence[Tensor], period: object | None = None) -> Vectors | None:
        """The vectors, or None if they are unknown, out of date or of another period."""
        if len(parameters) != len(self._origin) or period is not self._period:
            return None
        for p, (alias, version) in zip(parameters, self._origin, strict=True):
            same_storage = p.data_ptr() == alias.data_ptr() and p.dtype == alias.dtype
            if edit_count(p) != version or not same_storage:
                return None
        return self._vectors

    def keep(
        self, parameters: Sequence[Tensor], vectors: Vectors, period: object | None = None
    ) -> None:
        """Remembers vectors, for a period or for ever."""
        # The alias keeps the storage alive, so that no other can take its address.
        self._origin = [(p.detach(), edit_count(p)) for p in parameters]
        self._period, self._vectors = period, vectors

    def clear(self) -> None:
        """Forgets the vectors."""
        self._origin, self._period, self._vectors = [], None, None

    @override
    def __reduce__(self) -> tuple[type["VectorMemory"], tuple[()]]:
        return VectorMemory, ()


class PropagatedBackbone(Backbone):
    """A backbone whose logit is the inner product of a user's and an item's vector.

    The vectors come from all parameters at once. In evaluation without gradients they are computed
    once and remembered until a parameter changes, the mode is set or training goes on. In training
    every forward pass computes them anew, so that a step whose loss is evaluated at several
    parameters, as an inverse gradient does, never sees old ones; under the promise of
    :func:`invlightning.evaluation_mode.fixed_parameters` those without gradients share one
    computation.

    Attributes:
        shares_graph: True in a class whose vectors stand several backward passes. The forward
            passes of a training step then share one computation, until the first backward pass.
    """

    shares_graph: bool = False

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__(num_users, num_items)
        self._memory = VectorMemory()

    @abstractmethod
    def compute_vectors(self) -> Vectors:
        """Computes the vectors of all users ``(U, d)`` and of all items ``(I, d)``."""

    def vectors(self) -> Vectors:
        """The vectors of all users and items, computed or remembered."""
        parameters = list(self.parameters())
        # Within a functional call others take the place of the parameters, perhaps dual numbers.
        own = all(isinstance(p, nn.Parameter) for p in parameters)
        if torch.is_grad_enabled() and any(p.requires_grad for p in parameters):
            return self._vectors_with_graph(parameters, own)
        period = fixed_period(self) if is_learning(self) else None
        stands = not is_learning(self) or (period is not None and not self.training)
        if not own or not stands:
            self._memory.clear()
            return self.compute_vectors()
        vectors = self._memory.recall(parameters, period)
        if vectors is None:
            # Vectors made in inference mode could not be used outside of it.
            with torch.inference_mode(False), torch.no_grad():
                vectors = self.compute_vectors()
            self._memory.keep(parameters, vectors, period)
        return vectors

    def _vectors_with_graph(self, parameters: Sequence[Tensor], own: bool) -> Vectors:
        # While training is paused, parameters may be edited between two passes with graphs.
        shares = self.shares_graph and own and self.training
        vectors = self._memory.recall(parameters) if shares else None
        if vectors is not None and vectors[0].requires_grad:
            return vectors
        vectors = self.compute_vectors()
        self._memory.clear()
        if shares:
            self._memory.keep(parameters, vectors)
            for computed in vectors:
                computed.register_hook(self._forget)
        return vectors

    def _forget(self, gradient: Tensor) -> None:
        self._memory.clear()

    @override
    def train(self, mode: bool = True) -> "PropagatedBackbone":
        """Sets the mode, and forgets remembered vectors."""
        self._memory.clear()
        super().train(mode)
        return self

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        user_vectors, item_vectors = self.vectors()
        embedding = nn.functional.embedding
        return (embedding(users, user_vectors) * embedding(items, item_vectors)).sum(-1)

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        user_vectors, item_vectors = self.vectors()
        scores: Tensor = nn.functional.embedding(users, user_vectors) @ item_vectors[start:stop].T
        return scores
