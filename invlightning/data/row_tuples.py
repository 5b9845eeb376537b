"""Row tuples: named tuples of equally long tensors, whose rows are taken from all at once."""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Rows = TypeVar("Rows", bound=NamedTuple)


def check_rows(rows: NamedTuple) -> None:
    """Checks that the tensors of a row tuple belong to the same rows.

    Args:
        rows: Tensors ``(N, ...)``.

    Raises:
        ValueError: If the lengths differ.
    """
    shapes = {name: tuple(column.shape) for name, column in rows._asdict().items()}
    if () in shapes.values() or len({shape[0] for shape in shapes.values()}) != 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"columns of rows must have one length, found the shapes {found}.")


def take(rows: Rows, places: Tensor | slice) -> Rows:
    """Takes the same rows of every tensor.

    Args:
        rows: Tensors ``(N, ...)``.
        places: ``(n,)`` positions, or a slice, which copies nothing.

    Returns:
        Tensors ``(n, ...)`` of the same names.
    """
    if isinstance(places, slice):
        return rows._make(column[places] for column in rows)
    return rows._make(column.index_select(0, places.to(column.device)) for column in rows)


def widened(rows: Rows) -> Rows:
    """Gives compact columns the types of batches: int64 and float32; booleans stay."""
    return rows._make(_wide(column) for column in rows)


def _wide(column: Tensor) -> Tensor:
    if column.dtype == torch.bool:
        return column
    return column.float() if column.is_floating_point() else column.long()
