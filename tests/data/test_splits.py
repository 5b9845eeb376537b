"""Splits: exact sizes, seeded, blind to the order of rows."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from invlightning.data.dividing import (
    leave_last_out,
    meta_rows,
    random_split,
    temporal_split,
    thin_labels,
    user_random_split,
)
from invlightning.data.hashing import lowest, pair_hashes
from invlightning.data.interactions import RawTable
from invlightning.data.preparation import prepare
from invlightning.data.splits import (
    GivenSplit,
    LeaveLastOut,
    RandomSplit,
    TemporalSplit,
    UserRandomSplit,
)
from invlightning.specs import to_spec

PAIRS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=60, unique=True
)
FRACTIONS = st.tuples(st.floats(0, 0.95), st.floats(0, 0.95)).filter(lambda pair: sum(pair) < 0.97)
SEEDS = st.integers(-5, 2**40)


def columns(pairs):
    users, items = np.array(pairs, dtype=np.int32).T
    return users, items


@settings(deadline=None, max_examples=60)
@given(PAIRS, FRACTIONS, SEEDS)
def test_random_sizes_are_exact(pairs, fractions, seed):
    val, test = fractions
    parts = random_split(*columns(pairs), val, test, seed)
    assert parts.dtype == np.uint8
    assert (parts == 2).sum() == round(test * len(pairs))
    held_out = round(val * len(pairs)) + round(test * len(pairs))
    assert (parts == 1).sum() == held_out - round(test * len(pairs))


@settings(deadline=None, max_examples=60)
@given(PAIRS, FRACTIONS, SEEDS)
def test_user_random_sizes_are_exact_within_users(pairs, fractions, seed):
    val, test = fractions
    users, items = columns(pairs)
    parts = user_random_split(users, items, val, test, seed)
    for user in set(users.tolist()):
        own = parts[users == user]
        num_test = min(round(test * len(own)), len(own) - 1)
        assert (own == 2).sum() == num_test
        assert (own == 1).sum() == min(round(val * len(own)), len(own) - 1 - num_test)
        assert (own == 0).sum() >= 1


CHOICES = [
    lambda users, items, seed: random_split(users, items, 0.3, 0.2, seed),
    lambda users, items, seed: user_random_split(users, items, 0.3, 0.2, seed),
    lambda users, items, seed: leave_last_out(users, items, (users * 7 + items) % 4),
    lambda users, items, seed: thin_labels(users, items, 0.4, seed),
    lambda users, items, seed: meta_rows(users, items, 0.4, seed),
]


@pytest.mark.parametrize("choose", CHOICES)
@settings(deadline=None, max_examples=30)
@given(pairs=PAIRS, seed=SEEDS, data=st.data())
def test_order_of_rows_makes_no_difference(choose, pairs, seed, data):
    order = np.array(data.draw(st.permutations(range(len(pairs)))))
    users, items = columns(pairs)
    straight = choose(users, items, seed)
    assert choose(users[order], items[order], seed).tolist() == straight[order].tolist()


@pytest.mark.parametrize("choose", [*CHOICES[:2], *CHOICES[3:]])
def test_seeds_differ_and_repeat(choose):
    users, items = columns([(user, item) for user in range(20) for item in range(20)])
    first, again, other = (choose(users, items, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert 100 < (first != other).sum() < 300


def test_purposes_are_independent_under_one_seed():
    users, items = columns([(user, item) for user in range(100) for item in range(100)])
    test = random_split(users, items, 0.0, 0.5, 3) == 2
    thin, meta = thin_labels(users, items, 0.5, 3), meta_rows(users, items, 0.5, 3)
    for one, other in ((test, thin), (test, meta), (thin, meta)):
        assert abs((one & other).mean() - 0.25) < 0.02


def test_hashes_are_uniform_and_distinct():
    users, items = columns([(user, item) for user in range(200) for item in range(200)])
    hashes = pair_hashes(users, items, 0)
    assert len(np.unique(hashes)) == len(hashes)
    counts = np.bincount((hashes >> np.uint64(60)).astype(np.int64), minlength=16)
    assert (abs(counts / len(hashes) - 1 / 16) < 0.005).all()
    assert lowest(hashes, 7).sum() == 7
    assert hashes[lowest(hashes, 7)].max() == np.sort(hashes)[6]


def test_leave_last_out():
    users = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    items = np.array([1, 2, 3, 1, 2, 4, 3, 2, 1])
    times = np.array([5, 9, 7, 1, 2, 6, 8, 7, 0])
    assert leave_last_out(users, items, times).tolist() == [0, 2, 1, 0, 0, 0, 2, 1, 0]


def test_rows_at_the_same_time_are_held_out_without_regard_to_their_item():
    """Seen to fail with ties ordered by item: all held-out items were the last, 99."""
    users, items = np.divmod(np.arange(200 * 100), 100)
    parts = leave_last_out(users, items, np.zeros_like(users), 3)
    for part in (1, 2):
        assert abs(items[parts == part].mean() - 49.5) < 4 * 29 / np.sqrt(200)
    again = leave_last_out(users, items, np.zeros_like(users), 4)
    assert (parts != again).sum() > 300


SEEDED = [RandomSplit(0.2, 0.1), UserRandomSplit(0.2, 0.1), LeaveLastOut(), GivenSplit(0.2)]


@pytest.mark.parametrize("split", SEEDED, ids=lambda split: type(split).__name__)
def test_a_split_without_a_seed_of_its_own_follows_the_run(split):
    """Seen to fail with a seed of 42 of its own: a loop over seeds did not vary the split."""
    given = GivenSplit(0.2, seed=1) if isinstance(split, GivenSplit) else type(split)(seed=1)
    users, items = np.divmod(np.arange(400), 20)
    parts = np.repeat(np.array([0, 2], dtype=np.uint8), [360, 40])
    data = prepare(RawTable(users, items, items % 2, np.zeros_like(items), parts))
    assert (split(data, 1) != split(data, 2)).any()
    assert (split(data, 1) == split(data, 1)).all()
    assert (given(data, 1) == given(data, 2)).all()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), FRACTIONS)
def test_temporal_parts_follow_each_other(times, fractions):
    val, test = fractions
    ordered = sorted(times)
    num_test, num_val = round(test * len(times)), round(val * len(times))

    def after_cut(count):
        last_before = ordered[max(len(times) - count - 1, 0)]
        return [count > 0 and time > last_before for time in times]

    late, held_out = after_cut(num_test), after_cut(num_test + num_val)
    expected = [2 * t or int(h) for t, h in zip(late, held_out, strict=True)]
    times = np.array(times)
    if (num_test and 2 not in expected) or (num_val and 1 not in expected):
        with pytest.raises(ValueError, match="share one instant"):
            temporal_split(times, val, test)
        return
    parts = temporal_split(times, val, test)
    assert parts.tolist() == expected
    spans = [times[parts == part] for part in (0, 1, 2) if (parts == part).any()]
    for earlier, later in pairwise(spans):
        assert earlier.max() < later.min()
    assert (parts == 2).sum() <= num_test
    assert (parts > 0).sum() <= num_test + num_val


def test_temporal_sizes_are_exact_without_ties():
    parts = temporal_split(np.random.default_rng(0).permutation(1000), 0.1, 0.2)
    assert np.bincount(parts).tolist() == [700, 100, 200]


def test_one_instant_cannot_be_divided():
    with pytest.raises(ValueError, match="share one instant: the validation part"):
        temporal_split(np.zeros(10, dtype=np.int64), 0.1, 0.1)


@settings(deadline=None, max_examples=40)
@given(PAIRS, st.floats(0.001, 1), SEEDS)
def test_thinning_is_exact_and_nested(pairs, fraction, seed):
    users, items = columns(pairs)
    thin = thin_labels(users, items, fraction, seed)
    assert thin.sum() == max(1, round(fraction * len(pairs)))
    assert not (thin_labels(users, items, fraction / 2, seed) & ~thin).any()


@settings(deadline=None, max_examples=40)
@given(PAIRS, st.floats(0.001, 0.99), SEEDS)
def test_meta_part_is_exact(pairs, fraction, seed):
    assume(len(pairs) > 1)
    meta = meta_rows(*columns(pairs), fraction, seed)
    assert meta.sum() == max(1, round(fraction * len(pairs)))
    assert not meta_rows(*columns(pairs), 0.0, seed).any()
    assert not meta_rows(*columns(pairs[:1]), fraction / 2, seed).any()


@pytest.mark.parametrize(("val", "test"), [(1.0, 0.0), (-0.1, 0.1), (0.6, 0.4), (float("nan"), 0)])
@pytest.mark.parametrize("split", [RandomSplit, UserRandomSplit, TemporalSplit])
def test_fractions_out_of_range(split, val, test):
    with pytest.raises(ValueError, match=r"must each be in \[0, 1\) and sum to less than 1"):
        split(val, test)


def interactions(timestamps=True, parts=None):
    users, items = np.divmod(np.arange(40), 8)
    times = np.arange(40) if timestamps else None
    return prepare(RawTable(users, items, (users + items) % 2, times, parts))


def test_classes_call_the_functions():
    data = interactions()
    users, items, times = data.users, data.items, data.timestamps
    for split, expected in (
        (RandomSplit(0.2, 0.1, seed=5), random_split(users, items, 0.2, 0.1, 5)),
        (UserRandomSplit(0.2, 0.3, seed=5), user_random_split(users, items, 0.2, 0.3, 5)),
        (LeaveLastOut(), leave_last_out(users, items, times)),
        (TemporalSplit(0.2, 0.1), temporal_split(times, 0.2, 0.1)),
    ):
        assert split(data).tolist() == expected.tolist()
        assert set(expected.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("split", [LeaveLastOut(), TemporalSplit()])
def test_time_is_needed(split):
    with pytest.raises(ValueError, match=r"needs timestamps, .*name the timestamp column, or use"):
        split(interactions(timestamps=False))


def test_given_split():
    given_parts = np.repeat(np.array([0, 2], dtype=np.uint8), [30, 10])
    data = interactions(parts=given_parts)
    assert GivenSplit()(data).tolist() == given_parts.tolist()
    parts = GivenSplit(val=0.2)(data)
    assert (parts[30:] == 2).all()
    assert np.bincount(parts[:30]).tolist() == [24, 6]
    assert data.parts.tolist() == [0] * 30 + [2] * 10
    with_val = np.repeat(np.array([0, 1, 2], dtype=np.uint8), [25, 5, 10])
    assert GivenSplit(val=0.2)(interactions(parts=with_val)).tolist() == with_val.tolist()
    with pytest.raises(ValueError, match="GivenSplit needs data that comes with its own split"):
        GivenSplit()(interactions())
    with pytest.raises(ValueError, match="must each be in"):
        GivenSplit(val=1.0)


def test_splits_describe_themselves():
    assert to_spec(UserRandomSplit(0.2, seed=1)) == {
        "class_path": "invlightning.data.splits.UserRandomSplit",
        "init_args": {"val": 0.2, "seed": 1},
    }
