"""Dividing rows into training (0), validation (1) and test (2).

Pairs are ranked by a hash of (seed, user, item): sizes are exact, and a pair's part does not depend
on the order of rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invlightning.data.hashing import Mask, lowest, pair_hashes
from invlightning.data.interactions import Interactions
from invlightning.specs import Specified

Parts = NDArray[np.uint8]

# Salts keep choices of different purpose independent under one seed.
_SPLIT, _THIN, _META = 0, 1, 2


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
    users: NDArray[Any], items: NDArray[Any], timestamps: NDArray[np.int64]
) -> Parts:
    """Holds out the last row of each user for test and the one before for validation.

    Users with fewer than three rows stay in training. Ties in time are ordered by item.

    Args:
        users: ``(N,)`` user indices.
        items: ``(N,)`` item indices.
        timestamps: ``(N,)`` times.

    Returns:
        ``(N,)`` parts.
    """
    order = np.lexsort((items, timestamps, users))
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


class Split(Specified, ABC):
    """How the rows of a data set are divided."""

    @abstractmethod
    def __call__(self, interactions: Interactions) -> Parts:
        """Returns the part of each row: ``(N,)`` 0 training, 1 validation, 2 test."""


def divided_alike(
    interactions: Interactions, divide: Callable[[NDArray[Any], NDArray[Any]], Parts]
) -> Parts:
    """Divides labeled and exposed rows each by themselves, so that both keep their shares.

    Args:
        interactions: The rows.
        divide: Gives the parts of rows by their users and items.

    Returns:
        ``(N,)`` parts.
    """
    parts = np.zeros(len(interactions), dtype=np.uint8)
    labeled = interactions.is_labeled
    for kind in (labeled, ~labeled):
        if kind.any():
            parts[kind] = divide(interactions.users[kind], interactions.items[kind])
    return parts


class RandomSplit(Split):
    """All rows at random, labeled and exposed ones alike; see :func:`random_split`.

    Args:
        val: Share of validation rows.
        test: Share of test rows.
        seed: Any integer; the same seed gives the same split.

    Raises:
        ValueError: If the fractions are out of range.
    """

    def __init__(self, val: float = 0.1, test: float = 0.1, seed: int = 42) -> None:
        check_fractions(val, test)
        self.val, self.test, self.seed = val, test, seed

    def __call__(self, interactions: Interactions) -> Parts:
        """Returns the part of each row."""
        return divided_alike(
            interactions,
            lambda users, items: random_split(users, items, self.val, self.test, self.seed),
        )


class UserRandomSplit(RandomSplit):
    """As :class:`RandomSplit`, within each user; see :func:`user_random_split`."""

    def __call__(self, interactions: Interactions) -> Parts:
        """Returns the part of each row."""
        return divided_alike(
            interactions,
            lambda users, items: user_random_split(users, items, self.val, self.test, self.seed),
        )


def _timestamps(interactions: Interactions, split: Split) -> NDArray[np.int64]:
    if interactions.timestamps is None:
        raise ValueError(
            f"{type(split).__name__} needs timestamps, and the data has none: name the timestamp "
            "column, or use RandomSplit or UserRandomSplit."
        )
    return interactions.timestamps


def follow_in_time(interactions: Interactions, parts: Parts) -> Parts:
    """Gives exposed rows to the part that their user has reached by then.

    Args:
        interactions: The rows, with times.
        parts: ``(N,)`` parts, of which those of labeled rows count.

    Returns:
        ``(N,)`` parts; an exposed row at or after the first held-out row of its user belongs to
        that row's part, any other to training.
    """
    assert interactions.timestamps is not None
    exposed = ~interactions.is_labeled
    users, times = interactions.users, interactions.timestamps
    followed = parts.copy()
    followed[exposed] = 0
    for part in (1, 2):
        held_out = (parts == part) & ~exposed
        first = np.full(interactions.num_users, np.iinfo(np.int64).max)
        np.minimum.at(first, users[held_out], times[held_out])
        followed[exposed & (times >= first[users])] = part
    return followed


class LeaveLastOut(Split):
    """The last labeled row of each user is for test, the one before for validation.

    See :func:`leave_last_out`; exposed rows follow in time (:func:`follow_in_time`).
    """

    def __call__(self, interactions: Interactions) -> Parts:
        """Returns the part of each row; ValueError without timestamps."""
        times = _timestamps(interactions, self)
        labeled = interactions.is_labeled
        parts = np.zeros(len(interactions), dtype=np.uint8)
        users, items = interactions.users[labeled], interactions.items[labeled]
        parts[labeled] = leave_last_out(users, items, times[labeled])
        return parts if labeled.all() else follow_in_time(interactions, parts)


class TemporalSplit(Split):
    """The latest rows are for test, those before for validation; see :func:`temporal_split`.

    Args:
        val: Share of validation rows.
        test: Share of test rows.

    Raises:
        ValueError: If the fractions are out of range.
    """

    def __init__(self, val: float = 0.1, test: float = 0.1) -> None:
        check_fractions(val, test)
        self.val, self.test = val, test

    def __call__(self, interactions: Interactions) -> Parts:
        """Returns the part of each row; ValueError without timestamps."""
        return temporal_split(_timestamps(interactions, self), self.val, self.test)


class GivenSplit(Split):
    """The split that the files give.

    Args:
        val: Share of the training rows that becomes the validation part where the files give
            none; ignored where they do.
        seed: Any integer; decides which rows these are.

    Raises:
        ValueError: If the fraction is out of range.
    """

    def __init__(self, val: float = 0.0, seed: int = 42) -> None:
        check_fractions(val, 0.0)
        self.val, self.seed = val, seed

    def __call__(self, interactions: Interactions) -> Parts:
        """Returns the part of each row; ValueError if the data has no split of its own."""
        if interactions.parts is None:
            raise ValueError(
                "GivenSplit needs data that comes with its own split, and this does not: give "
                "val_path and test_path, or use RandomSplit."
            )
        parts = interactions.parts.copy()
        if self.val > 0 and not (parts == 1).any():
            for kind in (interactions.is_labeled, ~interactions.is_labeled):
                train = np.flatnonzero((parts == 0) & kind)
                users, items = interactions.users[train], interactions.items[train]
                parts[train] = random_split(users, items, self.val, 0.0, self.seed)
        return parts
