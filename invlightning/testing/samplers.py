"""Conformance suite of the samplers."""

from abc import ABC, abstractmethod

import torch

from invlightning.data.samplers.base import NegativeSampler
from invlightning.data.samplers.known_pairs import KnownPairs
from invlightning.specs import to_spec


class SamplerTests(ABC):
    """Conformance suite of :class:`NegativeSampler`, collected by pytest in a subclass.

    Example::

        class TestMySampler(SamplerTests):
            def make_sampler(self) -> NegativeSampler:
                return MySampler()
    """

    @abstractmethod
    def make_sampler(self) -> NegativeSampler:
        """Returns a new sampler that is not fitted."""

    def make_pairs(self, saturated: bool = False) -> KnownPairs:
        """Returns random known pairs of 30 users and 40 items.

        Args:
            saturated: User 3 knows every item, otherwise nobody does.
        """
        known = torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) < 0.5
        known[3], known[4] = saturated, False
        users, items = known.nonzero(as_tuple=True)
        return KnownPairs.from_pairs(users, items, 30, 40)

    def _draw(self, sampler: NegativeSampler, seed: int, num_unlabeled: int = 7) -> torch.Tensor:
        users = torch.arange(30).repeat_interleave(20)
        generator = torch.Generator().manual_seed(seed)
        return sampler.sample(users, num_unlabeled, generator)

    def test_draws_unlabeled_items_of_the_right_shape(self) -> None:
        """Items are int64 ``(B, K)`` in the catalogue and never known pairs."""
        sampler, pairs = self.make_sampler(), self.make_pairs()
        sampler.fit(pairs)
        items = self._draw(sampler, seed=1)
        assert items.shape == (600, 7)
        assert items.dtype == torch.int64
        assert ((items >= 0) & (items < 40)).all()
        assert not pairs.contains(torch.arange(30).repeat_interleave(20)[:, None], items).any()
        assert not sampler.has_saturated_users

    def test_draws_depend_on_the_generator_alone(self) -> None:
        """Equal seeds give equal draws, other seeds others; the global generator is not used."""
        sampler = self.make_sampler()
        sampler.fit(self.make_pairs())
        state = torch.get_rng_state()
        items = self._draw(sampler, seed=1)
        assert torch.equal(items, self._draw(sampler, seed=1))
        assert not torch.equal(items, self._draw(sampler, seed=2))
        assert torch.equal(state, torch.get_rng_state())

    def test_user_who_knows_every_item_draws_none(self) -> None:
        """Such a user gets -1, all others get items, and the sampler says so."""
        sampler, pairs = self.make_sampler(), self.make_pairs(saturated=True)
        sampler.fit(pairs)
        items = self._draw(sampler, seed=1).view(30, -1)
        assert sampler.has_saturated_users
        assert (items[3] == -1).all()
        others = torch.arange(30) != 3
        assert (items[others] >= 0).all()
        assert not pairs.contains(torch.arange(30)[others, None], items[others]).any()

    def test_second_fit_replaces_the_first(self) -> None:
        """Nothing of earlier pairs remains."""
        sampler, fresh = self.make_sampler(), self.make_sampler()
        sampler.fit(self.make_pairs(saturated=True))
        sampler.fit(self.make_pairs())
        fresh.fit(self.make_pairs())
        assert not sampler.has_saturated_users
        assert torch.equal(self._draw(sampler, seed=1), self._draw(fresh, seed=1))

    def test_refuses_what_it_cannot_draw(self) -> None:
        """Drawing before ``fit``, no draw a row and more draws than items are errors."""
        sampler = self.make_sampler()
        self._assert_raises(RuntimeError, sampler, 1)
        sampler.fit(self.make_pairs())
        self._assert_raises(ValueError, sampler, 0)
        self._assert_raises(ValueError, sampler, 41)

    def _assert_raises(
        self, error: type[Exception], sampler: NegativeSampler, num_unlabeled: int
    ) -> None:
        try:
            self._draw(sampler, 0, num_unlabeled)
        except error:
            return
        raise AssertionError(f"num_unlabeled={num_unlabeled} did not raise {error.__name__}")

    def test_has_a_plain_description(self) -> None:
        """Checkpoints describe the sampler by its class and arguments."""
        spec = to_spec(self.make_sampler())
        assert spec["class_path"].rpartition(".")[2] == type(self.make_sampler()).__qualname__
