"""Row-sparse gradients, as ``nn.Embedding(sparse=True)`` makes them: one entry a looked-up row."""

import torch
from torch import Tensor
from torch.nn import functional as F


def row_totals(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Sums the entries of a row-sparse gradient that belong to the same row.

    The cost is that of the entries, whatever the size of the table. On a processor the rows are
    distinct. On an accelerator the number of distinct rows would have to be waited for; there each
    entry comes back with the total of its row, so a row may be repeated, always with the same
    values, and writing it several times is writing it once.

    Args:
        gradient: Sparse ``(N, ...)`` with one sparse dimension, coalesced or not.

    Returns:
        Rows ``(R,)`` int64 in ascending order, and their totals ``(R, ...)``.

    Raises:
        ValueError: If more than the first dimension is sparse.
    """
    if gradient.sparse_dim() != 1:
        raise ValueError(
            f"the gradient has {gradient.sparse_dim()} sparse dimensions, expected whole rows as "
            "nn.Embedding(sparse=True) gives them: call .to_dense() on it or use dense gradients."
        )
    rows, values = gradient._indices()[0], gradient._values()
    if gradient.is_coalesced() or len(rows) == 0:
        return rows, values
    rows, order = rows.sort()
    flat = values.reshape(len(values), -1)
    if gradient.device.type == "cpu":
        rows, totals = _distinct_totals(rows, order, flat)
    else:
        totals = _repeated_totals(rows, order, flat)
    return rows, totals.view(-1, *values.shape[1:])


def _first_of_row(rows: Tensor) -> Tensor:
    """True where a row begins, in ``(E,)`` sorted rows."""
    first = torch.ones_like(rows, dtype=torch.bool)
    torch.ne(rows[1:], rows[:-1], out=first[1:])
    return first


def _distinct_totals(rows: Tensor, order: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    starts = _first_of_row(rows).nonzero().squeeze(1)
    # An embedding bag is a sum over segments; it beats index_add by a factor of five.
    return rows[starts], F.embedding_bag(order, values, starts, mode="sum")


def _repeated_totals(rows: Tensor, order: Tensor, values: Tensor) -> Tensor:
    place = _first_of_row(rows).cumsum(0) - 1
    totals = torch.zeros_like(values).index_add_(0, place, values.index_select(0, order))
    return totals.index_select(0, place)
