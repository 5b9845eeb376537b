import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.data.evaluation_loaders import EvalLoader, RankingLoader
from invlightning.data.samplers import KnownPairs
from invlightning.types import LabeledRows
from tests.reference.samplers import ranking_batches


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 6), st.integers(1, 4))
def test_evaluation_rows_once_whole_users_equal_counts(users, batch_size, world_size):
    users = torch.tensor(users, dtype=torch.int32)
    items = torch.arange(users.numel(), dtype=torch.int32)
    ranks = [
        EvalLoader(LabeledRows(users, items, (items % 2).float()), batch_size, rank, world_size)
        for rank in range(world_size)
    ]
    largest = max(sum(user % world_size == rank for user in users) for rank in range(world_size))
    seen = []
    for rank, loader in enumerate(ranks):
        batches = list(loader)
        assert len(batches) == len(loader) == (largest + batch_size - 1) // batch_size
        own = [item for item in items.tolist() if users[item] % world_size == rank]
        assert [item for batch in batches for item in batch.items.tolist()] == own
        for batch in batches:
            assert len(batch.items) <= batch_size
            assert batch.users.dtype == batch.items.dtype == torch.int64
            assert torch.equal(batch.users, users[batch.items].long())
            assert torch.equal(batch.labels, (batch.items % 2).float())
        seen += own
    assert sorted(seen) == items.tolist()


pair_lists = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6)), max_size=40)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 8), unique=True),
    pair_lists,
    pair_lists,
    pair_lists,
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_ranking_batches_against_naive_lists(
    users, seen, targets, disliked, batch_size, world_size
):
    def csr(pairs):
        table = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
        return KnownPairs.from_pairs(table[:, 0], table[:, 1], 9, 7)

    tables = csr(seen), csr(targets), csr(disliked)
    expected = [
        ranking_batches(users, (seen, targets, disliked), batch_size, r, world_size)
        for r in range(world_size)
    ]
    for rank in range(world_size):
        loader = RankingLoader(
            torch.tensor(users, dtype=torch.int32), *tables, batch_size, rank, world_size
        )
        batches = list(loader)
        assert len(batches) == len(loader) == max(len(lists) for lists in expected)
        for batch, lists in itertools.zip_longest(batches, expected[rank], fillvalue=[]):
            assert all(column.dtype == torch.int64 for column in batch)
            assert batch.users.tolist() == [user for user, *_ in lists]
            for row, (_, known, wanted, unwanted) in enumerate(lists):
                assert batch.seen_items[batch.seen_rows == row].tolist() == sorted(known)
                assert batch.target_items[batch.target_rows == row].tolist() == sorted(wanted)
                assert batch.disliked_items[batch.disliked_rows == row].tolist() == sorted(unwanted)
            assert batch.seen_rows.numel() == sum(len(known) for _, known, *_ in lists)
            assert batch.target_rows.numel() == sum(len(wanted) for _, _, wanted, _ in lists)
            assert batch.disliked_rows.numel() == sum(len(unwanted) for *_, unwanted in lists)


def test_bad_arguments_of_evaluation_loaders_are_refused():
    users = torch.arange(4)
    with pytest.raises(ValueError, match="columns of rows must have one length"):
        EvalLoader(LabeledRows(users, users[:3], users.float()), 2)
    pairs = KnownPairs.from_pairs(users, users, 4, 4)
    with pytest.raises(ValueError, match=r"rank must lie in 0\.\.world_size-1, found 1 of 1"):
        RankingLoader(users, pairs, pairs, pairs, 2, rank=1)
