"""Gradients that travel between processes, here threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invlightning.inverse import BatchSign, InverseGradient, StepContext
from invlightning.inverse.gradients import averaged, gradients_of, mean_rows

SHAPES = [(7, 3), (5, 1), (6, 2, 2)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


class Exchange:
    """Lets threads exchange tensors as processes would, and counts the bytes."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size)
        self.slots = [None] * size
        self.traffic = []

    def gather(self, rank, values):
        self.slots[rank] = values
        self.barrier.wait(timeout=20)
        found = torch.stack(self.slots)
        if rank == 0:
            self.traffic.append(values.nbytes)
        self.barrier.wait(timeout=20)
        return found

    def context(self, rank, row_sparse):
        return StepContext(
            mean=lambda values: self.gather(rank, values).mean(0),
            gather=lambda values: self.gather(rank, values),
            row_sparse=row_sparse,
        )


def on_each(size, work):
    """The results of ``work(exchange, rank)`` in as many threads."""
    exchange = Exchange(size)
    with ThreadPoolExecutor(size) as pool:
        return exchange, list(pool.map(lambda rank: work(exchange, rank), range(size)))


def entries(shape, dtype, count, generator):
    rows = torch.randint(shape[0], (1, count), generator=generator)
    values = torch.randn(count, *shape[1:], generator=generator).to(dtype)
    return torch.sparse_coo_tensor(rows, values, shape)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.lists(st.integers(0, 9), min_size=9, max_size=9), st.integers(0, 99))
def test_rows_travel_and_their_mean_is_exact(size, counts, seed):
    """Equal to the dense mean, bit for bit on all ranks; traffic is that of the touched rows."""
    generator = torch.Generator().manual_seed(seed)
    kinds = list(zip(SHAPES, DTYPES, strict=True))
    own = [
        [entries(*kind, counts[3 * rank + i], generator).coalesce() for i, kind in enumerate(kinds)]
        for rank in range(size)
    ]
    exchange, means = on_each(
        size, lambda exchange, rank: mean_rows(own[rank], lambda v: exchange.gather(rank, v))
    )
    for i, (shape, dtype) in enumerate(kinds):
        expected = torch.stack([gradients[i].to_dense().double() for gradients in own]).mean(0)
        for mean in means:
            assert mean[i].is_sparse
            assert mean[i].dtype == dtype
            assert mean[i].shape == shape
            assert torch.equal(mean[i].to_dense(), means[0][i].to_dense())
            tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype is torch.bfloat16 else {}
            torch.testing.assert_close(mean[i].to_dense().double(), expected.double(), **tolerance)
    largest = max(
        sum(g.indices().nbytes + g.values().nbytes for g in gradients) for gradients in own
    )
    assert exchange.traffic == [3 * 8, largest]


def test_missing_and_dense_gradients_meet_row_sparse_ones():
    """Ranks of which one has no gradient, or a dense one, still exchange the same messages."""
    table, head = nn.Parameter(torch.zeros(6, 2)), nn.Parameter(torch.zeros(3))
    rows = torch.sparse_coo_tensor([[4, 1]], torch.ones(2, 2), (6, 2))
    local = [
        [rows, torch.ones(3)],
        [None, None],
        [torch.full((6, 2), 0.5), 2 * torch.ones(3)],
    ]
    context = [frozenset({id(table)}), frozenset()]
    for row_sparse in context:
        _, found = on_each(
            3,
            lambda exchange, rank, row_sparse=row_sparse: averaged(
                local[rank], [table, head], exchange.context(rank, row_sparse)
            ),
        )
        for mean_table, mean_head in found:
            assert mean_table.is_sparse == bool(row_sparse)
            expected = (rows.to_dense() + 0.5) / 3
            torch.testing.assert_close(mean_table.to_dense(), expected)
            torch.testing.assert_close(mean_head, torch.ones(3))


def test_alone_nothing_is_sent():
    table = nn.Parameter(torch.zeros(6, 2))
    gradients = [torch.ones(6, 2), None]
    assert averaged(gradients, [table, table], StepContext()) == gradients


def test_grad_attributes_stay():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    used.grad = torch.full((2,), 7.0)
    found = gradients_of((3 * used).sum(), [used, unused])
    assert found[0].tolist() == [3, 3]
    assert found[1] is None
    assert used.grad.tolist() == [7, 7]


@pytest.mark.parametrize("where", ["unlabeled", "labeled"])
def test_a_failing_loss_leaves_the_parameters_alone(where):
    """Seen to fail, theta being at a candidate, without the restoration in the engine."""
    theta = nn.Parameter(torch.ones(3))
    calls = []

    def labeled():
        calls.append(theta.detach().clone())
        if where == "labeled" and len(calls) == 2:
            raise KeyboardInterrupt
        return theta.sum()

    def unlabeled():
        if where == "unlabeled":
            raise RuntimeError
        return theta.square().sum()

    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        InverseGradient(0.1, "sgd", BatchSign()).step([theta], unlabeled, labeled)
    assert theta.tolist() == [1, 1, 1]
