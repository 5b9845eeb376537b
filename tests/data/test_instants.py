"""Splits at dates and numbers."""

import numpy as np
import pytest

from invlightning.data import RawTable, TemporalSplit, prepare
from invlightning.data.instants import instant, split_at

DAYS = np.arange("2024-04-25", "2024-05-05", dtype="datetime64[D]")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_date_is_counted_in_the_unit_of_the_times(unit):
    """Seen to fail with seconds throughout."""
    times = DAYS.astype(f"datetime64[{unit}]").astype(np.int64)
    parts = split_at(times, 0.1, "2024-04-30", "2024-05-03T12:00")
    assert parts.tolist() == [0] * 5 + [1] * 4 + [2]
    assert (
        split_at(times, 0.1, int(times[5]), int(times[8])).tolist() == [0] * 5 + [1] * 3 + [2] * 2
    )


def test_dates_of_a_table_are_split_at_dates():
    users, items = np.divmod(np.arange(10), 2)
    table = RawTable(users, items, items, DAYS)
    parts = TemporalSplit(val_from="2024-05-01", test_from="2024-05-03")(prepare(table))
    assert parts.tolist() == [0] * 6 + [1] * 2 + [2] * 2


def test_without_its_own_instant_validation_is_a_share_of_what_comes_before():
    times = np.arange(100)
    parts = split_at(times, 0.25, None, 80)
    assert np.bincount(parts).tolist() == [60, 20, 20]
    assert (np.diff(parts.astype(int)) >= 0).all()
    assert np.bincount(split_at(times, 0.0, None, 80)).tolist() == [80, 0, 20]


@pytest.mark.parametrize(
    ("val_from", "test_from", "message"),
    [
        ("soon", 80, "'soon' is neither a number nor a date such as 2024-05-01"),
        (80, 80, "val_from 80 must come before test_from 80"),
        (None, 100, "leave no test row: the times run from 0 to 99"),
        (0, 80, "leave no training row"),
        (79.5, 80, "leave no validation row"),
    ],
)
def test_instants_that_cannot_be(val_from, test_from, message):
    with pytest.raises(ValueError, match=message):
        split_at(np.arange(100), 0.1, val_from, test_from)


def test_validation_from_an_instant_needs_one_for_test():
    with pytest.raises(ValueError, match="val_from is 3 without test_from: say where both begin"):
        TemporalSplit(val_from=3)


def test_a_number_is_taken_as_it_is():
    assert instant(17, np.array([5])) == 17.0
