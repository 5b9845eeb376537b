"""The positive training pairs as a graph between users and items."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.layers.grouping import group
from invlightning.compat import TravelingTensors


class PositivePairs(TravelingTensors):
    """The positive training pairs, grouped by user and by item.

    Sums over neighbors are products with the sparse matrix R, which has a row for each user, a
    column for each item and a one for each positive pair.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
    """

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self.user_items = torch.empty(0, dtype=torch.int64)
        self.start(self.user_items, self.user_items)

    def start(self, users: Tensor, items: Tensor) -> None:
        """Takes the pairs, each of them once.

        Args:
            users: ``(E,)`` user indices.
            items: ``(E,)`` item indices.
        """
        # Sorted, so that sums do not depend on the order of rows, not even in the last bit.
        keys = (users * self.num_items + items).to(self.user_items.device).sort().values
        users, items = keys // self.num_items, keys % self.num_items
        self.user_offsets, self.user_items = group(users, items, self.num_users)
        self.item_offsets, self.item_users = group(items, users, self.num_items)

    @override
    def get_extra_state(self) -> Tensor:
        """Users and items of the pairs, ``(2, E)``, for the checkpoint."""
        users = torch.arange(self.num_users, device=self.user_items.device)
        repeated = users.repeat_interleave(self.user_offsets.diff())
        return torch.stack((repeated.int(), self.user_items))

    @override
    def set_extra_state(self, state: Tensor) -> None:
        """Takes the pairs that :meth:`get_extra_state` gave."""
        self.start(*state.long())

    def check_started(self, name: str) -> None:
        """Refuses to go on without pairs.

        Raises:
            RuntimeError: If no pairs were given.
        """
        if len(self.user_items) == 0:
            raise RuntimeError(
                f"{name} does not know the positive training pairs: train it in a Trainer with a "
                "data module of invlightning, or call its start_fit with TrainingFacts."
            )

    def sum_items(self, vectors: Tensor) -> Tensor:
        """R times vectors: the sums ``(U, d)`` over each user's items of rows of ``(I, d)``."""
        return sum_rows(vectors, self.user_items, self.user_offsets)

    def sum_users(self, vectors: Tensor) -> Tensor:
        """The transpose of R times vectors, ``(U, d)`` to ``(I, d)``."""
        return sum_rows(vectors, self.item_users, self.item_offsets)

    def items_of(self, users: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The items of some users, one user after the other; waits for the device.

        Args:
            users: ``(B,)`` user indices.

        Returns:
            Items ``(S,)``, where each user's start and their end ``(B + 1,)``, and how many each
            has ``(B,)``.
        """
        lengths = self.user_offsets.diff()[users].long()
        offsets = nn.functional.pad(lengths.cumsum(0), (1, 0))
        first = (self.user_offsets[users] - offsets[:-1]).repeat_interleave(lengths)
        place = first + torch.arange(len(first), device=users.device)
        return self.user_items[place].long(), offsets, lengths

    def user_scale(self, vectors: Tensor) -> Tensor:
        """One over the root of the number of items of each user, ``(U, 1)``, at least one."""
        return _inverse_root(self.user_offsets.diff(), vectors)

    def item_scale(self, vectors: Tensor) -> Tensor:
        """One over the root of the number of users of each item, ``(I, 1)``, at least one."""
        return _inverse_root(self.item_offsets.diff(), vectors)


def sum_rows(vectors: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
    """Sums rows of a table in groups.

    Args:
        vectors: ``(I, d)`` table.
        rows: ``(S,)`` rows, group by group.
        offsets: ``(B + 1,)`` where each group starts, and their end; of the type of ``rows``.

    Returns:
        ``(B, d)`` sums; zero for an empty group.
    """
    # An embedding bag is a product with a sparse matrix of ones: as fast, and beyond beta.
    return nn.functional.embedding_bag(rows, vectors, offsets, mode="sum", include_last_offset=True)


def _inverse_root(counts: Tensor, like: Tensor) -> Tensor:
    return counts.clamp(min=1).to(like.dtype).rsqrt().unsqueeze(1)


class _LinearMap(torch.autograd.Function):
    @staticmethod
    @override
    def forward(x: Tensor, apply: Callable[..., Tensor], adjoint: Callable[..., Tensor]) -> Tensor:
        return apply(x)

    @staticmethod
    @override
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.maps = inputs[1:]

    @staticmethod
    @override
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        apply, adjoint = ctx.maps
        return linear_map(gradients[0], adjoint, apply), None, None

    @staticmethod
    @override
    def jvp(ctx: Any, *tangents: Tensor) -> Any:
        return linear_map(tangents[0], *ctx.maps)


def linear_map(
    x: Tensor, apply: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]
) -> Tensor:
    """Applies a linear map whose adjoint is known.

    The backward pass gathers by the adjoint instead of scattering, and as the map is its own
    derivative, nothing is kept for it: several backward passes may go through one result.

    Args:
        x: The argument.
        apply: The linear map.
        adjoint: Its adjoint: ``(apply(x) * y).sum() == (x * adjoint(y)).sum()``.

    Returns:
        ``apply(x)``, differentiable any number of times, backward and forward.
    """
    typed: Callable[..., Tensor] = _LinearMap.apply  # torch gives it no types in every version
    return typed(x, apply, adjoint)
