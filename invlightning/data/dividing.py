"""Which part each row belongs to: training (0), validation (1) or test (2).

Pairs are ranked by a hash of (seed, user, item): sizes are exact, and a pair's part does not depend
on the order of rows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from invlightning.data.hashing import Mask, lowest, pair_hashes

Parts = NDArray[np.uint8]

# Salts keep choices of different purpose independent under one seed.
_SPLIT, _THIN, _META, _TIES = 0, 1, 2, 3


def check_fractions(val: float, test: float) -> None:
    """Raises ValueError unless both are in [0, 1) and leave something for training."""
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise ValueError(
            f"val and test must each be in [0, 1) and sum to less than 1, the rest is for "
            f"training; got val={val} and test={test}."
        )


def random_split(
    users: NDArray[Any], items: NDArray[Any], val: float, test: float, seed: int
) -> Parts:
    """Divides all rows at random.

    Args:
        users: ``(N,)`` user indices.
        items: ``(N,)`` item indices; pairs are distinct.
        val: Share of validation rows; ``round(val * N)`` of them.
        test: Share of test rows.
        seed: Any integer.

    Returns:
        ``(N,)`` parts.

    Raises:
        ValueError: If the fractions are out of range.
    """
    check_fractions(val, test)
    hashes = pair_hashes(users, items, seed, _SPLIT)
    num_test, num_val = round(test * len(hashes)), round(val * len(hashes))
    parts = np.zeros(len(hashes), dtype=np.uint8)
    parts[lowest(hashes, num_test + num_val)] = 1
    parts[lowest(hashes, num_test)] = 2
    return parts


def _group_starts(groups: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Size of every group, and where it starts once rows are sorted by group."""
    sizes = np.bincount(groups)
    return sizes, np.cumsum(sizes) - sizes


def user_random_split(
    users: NDArray[Any], items: NDArray[Any], val: float, test: float, seed: int
) -> Parts:
    """Divides the rows of each user at random.

    A user with n rows gives ``round(test * n)`` to test and ``round(val * n)`` to validation, and
    keeps at least one for training.

    Args:
        users: ``(N,)`` user indices.
        items: ``(N,)`` item indices; pairs are distinct.
        val: Share of validation rows of each user.
        test: Share of test rows of each user.
        seed: Any integer.

    Returns:
        ``(N,)`` parts.

    Raises:
        ValueError: If the fractions are out of range.
    """
    check_fractions(val, test)
    order = np.lexsort((pair_hashes(users, items, seed, _SPLIT), users))
    sizes, starts = _group_starts(users)
    num_test = np.minimum(np.rint(test * sizes), np.maximum(sizes - 1, 0))
    held_out = np.minimum(num_test + np.rint(val * sizes), np.maximum(sizes - 1, 0))
    owners = users[order]
    ranks = np.arange(len(order)) - starts[owners]
    parts = np.zeros(len(order), dtype=np.uint8)
    parts[order[ranks < held_out[owners]]] = 1
    parts[order[ranks < num_test[owners]]] = 2
    return parts


def leave_last_out(
    users: NDArray[Any], items: NDArray[Any], timestamps: NDArray[np.int64], seed: int = 42
) -> Parts:
    """Holds out the last row of each user for test and the one before for validation.

    Users with fewer than three rows stay in training. Rows of a user at the same time have no order
    of their own: a hash of the pair with the seed gives them one, so that neither the numbering of
    the items nor the order of the file is learned or measured.

    Args:
        users: ``(N,)`` user indices.
        items: ``(N,)`` item indices.
        timestamps: ``(N,)`` times.
        seed: Any integer.

    Returns:
        ``(N,)`` parts.
    """
    order = np.lexsort((pair_hashes(users, items, seed, _TIES), timestamps, users))
    sizes, starts = _group_starts(users)
    ends = starts[sizes >= 3] + sizes[sizes >= 3]
    parts = np.zeros(len(order), dtype=np.uint8)
    parts[order[ends - 1]] = 2
    parts[order[ends - 2]] = 1
    return parts


def temporal_split(timestamps: NDArray[np.int64], val: float, test: float) -> Parts:
    """Divides rows by time: the latest for test, those before for validation.

    No instant is divided: rows at a cut all go to the earlier part, so a later part begins
    strictly after the earlier one ends and may be a little smaller than its share.

    Args:
        timestamps: ``(N,)`` times.
        val: Share of validation rows.
        test: Share of test rows.

    Returns:
        ``(N,)`` parts.

    Raises:
        ValueError: If the fractions are out of range, or so many rows share an instant that a
            part is left empty.
    """
    check_fractions(val, test)
    size = len(timestamps)
    ordered = np.sort(timestamps)
    parts = np.zeros(size, dtype=np.uint8)
    num_test = round(test * size)
    for part, count in ((1, num_test + round(val * size)), (2, num_test)):
        if count:
            parts[timestamps > ordered[max(size - count - 1, 0)]] = part
    for part, name, share in ((1, "validation", val), (2, "test", test)):
        if round(share * size) and not (parts == part).any():
            raise ValueError(
                f"too many rows share one instant: the {name} part of the temporal split is empty. "
                "Use a random split or finer timestamps."
            )
    return parts


def thin_labels(users: NDArray[Any], items: NDArray[Any], fraction: float, seed: int) -> Mask:
    """Chooses the training rows that keep their label.

    Args:
        users: ``(N,)`` user indices of the training rows.
        items: ``(N,)`` item indices.
        fraction: Share to keep, in (0, 1]; ``round(fraction * N)`` rows, at least one. A smaller
            fraction keeps a subset of what a larger one keeps.
        seed: Any integer.

    Returns:
        ``(N,)`` True for rows that stay labeled.
    """
    count = min(len(users), max(1, round(fraction * len(users))))
    return lowest(pair_hashes(users, items, seed, _THIN), count)


def meta_rows(users: NDArray[Any], items: NDArray[Any], fraction: float, seed: int) -> Mask:
    """Chooses the training rows of the meta part.

    Args:
        users: ``(N,)`` user indices of the labeled training rows.
        items: ``(N,)`` item indices.
        fraction: Share of the meta part, in [0, 1); ``round(fraction * N)`` rows, at least one
            unless the fraction is 0 or there is only one row.
        seed: Any integer.

    Returns:
        ``(N,)`` True for rows of the meta part.
    """
    least = int(fraction > 0 and len(users) > 1)
    count = max(least, round(fraction * len(users)))
    return lowest(pair_hashes(users, items, seed, _META), count)
