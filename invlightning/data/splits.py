"""How the rows of a data set are divided into training (0), validation (1) and test (2)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from invlightning.data.dividing import (
    Parts,
    check_fractions,
    leave_last_out,
    random_split,
    temporal_split,
    user_random_split,
)
from invlightning.data.instants import split_at
from invlightning.data.interactions import Interactions
from invlightning.specs import Specified


class Split(Specified, ABC):
    """How the rows of a data set are divided."""

    @abstractmethod
    def __call__(self, interactions: Interactions, seed: int = 42) -> Parts:
        """Returns the part of each row: ``(N,)`` 0 training, 1 validation, 2 test.

        Args:
            interactions: The rows.
            seed: That of the run; a split with a seed of its own keeps to that.
        """


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
    labeled = interactions.is_labeled
    if labeled.all():  # a selection of all would copy the columns
        return divide(interactions.users, interactions.items)
    parts = np.zeros(len(interactions), dtype=np.uint8)
    for kind in (labeled, ~labeled):
        if kind.any():
            parts[kind] = divide(interactions.users[kind], interactions.items[kind])
    return parts


class RandomSplit(Split):
    """All rows at random, labeled and exposed ones alike; see :func:`random_split`.

    Args:
        val: Share of validation rows.
        test: Share of test rows.
        seed: Any integer; the same seed gives the same split. None takes that of the run.

    Raises:
        ValueError: If the fractions are out of range.
    """

    _divide = staticmethod(random_split)

    def __init__(self, val: float = 0.1, test: float = 0.1, seed: int | None = None) -> None:
        check_fractions(val, test)
        self.val, self.test, self.seed = val, test, seed

    @override
    def __call__(self, interactions: Interactions, seed: int = 42) -> Parts:
        own = seed if self.seed is None else self.seed
        return divided_alike(
            interactions,
            lambda users, items: self._divide(users, items, self.val, self.test, own),
        )


class UserRandomSplit(RandomSplit):
    """As :class:`RandomSplit`, within each user; see :func:`user_random_split`."""

    _divide = staticmethod(user_random_split)


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

    Args:
        seed: Any integer; decides about rows of one user at the same time. None takes that of the
            run.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    @override
    def __call__(self, interactions: Interactions, seed: int = 42) -> Parts:
        """Returns the part of each row; ValueError without timestamps."""
        times = _timestamps(interactions, self)
        labeled = interactions.is_labeled
        parts = np.zeros(len(interactions), dtype=np.uint8)
        users, items = interactions.users[labeled], interactions.items[labeled]
        own = seed if self.seed is None else self.seed
        parts[labeled] = leave_last_out(users, items, times[labeled], own)
        return parts if labeled.all() else follow_in_time(interactions, parts)


class TemporalSplit(Split):
    """The latest rows are for test, those before for validation; see :func:`temporal_split`.

    Args:
        val: Share of validation rows; with ``test_from`` alone, of the rows before it.
        test: Share of test rows; not used with ``test_from``.
        val_from: Where the validation part begins, as ``test_from``; it needs that one.
        test_from: Where the test part begins: a number in the unit of the timestamps, or a date
            such as ``2024-05-01`` or ``2024-05-01T12:00`` in UTC; see :func:`instant`.

    Raises:
        ValueError: If the fractions are out of range, or ``val_from`` comes without ``test_from``.
    """

    def __init__(
        self,
        val: float = 0.1,
        test: float = 0.1,
        val_from: float | str | None = None,
        test_from: float | str | None = None,
    ) -> None:
        check_fractions(val, test)
        if val_from is not None and test_from is None:
            raise ValueError(f"val_from is {val_from!r} without test_from: say where both begin.")
        self.val, self.test = val, test
        self.val_from, self.test_from = val_from, test_from

    @override
    def __call__(self, interactions: Interactions, seed: int = 42) -> Parts:
        """Returns the part of each row; ValueError without timestamps or rows of a part."""
        times = _timestamps(interactions, self)
        if self.test_from is None:
            return temporal_split(times, self.val, self.test)
        return split_at(times, self.val, self.val_from, self.test_from)


class GivenSplit(Split):
    """The split that the files give.

    Args:
        val: Share of the training rows that becomes the validation part where the files give
            none; ignored where they do.
        seed: Any integer; decides which rows these are. None takes that of the run.

    Raises:
        ValueError: If the fraction is out of range.
    """

    def __init__(self, val: float = 0.0, seed: int | None = None) -> None:
        check_fractions(val, 0.0)
        self.val, self.seed = val, seed

    @override
    def __call__(self, interactions: Interactions, seed: int = 42) -> Parts:
        """Returns the part of each row; ValueError if the data has no split of its own."""
        if interactions.parts is None:
            raise ValueError(
                "GivenSplit needs data that comes with its own split, and this does not: give "
                "val_path and test_path, or use RandomSplit."
            )
        own = seed if self.seed is None else self.seed
        parts = interactions.parts.copy()
        if self.val > 0 and not (parts == 1).any():
            for kind in (interactions.is_labeled, ~interactions.is_labeled):
                train = np.flatnonzero((parts == 0) & kind)
                users, items = interactions.users[train], interactions.items[train]
                parts[train] = random_split(users, items, self.val, 0.0, own)
        return parts
