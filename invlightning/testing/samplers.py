"""Conformance suite of the samplers."""

import copy
import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import Draw, NegativeSampler
from invlightning.specs import to_spec
from invlightning.testing.modules import assert_same_facts
from invlightning.types import LabeledBatch, TrainingFacts

USERS, ITEMS, REPEATS, SATURATED = 30, 40, 20, 3


class SamplerTests:
    """Conformance suite of :class:`NegativeSampler`, collected by pytest in a subclass.

    Every test looks at both ways to draw: ``sample``, which knows the users alone, and ``draw``,
    which training calls with a batch, a model and the epoch. Example::

        class TestMySampler(SamplerTests):
            sampler = MySampler

    Attributes:
        sampler: The class or a factory, called without arguments.
        draws_true_negatives: True for a sampler whose ``draw`` may return labeled negatives.
    """

    sampler: Callable[[], NegativeSampler]
    draws_true_negatives: bool = False

    def make_sampler(self) -> NegativeSampler:
        """Returns a new sampler that knows no pairs."""
        # From the class: a function would become a method of this suite.
        factory: Callable[[], NegativeSampler] = inspect.getattr_static(type(self), "sampler")
        return factory()

    def make_pairs(self, saturated: bool = False) -> KnownPairs:
        """Returns random known pairs of 30 users and 40 items.

        Args:
            saturated: User 3 knows every item, otherwise nobody does.
        """
        return _pairs(_known(saturated))

    def make_negatives(self, saturated: bool = False) -> KnownPairs:
        """Returns the labeled negatives, a third of the known pairs; user 3 has none."""
        known = _known(saturated)
        known &= torch.arange(USERS * ITEMS).view(USERS, ITEMS) % 3 == 0
        known[SATURATED] = False
        return _pairs(known)

    def make_facts(self, saturated: bool = False) -> TrainingFacts:
        """Returns the known pairs as training rows, the negatives with label 0."""
        known = self.make_pairs(saturated)
        users, items = known.users(), known.items.long()
        negative = self.make_negatives(saturated).contains(users, items)
        return TrainingFacts(users, items, (~negative).float(), USERS, ITEMS)

    def make_exposed_facts(self) -> TrainingFacts:
        """Returns the same pairs, half of the positive ones without a label, as exposed rows."""
        facts = self.make_facts()
        exposed = (facts.labels > 0) & (torch.arange(len(facts.labels)) % 2 > 0)
        return facts._replace(
            users=facts.users[~exposed],
            items=facts.items[~exposed],
            labels=facts.labels[~exposed],
            exposed_users=facts.users[exposed],
            exposed_items=facts.items[exposed],
        )

    def make_batch(self) -> LabeledBatch:
        """Returns 600 labeled rows, 20 of each user, two thirds of them positive."""
        users = torch.arange(USERS).repeat_interleave(REPEATS)
        rows = torch.arange(len(users))
        return LabeledBatch(users, rows % ITEMS, (rows % 3 > 0).float())

    def fitted(self, saturated: bool = False) -> NegativeSampler:
        """Returns a sampler that knows the pairs."""
        return self._fit(self.make_sampler(), saturated)

    def _fit(self, sampler: NegativeSampler, saturated: bool = False) -> NegativeSampler:
        sampler.start_fit(self.make_facts(saturated))
        return sampler

    def _sample(self, sampler: NegativeSampler, seed: int, num_unlabeled: int = 7) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return sampler.sample(self.make_batch().users, num_unlabeled, generator)

    def _draw(self, sampler: NegativeSampler, seed: int, num_unlabeled: int = 7) -> Tensor:
        """Draws for a batch in a late epoch."""
        generator = torch.Generator().manual_seed(seed)
        return sampler.draw(self.make_batch(), Draw(num_unlabeled, generator, _score, epoch=9))

    def _ways(self) -> tuple[Callable[..., Tensor], ...]:
        return self._sample, self._draw

    def _forbidden(self, way: Callable[..., Tensor], items: Tensor, saturated: bool) -> Tensor:
        """Which of the drawn items are known pairs that this way must not return."""
        users = self.make_batch().users.unsqueeze(1)
        forbidden = self.make_pairs(saturated).contains(users, items)
        if self.draws_true_negatives and way == self._draw:
            forbidden &= ~self.make_negatives(saturated).contains(users, items)
        return forbidden

    def test_draws_unlabeled_items_of_the_right_shape(self) -> None:
        """Items are int64 ``(B, K)`` in the catalogue and never known pairs."""
        sampler = self.fitted()
        for way in self._ways():
            items = way(sampler, seed=1)
            assert items.shape == (USERS * REPEATS, 7)
            assert items.dtype == torch.int64
            assert ((items >= 0) & (items < ITEMS)).all()
            assert not self._forbidden(way, items, saturated=False).any()
        assert not sampler.has_saturated_users

    def test_draws_depend_on_the_generator_alone(self) -> None:
        """Equal seeds and states give equal draws, other seeds others; no global generator."""
        for way in self._ways():
            sampler = self.fitted()
            learned, state = copy.deepcopy(sampler.state_dict()), torch.get_rng_state()
            items = way(sampler, seed=1)
            sampler.load_state_dict(learned)
            assert torch.equal(items, way(sampler, seed=1))
            sampler.load_state_dict(learned)
            assert not torch.equal(items, way(sampler, seed=2))
            assert torch.equal(state, torch.get_rng_state())

    def test_what_was_learned_goes_through_a_checkpoint(self) -> None:
        """A fresh sampler with the loaded state draws as the one that was saved."""
        sampler, fresh = self.fitted(), self.fitted()
        self._draw(sampler, seed=1)
        fresh.load_state_dict(copy.deepcopy(sampler.state_dict()))
        assert torch.equal(self._draw(fresh, seed=2), self._draw(sampler, seed=2))

    def test_drawing_leaves_the_batch_alone(self) -> None:
        """The labeled rows stay as they are, and draws carry no graph."""
        batch, sampler = self.make_batch(), self.fitted()
        kept = copy.deepcopy(batch)
        items = sampler.draw(batch, Draw(7, torch.Generator().manual_seed(1), _score, epoch=9))
        for name in ("users", "items", "labels"):
            assert torch.equal(getattr(batch, name), getattr(kept, name))
        assert not items.requires_grad

    def test_user_who_knows_every_item_draws_none(self) -> None:
        """Such a user gets -1, all others get items, and the sampler says so."""
        for way in self._ways():
            sampler = self.fitted(saturated=True)
            items = way(sampler, seed=1)
            is_saturated = self.make_batch().users == SATURATED
            assert sampler.has_saturated_users
            assert (items[is_saturated] == -1).all()
            assert (items[~is_saturated] >= 0).all()
            assert not self._forbidden(way, items, saturated=True)[~is_saturated].any()

    def test_second_fit_replaces_the_first(self) -> None:
        """Nothing of earlier pairs remains."""
        for way in self._ways():
            sampler = self._fit(self.fitted(saturated=True))
            assert not sampler.has_saturated_users
            assert torch.equal(way(sampler, seed=1), way(self.fitted(), seed=1))

    def test_exposed_pairs_are_known(self) -> None:
        """A pair that was seen and never judged is not drawn, as if it had a label."""
        for way in self._ways():
            sampler = self.make_sampler()
            sampler.start_fit(self.make_exposed_facts())
            items = way(sampler, seed=1)
            assert not self._forbidden(way, items, saturated=False).any()

    def test_the_facts_stay_as_they_are(self) -> None:
        """Others are shown them, too."""
        facts = self.make_exposed_facts()
        kept = copy.deepcopy(facts)
        self.make_sampler().start_fit(facts)
        assert_same_facts(facts, kept)

    def test_refuses_what_it_cannot_draw(self) -> None:
        """Drawing before ``start_fit``, no draw a row and more draws than items are errors."""
        for way in self._ways():
            _assert_raises(RuntimeError, way, self.make_sampler(), 1)
            _assert_raises(ValueError, way, self.fitted(), 0)
            _assert_raises(ValueError, way, self.fitted(), ITEMS + 1)

    def test_has_a_plain_description(self) -> None:
        """Checkpoints describe the sampler by its class and arguments."""
        spec = to_spec(self.make_sampler())
        assert spec["class_path"].rpartition(".")[2] == type(self.make_sampler()).__qualname__


def _known(saturated: bool) -> Tensor:
    """``(30, 40)`` True where a user knows an item; user 4 knows none."""
    known = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.5
    known[SATURATED], known[SATURATED + 1] = saturated, False
    return known


def _pairs(known: Tensor) -> KnownPairs:
    users, items = known.nonzero(as_tuple=True)
    return KnownPairs.from_pairs(users, items, USERS, ITEMS)


def _score(users: Tensor, items: Tensor) -> Tensor:
    """Fixed scores that are hardly ever equal; like an embedding, none at -1."""
    assert (items >= 0).all()
    return torch.sin(users * 12.9898 + items * 78.233 + 1)


def _assert_raises(
    error: type[Exception],
    way: Callable[..., Tensor],
    sampler: NegativeSampler,
    num_unlabeled: int,
) -> None:
    try:
        way(sampler, 0, num_unlabeled)
    except error:
        return
    raise AssertionError(f"num_unlabeled={num_unlabeled} did not raise {error.__name__}")
