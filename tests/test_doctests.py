"""The examples in the docstrings of formulas are true, and every formula has one."""

import doctest
import inspect

import pytest
import torch

from invlightning.losses import functional as losses
from invlightning.metrics import functional as metrics

# Helpers of the metrics that give nothing to show, or take what a line cannot hold.
WITHOUT = {"check_cutoff", "check_shapes", "check_values", "tie_groups", "top_unseen"}
FORMULAS = [
    pytest.param(room, name, id=f"{room.__name__.split('.')[1]}-{name}")
    for room in (losses, metrics)
    for name in room.__all__
    if inspect.isfunction(getattr(room, name)) and name not in WITHOUT
]


@pytest.mark.parametrize(("room", "name"), FORMULAS)
def test_example_of_a_formula(room, name):
    """Seen to fail with another number in an example, and without one."""
    known = {"torch": torch} | {other: getattr(room, other) for other in room.__all__}
    finder = doctest.DocTestFinder(recurse=False)
    [example] = finder.find(getattr(room, name), name, globs=known)
    assert example.examples, f"{name} has no example"
    told = []
    assert doctest.DocTestRunner().run(example, out=told.append).failed == 0, "".join(told)
