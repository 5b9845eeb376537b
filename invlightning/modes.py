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
