"""Totals of row-sparse gradients against a dense accumulation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.inverse import row_sparse as module
from invlightning.inverse.row_sparse import row_totals


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
