"""Conformance suite of the backbones."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.testing.modules import ModuleTests, assert_same_facts
from invlightning.types import TrainingFacts


class BackboneTests(ModuleTests):
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

    @override
    def make(self) -> Backbone:
        """Returns a backbone in float64, so that comparisons are sharp."""
        backbone: Backbone = self.factory("backbone")(self.num_users, self.num_items)
        backbone.start_fit(self.facts())
        return backbone.double()

    def facts(self) -> TrainingFacts:
        """Returns training data for backbones that want it: a third of all pairs, in some order."""
        users, items = self.pairs()
        generator = torch.Generator().manual_seed(0)
        rows = torch.randperm(len(users), generator=generator)[: len(users) // 3]
        times = torch.randperm(len(rows), generator=generator)
        labels = (torch.arange(len(rows)) % 3 > 0).float()
        sizes = self.num_users, self.num_items
        return TrainingFacts(users[rows], items[rows], labels, *sizes, times)

    def other_facts(self) -> TrainingFacts:
        """Returns other training data with the same sizes and features."""
        facts = self.facts()
        return facts._replace(items=facts.items.flip(0), labels=1 - facts.labels)

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Returns every pair of the catalogue, ``(U * I,)`` users and items."""
        pairs = torch.cartesian_prod(torch.arange(self.num_users), torch.arange(self.num_items))
        return pairs[:, 0], pairs[:, 1]

    @override
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

    def test_state_holds_what_was_learned_of_the_data(self) -> None:
        """A backbone that never saw the training data computes the same from the loaded state."""
        backbone = self.make().eval()
        stranger: Backbone = self.factory("backbone")(self.num_users, self.num_items)
        stranger.double().eval().load_state_dict(backbone.state_dict())
        assert torch.equal(self.output(stranger), self.output(backbone))
        users = torch.arange(self.num_users)
        assert torch.equal(stranger.score_all(users), backbone.score_all(users))

    def test_a_second_start_replaces_the_first(self) -> None:
        """When training starts again with other data, nothing of the former remains."""
        backbones: list[Backbone] = []
        for starts in ([self.facts()], [self.other_facts(), self.facts()]):
            torch.manual_seed(0)
            backbones.append(self.factory("backbone")(self.num_users, self.num_items).eval())
            for facts in starts:
                torch.manual_seed(1)
                backbones[-1].start_fit(facts)
        assert torch.equal(*(self.output(backbone) for backbone in backbones))

    def test_the_facts_stay_as_they_are(self) -> None:
        """Others are shown them, too."""
        facts = self.facts()
        kept = copy.deepcopy(facts)
        self.factory("backbone")(self.num_users, self.num_items).start_fit(facts)
        assert_same_facts(facts, kept)

    def test_evaluation_is_deterministic(self) -> None:
        """Two calls in evaluation mode are equal."""
        backbone = self.make().eval()
        assert torch.equal(self.output(backbone), self.output(backbone))

    def test_training_mode_is_as_said(self) -> None:
        """A backbone that says so computes the same in training and in evaluation mode."""
        backbone = self.make()
        if not backbone.varies_in_training:
            assert torch.equal(self.output(backbone.train()), self.output(backbone.eval()))

    def test_gradients_reach_every_parameter(self) -> None:
        """No parameter is allocated in vain."""
        backbone = self.make().eval()
        self.loss(backbone).backward()
        for name, parameter in backbone.named_parameters():
            assert parameter.grad is not None, name
            gradient = parameter.grad.to_dense()
            assert gradient.isfinite().all(), name
            assert gradient.any(), name

    def test_a_step_lowers_the_loss(self) -> None:
        """A small step of plain SGD lowers the loss."""
        backbone = self.make().eval()
        before = self.loss(backbone)
        before.backward()
        torch.optim.SGD(backbone.parameters(), lr=1e-2).step()
        assert self.loss(backbone) < before
