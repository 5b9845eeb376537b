"""From ratings to true positives and true negatives."""

import numpy as np
from numpy.typing import NDArray

from invlightning.data.reading.columns import Column, as_ratings


def label(
    ratings: Column | None,
    size: int,
    positive_threshold: float | None,
    negative_threshold: float | None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Turns ratings into labels.

    Args:
        ratings: ``(N,)`` ratings; None makes all rows positive.
        size: Number of rows N.
        positive_threshold: Ratings above it are positive. None for ratings of 0 and 1.
        negative_threshold: Ratings at or below it are negative. None means ``positive_threshold``.

    Returns:
        ``(N,)`` labels, and ``(N,)`` False for rows between the thresholds (None if there is no
        such zone).

    Raises:
        ValueError: If a threshold does not fit the ratings.
    """
    if ratings is None:
        if positive_threshold is not None or negative_threshold is not None:
            raise ValueError(
                f"positive_threshold is {positive_threshold} and negative_threshold "
                f"{negative_threshold}, but the table has no ratings: name the rating column, or "
                "set both to None to take every row as a positive."
            )
        return np.ones(size, dtype=np.float32), None
    values = as_ratings(ratings)
    if positive_threshold is None:
        if negative_threshold is not None or not ((values == 0) | (values == 1)).all():
            raise ValueError(
                f"ratings range from {values.min():g} to {values.max():g} and positive_threshold "
                "is None: set it to the highest rating that is not a positive."
            )
        return values.copy(), None
    negative = positive_threshold if negative_threshold is None else negative_threshold
    _check_thresholds(float(values.min()), float(values.max()), positive_threshold, negative)
    positives = values > positive_threshold
    judged = None if negative == positive_threshold else positives | (values <= negative)
    return positives.astype(np.float32), judged


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
