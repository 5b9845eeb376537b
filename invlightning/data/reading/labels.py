"""From ratings or signals to true positives, true negatives and exposed rows without a label."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invlightning.data.reading.columns import Column, as_arrow, as_ratings

Labels = NDArray[np.int8]

POSITIVE, NEGATIVE, MISSING = 1, 0, -1


def label(
    ratings: Column | None,
    size: int,
    positive_threshold: float | None,
    negative_threshold: float | None,
) -> Labels:
    """Turns ratings into labels.

    Args:
        ratings: ``(N,)`` ratings, NaN or null where nobody judged; None makes all rows positive.
        size: Number of rows N.
        positive_threshold: Ratings above it are positive. None for ratings of 0 and 1.
        negative_threshold: Ratings at or below it are negative; those between the two are as good
            as missing. None means ``positive_threshold``.

    Returns:
        ``(N,)`` int8: 1 positive, 0 negative, -1 exposed without a label.

    Raises:
        ValueError: If a threshold does not fit the ratings, or all of them are missing.
    """
    if ratings is None:
        if positive_threshold is not None or negative_threshold is not None:
            raise ValueError(
                f"positive_threshold is {positive_threshold} and negative_threshold "
                f"{negative_threshold}, but the table has no ratings: name the rating column, or "
                "set both to None to take every row as a positive."
            )
        return np.full(size, POSITIVE, dtype=np.int8)
    values = as_ratings(ratings)
    missing = np.isnan(values)
    if missing.all():
        raise ValueError(
            f"all {len(values)} ratings are missing: exposed rows alone teach nobody's taste; name "
            "the column that holds ratings, or set rating_column to None to take every row as a "
            "positive."
        )
    if positive_threshold is None:
        if negative_threshold is not None or not ((values == 0) | (values == 1) | missing).all():
            raise ValueError(
                f"ratings range from {np.nanmin(values):g} to {np.nanmax(values):g} and "
                "positive_threshold is None: set it to the highest rating that is not a positive."
            )
        return np.where(missing, MISSING, values).astype(np.int8)
    negative = positive_threshold if negative_threshold is None else negative_threshold
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    _check_thresholds(low, high, positive_threshold, negative)
    labels = np.full(len(values), MISSING, dtype=np.int8)
    labels[values > positive_threshold] = POSITIVE
    labels[values <= negative] = NEGATIVE
    return labels


def _check_thresholds(low: float, high: float, positive: float, negative: float) -> None:
    if negative > positive:
        raise ValueError(
            f"negative_threshold {negative} is above positive_threshold {positive}: ratings "
            "between them would be both; lower negative_threshold."
        )
    for name, value in (("positive_threshold", positive), ("negative_threshold", negative)):
        if not low <= value < high:
            effect = "no rating is above it" if value >= high else "every rating is above it"
            raise ValueError(
                f"{name} is {value}, but ratings range from {low:g} to {high:g}, so {effect}: "
                f"choose it from {low:g} up to, but not including, {high:g}."
            )


def label_by_signals(
    positives: Mapping[str, Column], negatives: Mapping[str, Column]
) -> tuple[Labels, tuple[str, ...]]:
    """Labels rows by columns such as ``is_like`` and ``is_hate``.

    A row with a negative signal is a true negative, whatever else it carries; one with a positive
    signal alone a true positive; one with neither is exposed.

    Args:
        positives: By name ``(N,)`` columns of truth values or numbers; a signal is what is true or
            above 0, and a missing value is none.
        negatives: Likewise.

    Returns:
        ``(N,)`` labels as of :func:`label`, and a sentence on rows with both signals, if any.

    Raises:
        ValueError: If a column holds neither numbers nor truth values, or values below 0.
    """
    liked = _any_signal(positives)
    disliked = _any_signal(negatives) if negatives else np.zeros(len(liked), dtype=bool)
    labels = np.full(len(liked), MISSING, dtype=np.int8)
    labels[liked] = POSITIVE
    labels[disliked] = NEGATIVE
    both = int((liked & disliked).sum())
    if not both:
        return labels, ()
    return labels, (f"{both} rows carry a positive and a negative signal: they count as negative.",)


def _any_signal(columns: Mapping[str, Column]) -> NDArray[np.bool_]:
    signals = [_signal(column, name) for name, column in columns.items()]
    any_of: NDArray[np.bool_] = np.logical_or.reduce(signals)
    return any_of


def _signal(column: Column, name: str) -> NDArray[np.bool_]:
    values = as_arrow(column, name)
    if pa.types.is_null(values.type):
        return np.zeros(len(values), dtype=bool)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise ValueError(
            f"column {name!r} holds {values.type}, expected 0 and 1 or truth values: name a column "
            "of signals such as is_like."
        )
    found = np.asarray(pc.fill_null(values, 0))
    if (found < 0).any():
        raise ValueError(f"column {name!r} holds {found.min()}, expected 0 and 1 or counts.")
    signal: NDArray[np.bool_] = found > 0
    return signal
