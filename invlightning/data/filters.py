"""Which rows stay: minimum counts, repeated pairs, pairs of a later part."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_BLOCK = 2**20


def core_mask(
    users: NDArray[Any], items: NDArray[Any], min_user_count: int, min_item_count: int
) -> Mask:
    """Marks the largest set of rows in which every user and every item is frequent enough.

    Rare users and items are removed in turn until nothing changes (a k-core, where both counts
    are k). The result is unique, whatever the order of rows.

    Args:
        users: ``(N,)`` user indices.
        items: ``(N,)`` item indices.
        min_user_count: Rows that a user needs; 0 or 1 keeps all users.
        min_item_count: Rows that an item needs.

    Returns:
        ``(N,)`` True for rows that stay.
    """
    keep = np.ones(len(users), dtype=bool)
    if min_user_count <= 1 and min_item_count <= 1:
        return keep
    rows = np.arange(len(users))
    while len(rows):
        stays = np.bincount(users)[users] >= min_user_count
        stays &= np.bincount(items)[items] >= min_item_count
        if stays.all():
            break
        keep[rows[~stays]] = False
        rows, users, items = rows[stays], users[stays], items[stays]
    return keep


def pair_keys(users: NDArray[Any], items: NDArray[Any], num_items: int) -> NDArray[np.int64]:
    """One number for each pair, ``user * num_items + item``."""
    keys: NDArray[np.int64] = users.astype(np.int64)
    keys *= num_items
    keys += items
    return keys


def _among(keys: NDArray[np.int64], others: NDArray[np.int64]) -> Mask:
    """Marks keys that occur in ``others``, which is sorted and not empty."""
    marks = np.empty(len(keys), dtype=bool)
    for start in range(0, len(keys), _BLOCK):  # in blocks, to hold no second copy of all keys
        block = keys[start : start + _BLOCK]
        places = np.minimum(np.searchsorted(others, block), len(others) - 1)
        marks[start : start + _BLOCK] = others[places] == block
    return marks


def last_rows(
    keys: NDArray[np.int64],
    timestamps: NDArray[np.int64] | None = None,
    judged: Mask | None = None,
) -> Mask:
    """Marks one row of every pair: the last by time, and of these the last in the table.

    A judged row comes before any other: a like is not undone by being shown the item again.

    Args:
        keys: ``(N,)`` pair keys.
        timestamps: ``(N,)`` times; None takes the order of rows as time.
        judged: ``(N,)`` False for rows without a label; None means all are labeled.

    Returns:
        ``(N,)`` True for rows that stay.
    """
    keep = np.ones(len(keys), dtype=bool)
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated) == 0:
        return keep
    rows = np.flatnonzero(_among(keys, repeated))
    columns = [column[rows] for column in (timestamps, judged, keys) if column is not None]
    order = np.lexsort(columns)  # stable: ties stay in the order of rows
    grouped = keys[rows[order]]
    is_last = np.append(grouped[1:] != grouped[:-1], True)
    keep[rows[order[~is_last]]] = False
    return keep


def own_part_rows(keys: NDArray[np.int64], parts: NDArray[np.uint8], judged: Mask) -> Mask:
    """Marks rows whose pair has no label in a later part, so that nothing held out is trained on.

    Args:
        keys: ``(N,)`` pair keys.
        parts: ``(N,)`` 0 training, 1 validation, 2 test.
        judged: ``(N,)`` False for rows without a label, which are not held out.

    Returns:
        ``(N,)`` True for rows that stay.
    """
    keep = np.ones(len(keys), dtype=bool)
    for part in (0, 1):
        later = np.unique(keys[(parts > part) & judged])
        if len(later):
            keep[(parts == part) & _among(keys, later)] = False
    return keep
