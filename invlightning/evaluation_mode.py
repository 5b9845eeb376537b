"""Modes of networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from torch import nn

_paused: "WeakSet[nn.Module]" = WeakSet()
_promises: list[tuple[nn.Module, object]] = []


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
    _promises.append((module, object()))
    try:
        yield
    finally:
        _promises.pop()


def fixed_period(module: nn.Module) -> object | None:
    """The outermost :func:`fixed_parameters` that a module is under; None without one."""
    found = (period for root, period in _promises if any(m is module for m in root.modules()))
    return next(found, None)
