"""Columns of files and arrays, checked and turned into numbers."""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column: TypeAlias = NDArray[Any] | pa.Array | pa.ChunkedArray

_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"


def as_arrow(column: Column, name: str) -> Any:
    """Returns a column as ``pyarrow.ChunkedArray``; NaN and None become null.

    Raises:
        ValueError: If the column mixes types, for example strings and integers.
    """
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    if not isinstance(column, pa.ChunkedArray):
        try:
            column = pa.chunked_array([pa.array(column, from_pandas=True)])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"the {name} column mixes types ({error}): give all its rows the same type."
            ) from error
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column


def _is_plain(column: Column, kind: type[np.generic]) -> bool:
    """True for a column that was converted before: a numpy array of the wanted type."""
    return isinstance(column, np.ndarray) and column.dtype == kind


def refuse(bad: Any, what: str, mend: str) -> None:
    """Raises if any row is bad.

    Args:
        bad: ``(N,)`` booleans, a pyarrow array or numpy array.
        what: What the bad rows hold, for the message.
        mend: What to do about it.

    Raises:
        ValueError: With the number of bad rows and the first of them.
    """
    rows = np.flatnonzero(np.asarray(bad))
    if len(rows):
        raise ValueError(
            f"{len(rows)} of {len(bad)} {what}, first in row {rows[0]} (counted from 0): {mend}."
        )


def as_ids(column: Column, name: str) -> Any:
    """Returns raw ids as int64 or as text.

    Whole numbers, also those stored as floats, become int64; everything else becomes text.

    Args:
        column: ``(N,)`` ids.
        name: ``"user"`` or ``"item"``, for messages.

    Returns:
        ``(N,)`` int64 numpy array, or a pyarrow string column.

    Raises:
        ValueError: If ids are missing (null, NaN) or are fractions.
    """
    if _is_plain(column, np.int64):
        return column
    ids = as_arrow(column, name)
    missing = pc.is_null(ids, nan_is_null=True)
    refuse(missing, f"{name} ids are missing (NaN or empty)", "fill them in or remove these rows")
    if pa.types.is_floating(ids.type):
        fractions = pc.not_equal(ids, pc.floor(ids))
        refuse(fractions, f"{name} ids are fractions", "use whole numbers or text as ids")
    if pa.types.is_integer(ids.type) or pa.types.is_floating(ids.type):
        return ids.cast(pa.int64()).to_numpy()
    text = pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)
    return ids if text else ids.cast(pa.string())


def as_ratings(column: Column) -> NDArray[np.float32]:
    """Returns ratings as float32; missing ones (null, NaN, empty) become NaN.

    Args:
        column: ``(N,)`` numbers, booleans, or numbers written as text.

    Raises:
        ValueError: If some are not numbers; says how many and which comes first.
    """
    if _is_plain(column, np.float32) and not np.isinf(column).any():
        return np.asarray(column)
    ratings = as_arrow(column, "rating")
    mend = "correct them, remove these rows, or name another rating column"
    if pa.types.is_string(ratings.type) or pa.types.is_large_string(ratings.type):
        wrong = pc.invert(pc.match_substring_regex(ratings, _NUMBER)).fill_null(False)
        example = "".join(ratings.filter(wrong)[:1].to_pylist())
        refuse(wrong, f"ratings are not numbers, such as {example!r}", mend)
    if pa.types.is_temporal(ratings.type):
        raise ValueError(f"the rating column holds {ratings.type} instead of numbers: {mend}.")
    if pa.types.is_boolean(ratings.type):
        ratings = ratings.cast(pa.int8())
    values: NDArray[np.float32] = ratings.cast(pa.float32(), safe=False).to_numpy()
    refuse(np.isinf(values), "ratings are infinite", mend)
    return values


def as_timestamps(column: Column) -> NDArray[np.int64]:
    """Returns timestamps as int64, in the unit of the source; fractions are cut off.

    Args:
        column: ``(N,)`` numbers or dates.

    Raises:
        ValueError: If some are missing, or are neither numbers nor dates.
    """
    if _is_plain(column, np.int64):
        return np.asarray(column)
    times = as_arrow(column, "timestamp")
    mend = "correct them, remove these rows, or leave the timestamp column out"
    missing = pc.is_null(times, nan_is_null=True)
    refuse(missing, "timestamps are missing or NaN", mend)
    if pa.types.is_date32(times.type):
        times = times.cast(pa.timestamp("s"))
    if pa.types.is_floating(times.type):
        times = pc.floor(times)
    elif not (pa.types.is_integer(times.type) or pa.types.is_temporal(times.type)):
        raise ValueError(f"timestamps are neither numbers nor dates but {times.type}: {mend}.")
    values: NDArray[np.int64] = times.cast(pa.int64()).to_numpy()
    return values
