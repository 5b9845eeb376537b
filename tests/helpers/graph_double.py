"""A stand-in for CUDA graphs on a processor: what they do, and what they refuse."""

from contextlib import contextmanager
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from torch.utils._pytree import tree_leaves

import invlightning as il
from invlightning.modules import capture, capture_checks
from tests.modules.test_no_waiting import NoWaiting


class GraphDouble(pl.Callback):
    """Records a function of fixed memory and runs it again.

    Like a graph it does nothing while it records, refuses to wait for a device or to seed random
    generators, and writes all its results to the same memory.

    Attributes:
        recorded: Functions recorded so far.
        replayed: Runs of them.
    """

    def __init__(self, monkeypatch):
        self.recorded = self.replayed = 0
        self._module = None
        monkeypatch.setattr(capture, "record_graph", self.record)
        monkeypatch.setattr(capture_checks, "check_device", lambda trainer: None)
        for module in ("displacement", "step"):
            monkeypatch.setattr(f"invlightning.inverse.{module}.is_on_host", lambda tensor: False)

    def on_fit_start(self, trainer, pl_module):
        self._trainer, self._module = trainer, pl_module

    def record(self, function):
        kept = [(tensor, tensor.detach().clone()) for tensor in self._state()]
        gradients = [(p, p.grad) for p in self._module.parameters()]
        with torch.random.fork_rng(), NoWaiting(), no_seeding():
            result = function()
        with torch.no_grad():
            for tensor, before in kept:
                tensor.copy_(before)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for tensor in tensors(result):
            tensor.fill_(torch.nan if tensor.is_floating_point() else -1)  # nothing ran yet
        self.recorded += 1
        places = [tensor.data_ptr() for tensor in self._state()]
        return lambda: self._replay(function, result, places), result

    def _replay(self, function, result, places):
        assert places == [tensor.data_ptr() for tensor in self._state()], "memory was left behind"
        for old, new in zip(tensors(result), tensors(function()), strict=True):
            old.copy_(new)
        self.replayed += 1

    def _state(self):
        """All that a recorded step may write to."""
        yield from self._module.parameters()
        yield from self._module.buffers()
        decision = getattr(self._module, "decision", None)
        if isinstance(decision, il.inverse.MetaWeightNet):
            yield from decision._net


@contextmanager
def no_seeding():
    """Refuses to seed or to read the generators, whose states no graph could follow."""
    before = torch.initial_seed()
    refused = AssertionError("a generator was read within a graph")
    with patch("torch.random.fork_rng", side_effect=refused):
        yield
    assert torch.initial_seed() == before, "a generator was seeded within a graph"


def tensors(result):
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
