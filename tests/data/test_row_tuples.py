"""Loaders slice every tensor of a row tuple, whatever its columns."""

import itertools
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from invlightning.data.evaluation_loaders import EvalLoader
from invlightning.data.loader import TrainLoader
from invlightning.data.row_tuples import check_rows, take, widened
from invlightning.data.sharding import EpochOrder
from invlightning.types import LabeledRows

WIDE = {torch.int16: torch.int64, torch.int32: torch.int64, torch.int64: torch.int64}
WIDE |= {torch.float16: torch.float32, torch.float64: torch.float32, torch.bool: torch.bool}


class PairedRows(NamedTuple):
    """Labeled rows whose unlabeled items are given: two more columns, of two dimensions."""

    users: Tensor
    items: Tensor
    labels: Tensor
    unlabeled_items: Tensor
    unlabeled_mask: Tensor


def paired(num_rows, num_unlabeled=2):
    """Every column tells the row it belongs to, which is its item."""
    items = torch.arange(num_rows, dtype=torch.int32)
    return PairedRows(
        users=items * 7 % 5,
        items=items,
        labels=(items % 3 == 0).double(),
        unlabeled_items=(items.unsqueeze(1) + torch.arange(num_unlabeled)).short(),
        unlabeled_mask=items.unsqueeze(1) % torch.arange(2, 2 + num_unlabeled) == 0,
    )


def assert_rows_of(batch, rows):
    """Each column of a batch holds the rows that its items name."""
    for name, column in rows._asdict().items():
        found = getattr(batch, name)
        assert found.dtype == WIDE[column.dtype], name
        assert torch.equal(found, column[batch.items].to(found.dtype)), name


cases = st.fixed_dictionaries(
    {
        "num_rows": st.integers(1, 30),
        "num_meta": st.integers(0, 30),
        "batch_size": st.integers(1, 7),
        "world_size": st.integers(1, 3),
        "num_unlabeled": st.integers(0, 3),
        "epoch": st.integers(0, 3),
    }
)


@settings(deadline=None, max_examples=60)
@given(cases, st.data())
def test_all_columns_of_training_rows_stay_together(case, data):
    """Resumed at any batch, over any number of processes; seen to fail with one column unsliced."""
    rows = paired(case["num_rows"], case["num_unlabeled"])
    is_meta = rows.items < case["num_meta"]

    def loader(rank):
        made = TrainLoader(rows, is_meta, case["batch_size"], 3, rank, case["world_size"])
        made.set_epoch(case["epoch"])
        return made

    sizes = [int(part.sum()) for part in (is_meta, ~is_meta)]
    if max(sizes) < case["world_size"]:
        with pytest.raises(ValueError, match="give no batch"):
            loader(0)
        return
    seen = []
    stop = data.draw(st.integers(0, len(loader(0)) - 1))
    for rank in range(case["world_size"]):
        stopped, resumed = loader(rank), loader(rank)
        batches = list(itertools.islice(stopped, stop))
        resumed.load_state_dict(stopped.state_dict())
        batches += resumed
        assert len(batches) == len(loader(rank))
        for batch in batches:
            assert_rows_of(batch, rows)
            seen += batch.items.tolist()
    together = case["batch_size"] * case["world_size"]
    left_out = sum(size % together % case["world_size"] for size in sizes)
    assert len(seen) == len(set(seen)) == case["num_rows"] - left_out


@settings(deadline=None, max_examples=30)
@given(cases)
def test_all_columns_of_evaluation_rows_stay_together(case):
    rows = paired(case["num_rows"], case["num_unlabeled"])
    seen = []
    for rank in range(case["world_size"]):
        for batch in EvalLoader(rows, case["batch_size"], rank, case["world_size"]):
            assert_rows_of(batch, rows)
            seen += batch.items.tolist()
    assert sorted(seen) == rows.items.tolist()


def test_a_column_that_batches_do_not_know_is_refused():
    class Odd(NamedTuple):
        users: Tensor
        items: Tensor
        labels: Tensor
        weather: Tensor

    rows = Odd(*paired(3)[:3], torch.zeros(3))
    with pytest.raises(TypeError, match="weather"):
        next(iter(TrainLoader(rows, None, 2, 0)))


def test_taking_and_widening_rows():
    rows = LabeledRows(*paired(4)[:3])
    some = take(rows, torch.tensor([2, 0]))
    assert isinstance(some, LabeledRows)
    assert some.items.tolist() == [2, 0]
    assert some.items.dtype == torch.int32
    assert widened(some).items.dtype == torch.int64
    assert take(rows, slice(1, 3)).items.data_ptr() == rows.items[1:].data_ptr()


def test_columns_of_other_lengths_are_refused():
    rows = paired(4)
    check_rows(rows)
    with pytest.raises(ValueError, match=r"one length, found the shapes .*_mask \(3, 2\)"):
        check_rows(rows._replace(unlabeled_mask=rows.unlabeled_mask[:3]))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 50), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 2**60)
)
def test_processes_share_an_epoch(num_rows, batch_size, world_size, drop_last, seed):
    """Global batch g of all processes, laid side by side, is batch g of one large process."""
    ranks = [
        EpochOrder(num_rows, batch_size, rank, world_size, drop_last) for rank in range(world_size)
    ]
    whole = EpochOrder(num_rows, batch_size * world_size)
    order = whole.places(seed)
    assert sorted(order.tolist()) == list(range(num_rows))
    assert whole.places(None).tolist() == list(range(num_rows))
    assert len({len(rank) for rank in ranks}) == 1
    places = [rank.places(seed) for rank in ranks]
    for index in range(len(ranks[0])):
        shares = [own[rank.batch(index)] for own, rank in zip(places, ranks, strict=True)]
        together = order[whole.batch(index)]
        kept = together.numel() // world_size * world_size
        assert torch.cat(shares).tolist() == together[:kept].tolist()
        assert len({share.numel() for share in shares}) == 1
        assert shares[0].numel() > 0
        assert not drop_last or shares[0].numel() == batch_size
    covered = len(ranks[0]) * batch_size * world_size
    assert num_rows - covered < (batch_size * world_size if drop_last else world_size)
