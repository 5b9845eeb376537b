"""Modes of networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, WeakSet

from torch import nn

_paused: "WeakSet[nn.Module]" = WeakSet()
_periods: "WeakKeyDictionary[nn.Module, object]" = WeakKeyDictionary()


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
def fixed_parameters(module: nn.Module) -> Iterator[None]:
    """Promises that no parameter changes for a while.

    A network that computes something from all its parameters then does so once, although training
    is only paused. Without the promise it does so in every forward pass.
    """
    entered = [m for m in module.modules() if m not in _periods]  # an outer promise goes on
    _periods.update(dict.fromkeys(entered, object()))
    try:
        yield
    finally:
        for m in entered:
            del _periods[m]


def fixed_period(module: nn.Module) -> object | None:
    """The promise of :func:`fixed_parameters` that a module is under; None without one."""
    return _periods.get(module)
