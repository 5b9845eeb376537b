"""Splits at given instants: dates or numbers."""

import numpy as np
from numpy.typing import NDArray

from invlightning.data.dividing import Parts, temporal_split

# Timestamps since 1970 that are smaller than this count seconds, milli-, micro-, nanoseconds.
_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (np.inf, "ns"))


def instant(given: float | str, timestamps: NDArray[np.int64]) -> float:
    """An instant in the unit of the timestamps.

    Args:
        given: A number in that unit, or a date in UTC. A date is counted in seconds, milli-, micro-
            or nanoseconds since 1970, whichever the size of the timestamps tells; dates of a table
            count nanoseconds.
        timestamps: ``(N,)`` times.

    Raises:
        ValueError: If it is neither a number nor a date.
    """
    if not isinstance(given, str):
        return float(given)
    largest = float(np.abs(timestamps).max())
    unit = next(name for limit, name in _UNITS if largest < limit)
    try:
        return float(np.datetime64(given).astype(f"datetime64[{unit}]").astype(np.int64))
    except ValueError as error:
        raise ValueError(
            f"{given!r} is neither a number nor a date such as 2024-05-01 or 2024-05-01T12:00."
        ) from error


def split_at(
    timestamps: NDArray[np.int64],
    val: float,
    val_from: float | str | None,
    test_from: float | str,
) -> Parts:
    """Divides rows at given instants; a row at an instant belongs to the part that begins there.

    Args:
        timestamps: ``(N,)`` times.
        val: Share of the rows before ``test_from`` that is for validation, without ``val_from``.
        val_from: Where the validation part begins.
        test_from: Where the test part begins, and the validation part ends.

    Returns:
        ``(N,)`` 0 training, 1 validation, 2 test.

    Raises:
        ValueError: If an instant is malformed, they are not in order, or a part is left empty.
    """
    end = instant(test_from, timestamps)
    parts = np.where(timestamps >= end, 2, 0).astype(np.uint8)
    before = parts == 0
    if val_from is None:
        parts[before] = temporal_split(timestamps[before], val, 0.0)
    else:
        start = instant(val_from, timestamps)
        if not start < end:
            raise ValueError(f"val_from {val_from!r} must come before test_from {test_from!r}.")
        parts[before & (timestamps >= start)] = 1
    expects_validation = val_from is not None or round(val * int(before.sum())) > 0
    needed = [(0, "training"), (2, "test"), *([(1, "validation")] if expects_validation else [])]
    for part, name in needed:
        if not (parts == part).any():
            raise ValueError(
                f"val_from {val_from!r} and test_from {test_from!r} leave no {name} row: the times "
                f"run from {timestamps.min()} to {timestamps.max()}."
            )
    return parts
