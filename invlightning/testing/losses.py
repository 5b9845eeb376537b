"""Conformance suites of the losses."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import JointLoss, LabeledLoss, Loss, UnlabeledLoss
from invlightning.testing.modules import ModuleTests, assert_same_facts
from invlightning.types import JointRows, TrainingFacts

# Largest logits that a loss must survive, by precision.
_LARGEST = {torch.float16: 6e4, torch.bfloat16: 1e4, torch.float32: 1e4, torch.float64: 1e4}


class _LossTests(ModuleTests):
    """What all losses have in common."""

    loss: Callable[[], Loss]

    @override
    def make(self) -> Any:
        """Returns a loss that has seen training rows and is past any delayed start."""
        return self.told([self.facts()], [1_000_000])

    def told(self, facts: Iterable[TrainingFacts], epochs: Iterable[int]) -> Any:
        """Returns a fresh loss that was shown data and told epochs, in this order."""
        loss: Loss = self.factory("loss")()
        for shown in facts:
            loss.start_fit(shown)
        for epoch in epochs:
            loss.set_epoch(epoch)
        return loss

    def facts(self) -> TrainingFacts:
        """Returns training rows of 24 users and 12 items, a third of them positive."""
        rows = torch.arange(24)
        return TrainingFacts(rows, rows % 12 % 7, (rows % 3 == 0).float(), 24, 12)

    def apply(self, loss: Any, logits: Tensor) -> Tensor:
        """Returns the loss of ``(B,)`` logits, the same rows for every call."""
        raise NotImplementedError

    @override
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
            loss.backward()
            assert logits.grad is not None
            assert logits.grad.isfinite().all(), dtype

    def test_a_second_start_replaces_the_first(self) -> None:
        """When training starts again with other data, nothing of the former remains."""
        facts = self.facts()
        labels = (torch.arange(len(facts.labels)) % 4 == 0).float()
        others = facts._replace(items=11 - facts.items, labels=labels)
        losses = (self.told(shown, [9]) for shown in ([facts], [others, facts]))
        assert torch.equal(*(self.output(loss) for loss in losses))

    def test_the_facts_stay_as_they_are(self) -> None:
        """Others are shown them, too."""
        facts = self.facts()
        kept = copy.deepcopy(facts)
        self.factory("loss")().start_fit(facts)
        assert_same_facts(facts, kept)

    def test_training_may_start_again(self) -> None:
        """The loss is that of the epoch it was last told, whatever it was told before."""
        losses = (self.told([self.facts()], epochs) for epochs in ([0], [9, 0]))
        assert torch.equal(*(self.output(loss) for loss in losses))

    def test_nothing_leaves_the_device(self) -> None:
        """A step reads no value back: it runs where tensors have shapes only."""
        logits = torch.zeros(12, device="meta", requires_grad=True)
        loss = self.apply(self.make().to("meta"), logits)
        loss.backward()
        assert loss.shape == ()
        assert logits.grad is not None


class LabeledLossTests(_LossTests):
    """Contract of :class:`~invlightning.losses.base.LabeledLoss`.

    Attributes:
        loss: The class or a factory, called without arguments.
    """

    @override
    def apply(self, loss: LabeledLoss, logits: Tensor) -> Tensor:
        """Returns the loss of the logits with labels that alternate."""
        value: Tensor = loss(logits, (torch.arange(len(logits)) % 2).to(logits))
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

    @override
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


class JointLossTests(_LossTests):
    """Contract of :class:`~invlightning.losses.base.JointLoss`.

    Attributes:
        loss: The class or a factory, called without arguments.
    """

    def rows(self, logits: Tensor) -> JointRows:
        """Returns labeled rows with these ``(12,)`` logits and three unlabeled rows beside each."""
        places = torch.arange(12, device=logits.device)
        drawn = torch.stack([logits.roll(shift) for shift in (1, 2, 4)], dim=1)
        items = (places.unsqueeze(1) + torch.tensor([1, 2, 4], device=logits.device)) % 12
        labels = (places % 2).to(logits)
        return JointRows(logits, labels, places, drawn, items, users=places // 4)

    @override
    def apply(self, loss: JointLoss, logits: Tensor) -> Tensor:
        """Returns the loss of the rows with these logits."""
        value: Tensor = loss(self.rows(logits))
        return value

    def moderate(self) -> JointRows:
        """Returns rows with moderate logits that are leaves of the graph."""
        rows = self.rows(torch.linspace(-3, 4, 12, dtype=torch.float64).flip(0))
        return rows._replace(
            logits=rows.logits.requires_grad_(),
            unlabeled_logits=rows.unlabeled_logits.detach().clone().requires_grad_(),
        )

    def test_row_order_does_not_matter(self) -> None:
        """Permutations of the rows and of the items beside them leave the loss as it is."""
        rows, order, columns = self.moderate(), torch.arange(12).roll(5).flip(0), [2, 0, 1]
        rows = rows._replace(mask=rows.unlabeled_items % 5 != 0)
        assert rows.mask is not None
        assert rows.users is not None
        other = JointRows(
            rows.logits[order],
            rows.labels[order],
            rows.items[order],
            rows.unlabeled_logits[order][:, columns],
            rows.unlabeled_items[order][:, columns],
            rows.mask[order][:, columns],
            rows.users[order],
        )
        assert (self.make()(rows) - self.make()(other)).abs() < 1e-12

    def test_masked_entries_teach_nothing(self) -> None:
        """Logits and items where there is no unlabeled item change nothing and get no gradient."""
        rows = self.moderate()
        mask = rows.unlabeled_items % 3 != 0
        mask[1] = False
        rows = rows._replace(mask=mask)
        loss = self.make()(rows)
        loss.backward()
        assert rows.unlabeled_logits.grad is not None
        assert not rows.unlabeled_logits.grad[~mask].any()
        other = rows._replace(
            unlabeled_logits=rows.unlabeled_logits.where(mask, 7.5),
            unlabeled_items=rows.unlabeled_items.where(mask, 0),
        )
        assert (self.make()(other) - loss).abs() < 1e-12

    def test_full_mask_is_no_mask(self) -> None:
        """A mask that is True everywhere gives the loss without one."""
        rows = self.moderate()
        masked = rows._replace(mask=torch.ones_like(rows.unlabeled_items, dtype=torch.bool))
        assert (self.make()(masked) - self.make()(rows)).abs() < 1e-12

    def test_empty_groups_are_finite(self) -> None:
        """Batches without positives, negatives or unlabeled items have finite gradients."""
        for label in (0.0, 1.0):
            for share in (False, True):
                rows = self.moderate()
                mask = torch.full_like(rows.unlabeled_items, share, dtype=torch.bool)
                labels = torch.full_like(rows.labels, label)
                loss = self.make()(rows._replace(labels=labels, mask=mask))
                assert loss.isfinite()
                loss.backward()
                for leaf in (rows.logits, rows.unlabeled_logits):
                    assert leaf.grad is None or leaf.grad.isfinite().all()

    def test_true_labels_cost_less(self) -> None:
        """Positives above all other pairs have a smaller loss than below them."""
        rows = self.moderate()
        towards = 4 * rows.labels - 2
        right = rows._replace(
            logits=towards, unlabeled_logits=torch.full_like(rows.unlabeled_logits, -2.0)
        )
        wrong = right._replace(logits=-towards, unlabeled_logits=-right.unlabeled_logits)
        assert self.make()(right) < self.make()(wrong)

    def test_rows_stay_as_they_are(self) -> None:
        """The loss changes nothing in its input."""
        rows = self.moderate()
        before = [part.detach().clone() for part in rows if part is not None]
        self.make()(rows)
        after = [part for part in rows if part is not None]
        assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))
