"""Totals and clipping of row-sparse gradients against dense ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from invlightning import sparse as module
from invlightning.sparse import clip_gradients, row_totals, sparse_tables, write_rows


def sparse(rows, values, num_rows=6):
    size = (num_rows, *values.shape[1:])
    return torch.sparse_coo_tensor(
        torch.tensor([rows], dtype=torch.int64), values, size, check_invariants=True
    )


@given(st.lists(st.integers(0, 5), max_size=20), st.sampled_from([(3,), (1,), (2, 4), ()]))
@settings(deadline=None, max_examples=60)
def test_distinct_totals_equal_coalescing(rows, width):
    values = torch.randn(len(rows), *width, dtype=torch.float64)
    gradient = sparse(rows, values)
    found, totals = row_totals(gradient)
    assert found.tolist() == sorted(set(rows))
    expected = gradient.to_dense()[found]
    torch.testing.assert_close(totals, expected, rtol=0, atol=1e-12)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
@settings(deadline=None, max_examples=60)
def test_repeated_totals_hold_the_same_values_for_the_same_row(rows):
    """The form for accelerators, whose result has one entry for each entry of the gradient."""
    values = torch.randn(len(rows), 3, dtype=torch.float64)
    ordered, totals = module._repeated_totals(torch.tensor(rows), values)
    assert ordered.tolist() == sorted(rows)
    expected = sparse(rows, values).to_dense()[ordered]
    torch.testing.assert_close(totals, expected, rtol=0, atol=1e-12)
    for row in set(rows):
        assert (totals[ordered == row] == totals[ordered == row][0]).all()


def test_coalesced_gradients_pass_through():
    gradient = sparse([3, 1, 3], torch.ones(3, 2)).coalesce()
    found, totals = row_totals(gradient)
    assert found.tolist() == [1, 3]
    assert totals.tolist() == [[1, 1], [2, 2]]


def test_more_sparse_dimensions_are_refused():
    with pytest.raises(ValueError, match="2 sparse dimensions"):
        row_totals(torch.eye(3).to_sparse())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("width", [(), (1,), (3,), (4,), (2, 3), (2, 4)])
@pytest.mark.parametrize("strided", [False, True])
def test_rows_are_written_bit_by_bit_and_nothing_else_is(dtype, width, strided):
    full = torch.randn(14, *width).to(dtype)
    table = nn.Parameter(full[1::2] if strided else full[1:])
    expected = table.detach().clone()
    rows = torch.tensor([5, 0, 2, 5])
    values = torch.randn(4, *width).to(dtype)
    values.flatten()[:3] = torch.tensor([torch.nan, -torch.inf, -0.0]).to(dtype)[: values.numel()]
    values[3] = values[0]
    expected[rows] = values
    version = table._version
    write_rows(table, rows, values)
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    found = table.detach().contiguous()
    assert torch.equal(found.view(integer), expected.contiguous().view(integer))
    assert table._version > version, "caches of tables look at it"


ROWS = torch.tensor([1, 1, 1, 4, 6, 6])


def with_gradients(sparse):
    torch.manual_seed(5)
    net = nn.Sequential(nn.Embedding(9, 3, sparse=sparse), nn.Linear(3, 2))
    net(ROWS).square().sum().backward()
    return net


@pytest.mark.parametrize("limit", [0.01, 1e6])
@pytest.mark.parametrize(
    ("algorithm", "clip"),
    [("norm", nn.utils.clip_grad_norm_), ("value", nn.utils.clip_grad_value_)],
)
def test_clipping_equals_that_of_dense_gradients(algorithm, clip, limit):
    own, other = with_gradients(True), with_gradients(False)
    clip(other.parameters(), limit)
    clip_gradients(own.parameters(), limit, algorithm)
    for found, expected in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found.grad.to_dense(), expected.grad)


def test_clipping_passes_over_parameters_without_gradient():
    clip_gradients([nn.Parameter(torch.ones(2))], 0.1)


def test_unknown_clipping_is_refused():
    with pytest.raises(ValueError, match="'norm' or 'value'"):
        clip_gradients([], 0.1, "max")


def test_only_tables_with_row_sparse_gradients_count():
    net = nn.ModuleList(
        [
            nn.Embedding(3, 2, sparse=True),
            nn.Embedding(3, 2),
            nn.ModuleList([nn.EmbeddingBag(3, 2, sparse=True)]),
            nn.Linear(2, 2),
        ]
    )
    assert sparse_tables(net) == [net[0], net[2][0]]
