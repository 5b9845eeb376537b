"""What every module of ours has in common."""

import copy
import inspect
import json
import pickle
import pydoc
from typing import Any

import torch
from torch import Tensor

from invlightning.specs import Specified, to_spec
from invlightning.types import TrainingFacts


class ModuleTests:
    """A module can be copied, saved and described."""

    def make(self) -> Any:
        """Returns a fresh instance to test."""
        raise NotImplementedError

    def factory(self, name: str) -> Any:
        """Reads a class attribute without binding it, whether a class, function or partial."""
        value = inspect.getattr_static(type(self), name)
        return value.__func__ if isinstance(value, staticmethod) else value

    def output(self, module: Any) -> Tensor:
        """Returns what the module computes for some fixed input."""
        raise NotImplementedError

    def test_copies_compute_the_same(self) -> None:
        """Deep copies and pickles give the same output."""
        module = self.make().eval()
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(self.output(twin), self.output(module))

    def test_state_dict_round_trip(self) -> None:
        """A fresh instance with the loaded state gives the same output."""
        torch.manual_seed(1)
        module = self.make().eval()
        torch.manual_seed(2)
        twin = self.make().eval()
        twin.load_state_dict(module.state_dict())
        assert torch.equal(self.output(twin), self.output(module))

    def test_spec_names_the_class(self) -> None:
        """The description for checkpoints is plain and leads back to the class."""
        module: Specified = self.make()
        spec = to_spec(module)
        assert pydoc.locate(spec["class_path"]) is type(module)
        assert json.loads(json.dumps(spec)) == spec
        assert to_spec(copy.deepcopy(module)) == spec


def assert_same_facts(facts: TrainingFacts, kept: TrainingFacts) -> None:
    """Checks that training data is what it was, bit for bit."""
    for name, value, before in zip(facts._fields, facts, kept, strict=True):
        if isinstance(value, Tensor) and isinstance(before, Tensor):
            assert torch.equal(value, before), f"start_fit changed {name}"
        else:
            assert value is before, f"start_fit changed {name}"
