"""Tables become labeled, indexed rows."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from invlightning.data.interactions import RawTable
from invlightning.data.preparation import concatenate, prepare
from tests.reference import interactions as reference

ROWS = st.lists(
    st.tuples(
        st.integers(10, 15), st.integers(20, 25), st.sampled_from([None, 1, 2, 3, 4, 5]),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    min_size=2,
    max_size=40,
)  # fmt: skip


def table_of(rows, text=False):
    users, items, ratings, times, parts = zip(*rows, strict=True)
    users = np.array([f"u{user}" for user in users] if text else users)
    return RawTable(
        users,
        np.array(items),
        np.array(ratings, dtype=float),
        np.array(times),
        np.array(parts, dtype=np.uint8),
    )


def rows_of(data):
    users, items = data.user_ids.decode(data.users), data.item_ids.decode(data.items)
    columns = (users, items, data.labels, data.timestamps, data.parts)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    ROWS,
    st.sampled_from([None, 1, 2]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
def test_equals_the_row_by_row_reference(rows, negative, min_user, min_item, text, drop):
    """Labeled, exposed and dropped rows; seen to fail when the last row of a pair hid a like."""
    ratings = [row[2] for row in rows if row[2] is not None]
    assume(ratings and min(ratings) <= (negative or 3) and min(ratings) <= 3 < max(ratings))
    expected = reference.prepare(rows, 3, negative, min_user, min_item, drop)
    users, items = {row[0] for row in expected}, {row[1] for row in expected}
    assume(len(users) > 1 and len(items) > 1 and any(row[2] == 1 for row in expected))
    data = prepare(
        table_of(rows, text),
        positive_threshold=3,
        negative_threshold=negative,
        drop_between=drop,
        min_user_count=min_user,
        min_item_count=min_item,
    )
    if text:
        expected = [(f"u{row[0]}", *row[1:]) for row in expected]
    assert rows_of(data) == expected
    assert data.num_users == len(users)
    assert data.item_ids.ids.tolist() == sorted(items)
    dropped = sum(int(note.split()[0]) for note in data.notes if "dropped" in note)
    assert dropped == len(rows) - len(data)


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(12)))
def test_order_of_rows_only_permutes(order):
    rows = [(k % 4, k % 3, 1 + k % 5, k, 0) for k in range(12)]
    straight = prepare(table_of(rows), positive_threshold=2)
    shuffled = prepare(table_of([rows[k] for k in order]), positive_threshold=2)
    assert sorted(rows_of(shuffled)) == sorted(rows_of(straight))
    assert shuffled.user_ids.ids.tolist() == straight.user_ids.ids.tolist()


def test_columns_are_compact_and_the_input_is_not_touched():
    users = np.array([5, 5, 9, 9])
    ratings = np.array([1.0, 5.0, 2.0, 4.0], dtype=np.float32)
    data = prepare(RawTable(users, np.array([1, 2, 1, 2]), ratings), positive_threshold=3)
    assert (data.users.dtype, data.items.dtype) == (np.int32, np.int32)
    assert data.labels.dtype == np.int8
    assert users.tolist() == [5, 5, 9, 9]
    labels = prepare(RawTable(users, np.array([1, 2, 1, 2]), np.array([0, 1, 1, 0.0]))).labels
    assert labels.tolist() == [0, 1, 1, 0]


def test_everything_dropped_is_noted():
    table = RawTable(
        users=np.array([1, 1, 1, 2, 2, 2, 3]),
        items=np.array([1, 1, 2, 1, 2, 3, 1]),
        ratings=np.array([5, 1, 5, 1, 5, 3, 5]),
        parts=np.array([0, 0, 0, 0, 2, 0, 2], dtype=np.uint8),
    )
    table = dataclasses.replace(table, notes=("From afar.",))
    table = concatenate([table, dataclasses.replace(table, notes=())], [0, 2])
    settings = {"positive_threshold": 3, "negative_threshold": 2, "min_user_count": 2}
    data = prepare(table, **settings, drop_between=True)
    told = (
        "From afar.",
        "7 rows dropped: their pair also occurs in a later part.",
        "1 repeated rows dropped: the last in the table of a pair stays.",
    )
    assert data.notes == (
        *told,
        "1 rows dropped: rated between the two thresholds.",
        "1 rows dropped: min_user_count 2 and min_item_count 0.",
    )
    data = prepare(table, **settings)
    assert data.notes[-2:] == (
        "1 rows dropped: min_user_count 2 and min_item_count 0.",
        "1 of 5 rows carry no label: they are exposed rows, seen and judged by nobody.",
    )


def test_positives_only_is_allowed_and_noted():
    data = prepare(RawTable(np.array([1, 2]), np.array([1, 2])))
    assert data.labels.tolist() == [1, 1]
    assert "without true negatives" in data.notes[-1]


def test_fixed_sizes_keep_absent_users_and_check_the_range():
    users, items = np.array([0, 1, 1]), np.array([4, 2, 0])
    data = prepare(RawTable(users, items, num_users=7, num_items=5))
    assert (data.num_users, data.num_items) == (7, 5)
    assert data.users.tolist() == [0, 1, 1]
    with pytest.raises(
        ValueError, match=r"1 of 3 item indices are outside 0\.\.3 \(num_items is 4"
    ):
        prepare(RawTable(users, items, num_items=4))
    with pytest.raises(ValueError, match=r"user indices are outside .*, first in row 2"):
        prepare(RawTable(np.array([0, 1, -1]), items, num_users=4))
    with pytest.raises(ValueError, match=r"num_users is given, .* are text: leave num_users out"):
        prepare(RawTable(np.array(["a", "b", "c"]), items, num_users=4))


FIVE = np.array([1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"positive_threshold": 5},
            "positive_threshold is 5, but ratings range from 1 to 5, so no",
        ),
        ({"positive_threshold": 0.5}, "range from 1 to 5, so every rating is above it: choose it"),
        ({"positive_threshold": float("nan")}, "positive_threshold is nan, but ratings range"),
        (
            {"positive_threshold": 3, "negative_threshold": 0},
            "negative_threshold is 0, but ratings",
        ),
        ({"positive_threshold": 2, "negative_threshold": 4}, "4 is above positive_threshold 2"),
        ({}, "range from 1 to 5 and positive_threshold is None: set it"),
        ({"negative_threshold": 2}, "positive_threshold is None: set it"),
        ({"positive_threshold": 3, "min_user_count": 9}, "min_user_count 9 .* none of 5 rows"),
    ],
)
def test_thresholds_and_filters_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        prepare(RawTable(FIVE, FIVE, FIVE), **options)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (lambda: RawTable(FIVE[:0], FIVE[:0]), "the table is empty"),
        (lambda: RawTable(FIVE, FIVE[:3]), "same length, found users 5, items 3 rows"),
        (lambda: RawTable(FIVE, FIVE, parts=np.full(5, 3, np.uint8)), r"parts must be 0 \(train"),
        (lambda: RawTable(FIVE * np.nan, FIVE), "5 of 5 user ids are missing"),
        (lambda: RawTable(FIVE, FIVE, np.array(list("12x45"))), "1 of 5 ratings are not numbers"),
        (lambda: RawTable(FIVE * 0, FIVE), "5 rows that remain hold fewer than two users"),
        (lambda: RawTable(FIVE, FIVE * 0), "5 rows that remain hold fewer than two items"),
        (lambda: RawTable(FIVE * 0, FIVE, num_users=3), "fewer than two users"),
        (lambda: RawTable(FIVE, FIVE, FIVE * 0), "none of the 5 rows that remain is a positive"),
    ],
)
def test_bad_tables(table, message):
    with pytest.raises(ValueError, match=message):
        prepare(table())


def test_threshold_without_ratings():
    with pytest.raises(ValueError, match="the table has no ratings: name the rating column"):
        prepare(RawTable(FIVE, FIVE), positive_threshold=3)


def test_concatenate_joins_text_with_numbers():
    words = RawTable(pa.chunked_array([["7", "x"]]), FIVE[:2])
    numbers = RawTable(np.array([7, 8]), FIVE[:2])
    table = concatenate([words, numbers], [0, 2])
    data = prepare(table)
    assert data.user_ids.ids.tolist() == ["7", "8", "x"]
    assert data.parts.tolist() == [0, 2, 2]
    assert data.user_ids.decode(data.users).tolist() == ["x", "7", "8"]
    with pytest.raises(ValueError, match="only 1 of 2 files have ratings"):
        concatenate([words, dataclasses.replace(numbers, ratings=FIVE[:2])], [0, 2])
