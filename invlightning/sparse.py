"""Row-sparse gradients, as ``nn.Embedding(sparse=True)`` makes them: one entry a looked-up row."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invlightning.compat import sparse_entries


def sparse_tables(module: nn.Module) -> list[nn.Embedding | nn.EmbeddingBag]:
    """The embedding tables of ``module`` whose gradients are row-sparse."""
    tables = [m for m in module.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    return [table for table in tables if table.sparse]


def entry_values(gradient: Tensor) -> Tensor:
    """The values of the entries of a row-sparse gradient; a dense one as it is."""
    return sparse_entries(gradient)[1] if gradient.is_sparse else gradient


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
    indices, values = sparse_entries(gradient)
    rows = indices[0]
    if gradient.is_coalesced() or len(rows) == 0:
        return rows, values
    add = _distinct_totals if gradient.device.type == "cpu" else _repeated_totals
    rows, totals = add(rows, values.reshape(len(values), -1))
    return rows, totals.view(-1, *values.shape[1:])


def write_rows(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Sets ``table[rows] = values`` in place, without a graph.

    Args:
        table: ``(N, ...)``.
        rows: ``(R,)`` rows; a row that is repeated has the same values each time.
        values: ``(R, ...)``.
    """
    table, values = table.detach(), values.detach()
    if _holds_words(table) and _holds_words(values):
        # The copy goes entry by entry: words of eight bytes are half as many entries.
        table, values = table.view(torch.int64), values.view(torch.int64)
    table.index_copy_(0, rows, values)


@torch.no_grad()
def clip_gradients(
    parameters: Iterable[Tensor], limit: float, algorithm: Literal["norm", "value"] = "norm"
) -> None:
    """Clips gradients in place, row-sparse ones too, which ``torch.nn.utils`` refuses.

    Entries of a row-sparse gradient are summed by row first, so the result is that of the dense
    gradient. On an accelerator this waits for the number of rows.

    Args:
        parameters: Parameters whose ``grad`` is clipped.
        limit: Largest allowed 2-norm of all gradients together, or largest allowed size of every
            coordinate.
        algorithm: ``norm`` scales all gradients by one factor, ``value`` cuts coordinates off.

    Raises:
        ValueError: If the algorithm is unknown.
    """
    if algorithm not in ("norm", "value"):
        raise ValueError(f"algorithm must be 'norm' or 'value', got {algorithm!r}.")
    values: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        values.append(entry_values(parameter.grad))
    if algorithm == "value":
        for value in values:
            value.clamp_(-limit, limit)
    elif values:
        factor = (limit / (torch.nn.utils.get_total_norm(values) + 1e-6)).clamp(max=1.0)
        for value in values:
            value.mul_(factor)


def _holds_words(tensor: Tensor) -> bool:
    """Whether the rows of a tensor can be seen as rows of 64-bit words."""
    size = tensor.element_size()
    aligned = tensor.storage_offset() * size % 8 == tensor.shape[-1] * size % 8 == 0
    return bool(tensor.dim() > 1 and tensor.is_contiguous() and aligned)


def _first_of_row(rows: Tensor) -> Tensor:
    """True where a row begins, in ``(E,)`` sorted rows."""
    first = torch.ones_like(rows, dtype=torch.bool)
    torch.ne(rows[1:], rows[:-1], out=first[1:])
    return first


def _distinct_totals(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    if (rows[1:] > rows[:-1]).all():
        return rows, values
    # Rows and places in one number: sorting it keeps the order of entries, and numpy does it eight
    # times as fast as the sort of torch.
    shift = (len(rows) - 1).bit_length()
    keys = torch.from_numpy(np.sort(((rows << shift) | torch.arange(len(rows))).numpy()))
    rows, order = keys >> shift, keys & ((1 << shift) - 1)
    starts = _first_of_row(rows).nonzero().squeeze(1)
    # An embedding bag is a sum over segments; it beats index_add by a factor of five.
    return rows[starts], F.embedding_bag(order, values, starts, mode="sum")


def _repeated_totals(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    rows, order = rows.sort()
    place = _first_of_row(rows).cumsum(0) - 1
    totals = torch.zeros_like(values).index_add_(0, place, values.index_select(0, order))
    return rows, totals.index_select(0, place)
