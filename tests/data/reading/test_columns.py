"""Columns as found become ids, ratings and times, or say what is wrong with them."""

import datetime
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.data.reading.columns import as_ids, as_ratings, as_timestamps


@pytest.mark.parametrize(
    "column",
    [
        np.array([3, 1]),
        np.array([3, 1], dtype=np.uint8),
        np.array([3.0, 1.0]),
        np.asarray(pd.Series([3, 1], dtype="Int64")),
        pa.array([3, 1], pa.int32()),
        pa.chunked_array([[3], [1]]),
        pa.array([3, 1]).dictionary_encode(),
    ],
)
def test_whole_numbers_become_int64(column):
    ids = as_ids(column, "user")
    assert ids.dtype == np.int64
    assert ids.tolist() == [3, 1]


@pytest.mark.parametrize(
    "column",
    [
        np.array(["b", "a"]),
        np.array(["b", "a"], dtype=object),
        np.asarray(pd.Series(["b", "a"])),
        np.asarray(pd.Categorical(["b", "a"])),
        pa.array(["b", "a"], pa.large_string()),
        pa.chunked_array([["b"], ["a"]]).dictionary_encode(),
    ],
)
def test_text_stays_text(column):
    assert as_ids(column, "user").to_pylist() == ["b", "a"]


@pytest.mark.parametrize(
    "column",
    [
        np.array([2**63 + 1, 7], dtype=np.uint64),
        pa.array([2**63 + 1, 7], pa.uint64()),
    ],
)
def test_ids_beyond_int64_stay_as_written(column):
    """Seen to fail with pyarrow's own message."""
    assert [str(user) for user in as_ids(column, "user").to_pylist()] == [str(2**63 + 1), "7"]


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, np.nan, 2.0]),
        np.array(["a", None, "b"], dtype=object),
        np.array([1, float("nan"), 2], dtype=object),
        np.asarray(pd.Series([1, None, 2], dtype="Int64")),
        pa.array([1, None, 2]),
        pa.array([1.0, float("nan"), 2.0]),
    ],
)
def test_missing_ids_are_counted(column):
    with pytest.raises(ValueError, match=r"1 of 3 item ids are missing .* first in row 1 .*remove"):
        as_ids(column, "item")


def test_fractions_and_mixed_types_are_no_ids():
    with pytest.raises(ValueError, match="1 of 2 user ids are fractions, first in row 1"):
        as_ids(np.array([1.0, 1.5]), "user")
    with pytest.raises(ValueError, match="the user column mixes types"):
        as_ids(np.array([1, "a"], dtype=object), "user")


@pytest.mark.parametrize(
    "column",
    [
        np.array([1, 4]),
        np.array(["1", "4.0"]),
        pa.array([1.0, 4.0]),
        pa.array(["1", "4"]).dictionary_encode(),
    ],
)
def test_ratings_become_float32(column):
    ratings = as_ratings(column)
    assert ratings.dtype == np.float32
    assert ratings.tolist() == [1.0, 4.0]


def test_truth_values_are_ratings():
    assert as_ratings(np.array([True, False])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            np.array(["5", "good", "bad"]),
            "2 of 3 ratings are not numbers, such as 'good', first in",
        ),
        (np.array([1.0, np.inf]), "1 of 2 ratings are infinite, first in row 1"),
        (np.array([datetime.date(2020, 1, 1)]), "date32.* instead of numbers"),
    ],
)
def test_bad_ratings(column, message):
    with pytest.raises(ValueError, match=message):
        as_ratings(column)


@pytest.mark.parametrize(
    "column",
    [
        np.array([0, 86400]),
        np.array([0.0, 86400.0]),
        np.array([0, 86400], dtype=np.uint32),
        np.array(["1970-01-01", "1970-01-02"], dtype="datetime64[s]"),
        np.array(["1970-01-01", "1970-01-02"], dtype="datetime64[ms]"),
        np.array([datetime.date(1970, 1, 1), datetime.date(1970, 1, 2)]),
        pa.array([0, 86400 * 10**6], pa.timestamp("us", "Europe/Berlin")),
    ],
)
def test_times_become_int64(column):
    """Dates count nanoseconds, whatever their unit; whole numbers stay as they are."""
    times = as_timestamps(column)
    assert times.dtype == np.int64
    assert times.tolist() in ([0, 86400], [0, 86400 * 10**9])
    assert (times[1] == 86400) == (np.asarray(column).dtype.kind in "iuf")


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(-4e18, 4e18, allow_nan=False), min_size=2, max_size=20),
    st.sampled_from([1.0, 1e-3, 1e-9]),
)
def test_no_order_of_times_is_turned(numbers, scale):
    """Seen to fail when whole numbers and fractions are counted in different units."""
    column = np.array(numbers) * scale
    times = as_timestamps(column)
    order = np.argsort(column, kind="stable")
    assert (np.diff(times[order]) >= 0).all()


def test_rows_within_a_second_keep_their_order():
    """Fractions were cut off. Seen to fail so."""
    seconds = 1.7e9 + np.arange(1000) * 1e-6
    assert (np.diff(as_timestamps(seconds)) > 0).all()
    dates = np.datetime64("2024-05-01T10:00:00", "ns") + np.arange(1000)
    assert (np.diff(as_timestamps(dates)) == 1).all()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.array([0.0, np.nan]), "1 of 2 timestamps are missing or NaN, first in row 1"),
        (np.array(["noon"]), "neither numbers nor dates but string"),
        (np.array([0.5, np.inf]), "1 of 2 timestamps are infinite"),
        (np.array([1e300]), "more than an integer of 64 bits holds"),
        (np.array(["1500-01-01"], "datetime64[s]"), "lies before 1678 or after 2261"),
    ],
)
def test_bad_times(column, message):
    with pytest.raises(ValueError, match=message):
        as_timestamps(column)


@pytest.mark.parametrize(
    ("convert", "column"),
    [
        (partial(as_ids, name="user"), np.array([5, -2, 2**62])),
        (as_ratings, np.array([0.5, -3.0], dtype=np.float32)),
        (as_timestamps, np.array([5, 2**62])),
    ],
)
def test_what_was_converted_is_taken_as_it_is(convert, column):
    """A second pass over a converted column costs nothing: it gives the same array."""
    once = convert(pa.array(column))
    assert convert(once) is once
    assert once.tolist() == column.tolist()


def test_converted_ratings_are_still_checked():
    with pytest.raises(ValueError, match=r"1 of 2 .* infinite"):
        as_ratings(np.array([1.0, np.inf], dtype=np.float32))


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, np.nan, 3.0]),
        np.array([1, None, 3], dtype=object),
        pa.array(["1", None, "3.0"]),
        np.array([1.0, np.nan, 3.0], dtype=np.float32),
    ],
)
def test_missing_ratings_are_kept_as_missing(column):
    found = as_ratings(column)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.array([1, np.nan, 3], dtype=np.float32), equal_nan=True)
