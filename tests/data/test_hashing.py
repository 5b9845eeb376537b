"""Hashes of pairs do not depend on how many rows there are or where a row stands."""

import numpy as np
import pytest

from invlightning.data import hashing
from invlightning.data.hashing import lowest, pair_hashes


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32])
def test_long_columns_are_hashed_as_short_ones(dtype):
    """The blocks that columns are hashed in leave no trace."""
    size = 2 * hashing._BLOCK + 17
    generator = np.random.default_rng(0)
    users = generator.integers(0, 2**31 - 1, size).astype(dtype)
    items = generator.integers(0, 2**31 - 1, size).astype(dtype)
    whole = pair_hashes(users, items, seed=3, salt=1)
    for part in np.split(np.arange(size), [5, 1000, hashing._BLOCK + 3]):
        np.testing.assert_array_equal(whole[part], pair_hashes(users[part], items[part], 3, 1))
    assert len(np.unique(whole)) == len(np.unique(np.stack([users, items]), axis=1)[0])


def test_seed_and_salt_count():
    users, items = np.arange(100), np.arange(100) % 7
    hashes = {pair_hashes(users, items, seed, salt).tobytes() for seed in (1, 2) for salt in (0, 1)}
    assert len(hashes) == 4
    assert pair_hashes(users, items, 1).tolist() != pair_hashes(items, users, 1).tolist()


def test_lowest_marks_as_many_as_asked():
    values = pair_hashes(np.arange(50), np.arange(50), 0)
    for count in (0, 1, 49, 50):
        marks = lowest(values, count)
        assert marks.sum() == count
        assert set(values[marks]) == set(np.sort(values)[:count])
