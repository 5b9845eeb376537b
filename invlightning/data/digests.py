"""Digests of what a model is trained on, so that it can be told from other data."""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invlightning.data.rows import SplitRows


def row_digests(rows: SplitRows) -> dict[str, str]:
    """Digests of the rows, their labels and their parts; equal in all processes.

    Takes half a second for 20 million rows.

    Args:
        rows: Divided rows.

    Returns:
        Hexadecimal digests of ``rows`` (users and items, in order), ``labels`` (as they are known
        to training: thresholds and hidden labels count) and ``split`` (the part of each row).
    """
    table = rows.interactions
    return {
        "rows": _digest(table.users, table.items),
        "labels": _digest(table.labels),
        "split": _digest(rows.parts),
    }


def _digest(*columns: NDArray[Any]) -> str:
    total = blake2b(digest_size=16)
    for column in columns:
        total.update(f"{column.dtype.str}{column.shape}".encode())
        total.update(np.ascontiguousarray(column).data)
    return total.hexdigest()
