"""Modes of networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from torch import nn

_paused: "WeakSet[nn.Module]" = WeakSet()


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Switches dropout and batch statistics off for a while, so that scores do not vary."""
    switched = [m for m in module.modules() if m.training]
    for m in switched:
        m.training = False
    _paused.update(switched)
    try:
        yield
    finally:
        _paused.difference_update(switched)
        for m in switched:
            m.training = True


def is_learning(module: nn.Module) -> bool:
    """Whether a module is in training, also while :func:`evaluation_mode` pauses it."""
    return module.training or module in _paused


@contextmanager
def row_sparse_gradients(module: nn.Module) -> Iterator[None]:
    """Makes the tables that are looked up meanwhile give row-sparse gradients.

    Of those, rows that were not looked up cost nothing. Compiled modules stay as they are: they
    would be compiled again.
    """
    modules = list(module.modules())
    compiled = any(m._compiled_call_impl is not None for m in modules)
    tables = [
        m
        for m in modules
        if isinstance(m, nn.Embedding) and not (m.sparse or m.scale_grad_by_freq or compiled)
    ]
    for table in tables:
        table.sparse = True
    try:
        yield
    finally:
        for table in tables:
            table.sparse = False
