"""Columns of files and arrays, checked and turned into numbers."""

import math
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column: TypeAlias = NDArray[Any] | pa.Array | pa.ChunkedArray

# Integers that are written in one way only, so that text and number can stand for each other.
CANONICAL = r"^(0|-?[1-9][0-9]{0,17})$"
_TEXT_OF_A_FILE = pa.dictionary(pa.int32(), pa.string())
MISSING = ["NA", "N/A", "nan", "NaN", "NAN", "null", "NULL", "None"]
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

    Whole numbers, also those stored as floats, become int64. So does text of a file if each id is a
    whole number as it is usually written: ``007``, ``+5``, ``1e3`` or ``1.0`` among them make all
    ids text, since as numbers they would change or merge with others.

    Args:
        column: ``(N,)`` ids; text of a file comes as a dictionary column.
        name: ``"user"`` or ``"item"``, for messages.

    Returns:
        ``(N,)`` int64 numpy array, or a pyarrow string column.

    Raises:
        ValueError: If ids are missing (null, NaN) or are fractions.
    """
    if _is_plain(column, np.int64):
        return column
    if isinstance(column, pa.ChunkedArray) and column.type == _TEXT_OF_A_FILE:
        return _ids_of_text(column, name)
    ids = as_arrow(column, name)
    missing = pc.is_null(ids, nan_is_null=True)
    refuse(missing, f"{name} ids are missing (NaN or empty)", "fill them in or remove these rows")
    if pa.types.is_floating(ids.type):
        fractions = pc.not_equal(ids, pc.floor(ids))
        refuse(fractions, f"{name} ids are fractions", "use whole numbers or text as ids")
    if pa.types.is_uint64(ids.type) and (pc.max(ids).as_py() or 0) >= 2**63:
        return ids.cast(pa.string())
    if pa.types.is_integer(ids.type) or pa.types.is_floating(ids.type):
        return ids.cast(pa.int64()).to_numpy()
    text = pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)
    return ids if text else ids.cast(pa.string())


def _without_missing(text: Any) -> Any:
    """Text in which the usual spellings of a missing number are null."""
    return pc.if_else(pc.is_in(text, pa.array(MISSING, text.type)), None, text)


def _ids_of_text(column: pa.ChunkedArray, name: str) -> Any:
    """Ids of a dictionary column of text: int64 where each is a whole number as usually written."""
    missing = pc.is_null(column)
    refuse(missing, f"{name} ids are missing (NaN or empty)", "fill them in or remove these rows")
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    if not all(
        pc.all(pc.match_substring_regex(chunk.dictionary, CANONICAL)).as_py() for chunk in chunks
    ):
        return column.cast(pa.string())
    numbers, start = np.empty(len(column), dtype=np.int64), 0
    for chunk in chunks:  # each with a dictionary of its own; joining them would cost memory
        values = chunk.dictionary.cast(pa.int64()).to_numpy()
        np.take(values, chunk.indices.to_numpy(), out=numbers[start : start + len(chunk)])
        start += len(chunk)
    return numbers


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
        ratings = _without_missing(ratings)
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


def as_times(column: Column) -> NDArray[Any]:
    """Returns timestamps as found, without losing their order.

    Args:
        column: ``(N,)`` numbers or dates.

    Returns:
        ``(N,)`` int64 or float64 numbers, or datetime64 in nanoseconds, whatever the unit or zone
        of the dates, so that several files can be joined.

    Raises:
        ValueError: If some are missing, are neither numbers nor dates, or are dates before 1678 or
            after 2261.
    """
    if isinstance(column, np.ndarray) and column.dtype in (np.int64, "datetime64[ns]"):
        return np.asarray(column)
    times = as_arrow(column, "timestamp")
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        times = _without_missing(times)
    mend = "correct them, remove these rows, or leave the timestamp column out"
    refuse(pc.is_null(times, nan_is_null=True), "timestamps are missing or NaN", mend)
    if pa.types.is_floating(times.type):
        numbers: NDArray[np.float64] = times.cast(pa.float64()).to_numpy()
        refuse(~np.isfinite(numbers), "timestamps are infinite", mend)
        whole = (np.floor(numbers) == numbers).all() and np.abs(numbers).max(initial=0) < 2.0**63
        return numbers.astype(np.int64) if whole else numbers
    if pa.types.is_integer(times.type):
        return np.asarray(times.cast(pa.int64()))
    if not (pa.types.is_timestamp(times.type) or pa.types.is_date(times.type)):
        raise ValueError(f"timestamps are neither numbers nor dates but {times.type}: {mend}.")
    try:
        # A time with a zone is stored as that of UTC.
        return np.asarray(times.cast(pa.timestamp("ns", getattr(times.type, "tz", None)))).astype(
            "datetime64[ns]"
        )
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"a timestamp lies before 1678 or after 2261 ({error}): {mend}."
        ) from error


def as_timestamps(column: Column) -> NDArray[np.int64]:
    """Returns timestamps as int64 in the order of the source.

    Numbers with fractions are counted in the finest decimal unit that fits, at most in billionths;
    whole numbers stay as they are and dates count nanoseconds.

    Args:
        column: ``(N,)`` numbers or dates.

    Raises:
        ValueError: As :func:`as_times`.
    """
    times = as_times(column)
    if times.dtype == np.int64:
        return times
    if times.dtype.kind == "M":
        nanoseconds: NDArray[np.int64] = times.view(np.int64)
        return nanoseconds
    largest = float(np.abs(times).max(initial=1.0))
    if largest >= 2.0**63:
        raise ValueError(f"a timestamp is {largest:g}, more than an integer of 64 bits holds.")
    whole = np.floor(times)
    digits = min(9, max(0, math.floor(math.log10(2.0**62 / max(largest, 1.0)))))
    units = 10**digits
    # Apart, because the product of a large number would lose the fraction that matters.
    fractions = np.floor((times - whole) * units).astype(np.int64)
    counted: NDArray[np.int64] = whole.astype(np.int64) * units + fractions
    return counted
