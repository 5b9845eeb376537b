"""Which rows stay."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.data.filters import core_mask, last_rows, own_part_rows, pair_keys
from tests.reference.interactions import k_core

PAIRS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25, unique=True
)


@settings(deadline=None, max_examples=80)
@given(PAIRS, st.integers(0, 4), st.integers(0, 4))
def test_core_is_the_fixed_point_of_the_naive_loop(pairs, min_user, min_item):
    users, items = np.array(pairs).T
    mask = core_mask(users, items, min_user, min_item)
    assert np.flatnonzero(mask).tolist() == k_core(pairs, min_user, min_item)


def test_core_takes_several_rounds():
    # Item 9 goes first, then user 0 is too rare, then item 8, then user 1, then item 7.
    users = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    items = np.array([9, 8, 8, 7, 7, 6, 6, 7])
    assert core_mask(users, items, 2, 2).tolist() == [False] * 4 + [True] * 4


def test_keys_tell_pairs_apart_beyond_32_bits():
    users = np.array([2**31 - 1, 0], dtype=np.int32)
    items = np.array([2**31 - 2, 5], dtype=np.int32)
    assert pair_keys(users, items, 2**31 - 1).tolist() == [(2**31 - 1) ** 2 + 2**31 - 2, 5]
    assert users.tolist() == [2**31 - 1, 0]


def test_long_columns_are_searched_in_blocks(monkeypatch):
    keys = np.array([5, 5, 3, 5, 3, 8, 8])
    expected = last_rows(keys).tolist()
    monkeypatch.setattr("invlightning.data.filters._BLOCK", 3)
    assert last_rows(keys).tolist() == expected == [False, False, False, True, True, False, True]


def test_last_row_by_time_then_by_place():
    keys = np.array([5, 5, 3, 5, 3, 8])
    assert last_rows(keys).tolist() == [False, False, False, True, True, True]
    times = np.array([9, 9, 4, 1, 2, 0])
    assert last_rows(keys, times).tolist() == [False, True, True, False, False, True]


def test_a_judged_row_comes_before_any_other():
    """Being shown an item again does not undo a like; among judged rows the last one counts."""
    keys, times = np.array([5, 5, 5, 3, 3, 8]), np.array([1, 2, 9, 1, 2, 0])
    judged = np.array([True, True, False, False, False, False])
    assert last_rows(keys, times, judged).tolist() == [False, True, False, False, True, True]
    assert last_rows(keys, None, judged).tolist() == [False, True, False, False, True, True]


def test_held_out_pairs_leave_the_earlier_parts():
    keys = np.array([1, 2, 3, 1, 2, 1, 4])
    parts = np.array([0, 0, 0, 1, 1, 2, 2], dtype=np.uint8)
    judged = np.ones(7, dtype=bool)
    kept = own_part_rows(keys, parts, judged).tolist()
    assert kept == [False, False, True, False, True, True, True]


def test_only_judged_rows_are_held_out():
    keys = np.array([1, 2, 1, 2])
    parts = np.array([0, 0, 2, 2], dtype=np.uint8)
    judged = np.array([True, True, False, True])
    assert own_part_rows(keys, parts, judged).tolist() == [True, False, True, True]
