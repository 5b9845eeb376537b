"""Conformance suites: what the package relies on, as tests that a downstream class inherits.

A suite is a plain class that pytest collects once it is subclassed under a name with ``Test``::

    class TestMyBackbone(BackboneTests):
        backbone = MyBackbone  # or functools.partial(MyBackbone, embedding_dim=8)
"""

import copy
import inspect
import json
import pickle
import pydoc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from invlightning.backbones.base import Backbone
from invlightning.losses.base import LabeledLoss, UnlabeledLoss
from invlightning.specs import Specified, to_spec

# Largest logits that a loss must survive, by precision.
_LARGEST = {torch.float16: 6e4, torch.bfloat16: 1e4, torch.float32: 1e4, torch.float64: 1e4}


class _ModuleTests:
    """What every module of ours has in common: it can be copied, saved and described."""

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


class BackboneTests(_ModuleTests):
    """Contract of :class:`~invlightning.backbones.base.Backbone`.

    Attributes:
        backbone: The class or a factory, called with the two sizes.
        num_users: Number of users to test with.
        num_items: Number of items to test with.
        tolerance: Largest difference between logits computed in two ways, in float64.
    """

    backbone: Callable[[int, int], Backbone]
    num_users: int = 7
    num_items: int = 11
    tolerance: float = 1e-9

    def make(self) -> Backbone:
        """Returns a backbone in float64, so that comparisons are sharp."""
        backbone: Backbone = self.factory("backbone")(self.num_users, self.num_items)
        return backbone.double()

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Returns every pair of the catalogue, ``(U * I,)`` users and items."""
        pairs = torch.cartesian_prod(torch.arange(self.num_users), torch.arange(self.num_items))
        return pairs[:, 0], pairs[:, 1]

    def output(self, module: Backbone) -> Tensor:
        """Returns the logits of every pair."""
        logits: Tensor = module(*self.pairs())
        return logits

    def loss(self, module: Backbone) -> Tensor:
        """Returns the cross entropy to labels of which a third are positive."""
        logits = self.output(module)
        labels = (torch.arange(len(logits)) % 3 == 0).to(logits.dtype)
        return nn.functional.binary_cross_entropy_with_logits(logits, labels)

    def test_one_logit_a_pair(self) -> None:
        """Vectors of users and items give a vector of finite logits; the sizes are remembered."""
        backbone = self.make()
        assert (backbone.num_users, backbone.num_items) == (self.num_users, self.num_items)
        logits = self.output(backbone)
        assert logits.shape == (self.num_users * self.num_items,)
        assert logits.dtype == torch.float64
        assert logits.isfinite().all()

    def test_single_precision(self) -> None:
        """Single precision gives nearly the logits of double precision."""
        backbone = self.make().eval()
        expected = self.output(backbone)
        logits = self.output(backbone.float())
        assert logits.dtype == torch.float32
        assert (logits - expected).abs().max() < 1e-4

    def test_indices_broadcast(self) -> None:
        """``(B, 1)`` users beside ``(B, K)`` items give ``(B, K)`` logits."""
        backbone = self.make().eval()
        users = torch.arange(self.num_users).unsqueeze(1)
        items = (users + torch.arange(3)) % self.num_items
        expected = backbone(users.expand_as(items).flatten(), items.flatten()).view_as(items)
        assert backbone(users, items).shape == items.shape
        assert (backbone(users, items) - expected).abs().max() < self.tolerance

    def test_blocks_agree_with_pairs(self) -> None:
        """``score_all`` and ``score_range`` give the logits of ``forward``."""
        backbone = self.make().eval()
        users = torch.arange(self.num_users).flip(0)
        expected = self.output(backbone).view(self.num_users, self.num_items).flip(0)
        scores = backbone.score_all(users)
        assert scores.shape == expected.shape
        assert (scores - expected).abs().max() < self.tolerance
        block = backbone.score_range(users, 2, self.num_items - 1)
        assert block.shape == (self.num_users, self.num_items - 3)
        assert (block - expected[:, 2:-1]).abs().max() < self.tolerance

    def test_evaluation_is_deterministic(self) -> None:
        """Two calls in evaluation mode are equal."""
        backbone = self.make().eval()
        assert torch.equal(self.output(backbone), self.output(backbone))

    def test_gradients_reach_every_parameter(self) -> None:
        """No parameter is allocated in vain."""
        backbone = self.make().eval()
        self.loss(backbone).backward()  # type: ignore[no-untyped-call]
        for name, parameter in backbone.named_parameters():
            assert parameter.grad is not None, name
            gradient = parameter.grad.to_dense()
            assert gradient.isfinite().all(), name
            assert gradient.any(), name

    def test_a_step_lowers_the_loss(self) -> None:
        """A small step of plain SGD lowers the loss."""
        backbone = self.make().eval()
        before = self.loss(backbone)
        before.backward()  # type: ignore[no-untyped-call]
        torch.optim.SGD(backbone.parameters(), lr=1e-2).step()
        assert self.loss(backbone) < before


class _LossTests(_ModuleTests):
    """What labeled and unlabeled losses have in common."""

    loss: Callable[[], nn.Module]

    def apply(self, loss: Any, logits: Tensor) -> Tensor:
        """Returns the loss of ``(B,)`` logits, the same rows for every call."""
        raise NotImplementedError

    def output(self, module: Any) -> Tensor:
        """Returns the loss of moderate logits."""
        return self.apply(module, torch.linspace(-3, 4, 12, dtype=torch.float64))

    def test_finite_at_extreme_logits(self) -> None:
        """Value and gradient are finite in every precision."""
        for dtype, largest in _LARGEST.items():
            values = torch.tensor([-1, -1e-1, -1e-3, 0, 1e-3, 1], dtype=torch.float64) * largest
            logits = values.repeat(2).to(dtype).requires_grad_()
            loss = self.apply(self.make(), logits)
            assert loss.shape == ()
            assert loss.isfinite(), dtype
            loss.backward()  # type: ignore[no-untyped-call]
            assert logits.grad is not None
            assert logits.grad.isfinite().all(), dtype


class LabeledLossTests(_LossTests):
    """Contract of :class:`~invlightning.losses.base.LabeledLoss`.

    Attributes:
        loss: The class or a factory, called without arguments.
    """

    def make(self) -> LabeledLoss:
        """Returns a fresh loss."""
        loss: LabeledLoss = self.factory("loss")()
        return loss

    def apply(self, loss: LabeledLoss, logits: Tensor) -> Tensor:
        """Returns the loss of the logits with labels that alternate."""
        value: Tensor = loss(logits, (torch.arange(len(logits)) % 2).to(logits.dtype))
        return value

    def test_row_order_does_not_matter(self) -> None:
        """A permutation of the rows leaves the loss as it is."""
        loss, logits = self.make(), torch.linspace(-3, 4, 12, dtype=torch.float64)
        labels = torch.arange(12) % 2
        order = torch.arange(12).roll(5).flip(0)
        assert (loss(logits[order], labels[order]) - loss(logits, labels)).abs() < 1e-12

    def test_true_labels_cost_less(self) -> None:
        """Logits towards the labels have a smaller loss than their opposites."""
        loss, labels = self.make(), torch.arange(12) % 2
        towards = 4.0 * labels - 2
        assert loss(towards, labels) < loss(-towards, labels)


class UnlabeledLossTests(_LossTests):
    """Contract of :class:`~invlightning.losses.base.UnlabeledLoss`.

    Attributes:
        loss: The class or a factory, called without arguments.
    """

    def make(self) -> UnlabeledLoss:
        """Returns a loss that has seen labels and is past any delayed start."""
        loss: UnlabeledLoss = self.factory("loss")()
        loss.start_fit(torch.tensor([1.0, 0.0, 0.0]))
        loss.start_epoch(1_000_000)
        return loss

    def apply(self, loss: UnlabeledLoss, logits: Tensor) -> Tensor:
        """Returns the loss of the logits."""
        value: Tensor = loss(logits)
        return value

    def test_row_order_does_not_matter(self) -> None:
        """A permutation of the rows leaves the loss as it is."""
        loss, logits = self.make(), torch.linspace(-3, 4, 12, dtype=torch.float64).view(6, 2)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        assert loss(logits).shape == ()
        assert (loss(logits[order]) - loss(logits)).abs() < 1e-12
