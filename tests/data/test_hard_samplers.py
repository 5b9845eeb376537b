"""Samplers that look beyond the users: exclusion, state, errors."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import invlightning as il
from invlightning.data import (
    AdaptiveHardnessSampler,
    AdaptiveOversampler,
    BayesianSampler,
    Draw,
    DynamicSampler,
    InBatchSampler,
    PositiveResampler,
    ReinforcedSampler,
    RobustSampler,
)
from invlightning.data.samplers import hard
from invlightning.testing import SamplerTests
from invlightning.types import LabeledBatch
from tests.helpers.hard_draws import LEARNING, SAMPLERS, fixed_score, generator
from tests.helpers.known import facts_of, pairs_of


def fit(sampler, known, negative):
    """Fits to (U, I) tables of known pairs and of the negatives among them."""
    sampler.start_fit(facts_of(pairs_of(known), pairs_of(negative)))
    return sampler


def batch_of(known, negative, repeats=3):
    """Every labeled pair, several times."""
    users, items = torch.as_tensor(known).repeat(repeats, 1).nonzero(as_tuple=True)
    users = users % len(known)
    labels = 1 - torch.as_tensor(negative)[users, items].float()
    return LabeledBatch(users, items, labels)


class TestDynamicSampler(SamplerTests):
    sampler = partial(DynamicSampler, num_candidates=40, top=10)


class TestAdaptiveOversampler(SamplerTests):
    sampler = partial(AdaptiveOversampler, num_candidates=40)


class TestAdaptiveHardnessSampler(SamplerTests):
    sampler = AdaptiveHardnessSampler


class TestBayesianSampler(SamplerTests):
    sampler = partial(BayesianSampler, num_candidates=10, num_references=20)


class TestInBatchSampler(SamplerTests):
    sampler = InBatchSampler


class TestRobustSampler(SamplerTests):
    sampler = partial(RobustSampler, memory_size=8, num_fresh=16)


class TestReinforcedSampler(SamplerTests):
    draws_true_negatives = True

    sampler = ReinforcedSampler


@st.composite
def worlds(draw):
    """Known pairs, and negatives among them, of a few users and ten items."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    known = rng.random((draw(st.integers(1, 5)), 10)) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    known[rng.random(len(known)) < 0.2] = True
    known[0, 0] = True
    negative = known & (rng.random(known.shape) < 0.4)
    return known, negative


@pytest.mark.parametrize("name", SAMPLERS)
@settings(deadline=None, max_examples=15)
@given(world=worlds(), seed=st.integers(0, 2**40))
def test_known_pairs_are_never_drawn(name, world, seed):
    """Nor is anything but an item; users who know all get -1; over several batches and epochs."""
    known, negative = world
    if name == "rns":
        negative[0, 0] = True
    sampler = fit(SAMPLERS[name](), known, negative)
    batch = batch_of(known, negative)
    allowed = torch.from_numpy(~known | negative if name == "rns" else ~known)
    full = torch.from_numpy(known.all(1))[batch.users]
    assert sampler.has_saturated_users == bool(known.all(1).any())
    for epoch in range(3):
        items = sampler.draw(batch, Draw(2, generator(seed + epoch), fixed_score, epoch))
        assert items.shape == (len(batch.users), 2)
        assert items.dtype == torch.int64
        assert (items[full] == -1).all()
        assert (items[~full] >= 0).all()
        assert allowed[batch.users[~full, None], items[~full]].all()


@pytest.fixture
def world():
    rng = np.random.default_rng(5)
    known = rng.random((40, 10)) < 0.5
    known[:, 0], known[:, 1] = True, False
    return known, known & (rng.random(known.shape) < 0.4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_draws_depend_on_state_and_generator_alone(name, world):
    """A copy with the state goes on as the original; other seeds draw others."""
    batch = batch_of(*world)
    sampler = fit(SAMPLERS[name](), *world)
    before = torch.get_rng_state()
    for epoch in range(3):
        sampler.draw(batch, Draw(2, generator(epoch), fixed_score, epoch))
    twin = fit(SAMPLERS[name](), *world)
    twin.load_state_dict(sampler.state_dict())
    other = fit(SAMPLERS[name](), *world)
    other.load_state_dict(sampler.state_dict())
    for epoch in (3, 4):
        items = sampler.draw(batch, Draw(2, generator(epoch), fixed_score, epoch))
        assert torch.equal(items, twin.draw(batch, Draw(2, generator(epoch), fixed_score, epoch)))
        assert not torch.equal(items, other.draw(batch, Draw(2, generator(9), fixed_score, epoch)))
    for key, value in sampler.state_dict().items():
        assert torch.equal(twin.state_dict()[key], value)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", SAMPLERS)
def test_only_what_is_learned_is_in_checkpoints(name, world):
    sampler = fit(SAMPLERS[name](), *world)
    state = {key: value.clone() for key, value in sampler.state_dict().items()}
    assert bool(state) == (name in LEARNING)
    sampler.draw(batch_of(*world), Draw(1, generator(), fixed_score, 0))
    assert all(not torch.equal(value, state[key]) for key, value in sampler.state_dict().items())
    again = fit(sampler, *world)
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())
    assert all(table.is_meta for table in sampler.to("meta").buffers())


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "in_batch"])
def test_draws_are_uniform_before_the_start(name, world):
    sampler = fit(SAMPLERS[name](), *world)
    sampler.start_epoch = 2
    batch = batch_of(*world)
    uniform = sampler.sample(batch.users, 2, generator())
    for epoch, equal in ((0, True), (1, True), (2, False)):
        items = sampler.draw(batch, Draw(2, generator(), fixed_score, epoch))
        assert torch.equal(items, uniform) == equal


def test_start_epoch_is_an_argument_of_all():
    for make in SAMPLERS.values():
        if not isinstance(make(), InBatchSampler):
            assert type(make())(start_epoch=3).start_epoch == 3


@pytest.mark.parametrize("name", ["ahns", "bns", "srns"])
def test_rows_of_true_negatives_have_no_positive_to_compare_with(name, world):
    """Their draws do not depend on the scores."""
    known, negative = world
    sampler = SAMPLERS[name]()
    batch = batch_of(known, negative)
    drawn = [
        fit(sampler, known, negative).draw(batch, Draw(2, generator(), score, 0))
        for score in (fixed_score, lambda users, items: -fixed_score(users, items))
    ]
    differ = (drawn[0] != drawn[1]).any(1)
    assert not differ[batch.labels == 0].any()
    assert differ[batch.labels == 1].any()


def test_scores_of_blocks_are_those_of_all_rows(monkeypatch):
    """Also where blocks are ragged, smaller than a row, or there is no row."""
    users, items = torch.arange(7), torch.arange(21).view(7, 3)
    expected = fixed_score(users.unsqueeze(1), items)
    for block in (1, 6, 7, 100):
        monkeypatch.setattr(hard, "_BLOCK", block)
        assert torch.equal(hard.score_blocks(fixed_score, users.unsqueeze(1), items), expected)
        assert torch.equal(hard.score_blocks(fixed_score, users, items[:, 0]), expected[:, 0])
    assert hard.score_blocks(fixed_score, users[:0].unsqueeze(1), items[:0]).shape == (0, 3)
    assert hard.score_blocks(fixed_score, users[:1], items[:1, :1] - 1) == expected[0, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DynamicSampler(num_candidates=0), "num_candidates must be at least 1, found 0"),
        (lambda: DynamicSampler(5, top=6), r"top must be in 1..num_candidates \(5\), found 6"),
        (lambda: DynamicSampler(start_epoch=-1), "start_epoch must be at least 0"),
        (lambda: AdaptiveOversampler(rank_share=0.0), "rank_share must be above 0, found 0.0"),
        (lambda: AdaptiveHardnessSampler(beta=float("nan")), "beta must be above 0, found nan"),
        (lambda: AdaptiveHardnessSampler(power=-1.0), "power must be below -1, found -1.0"),
        (lambda: BayesianSampler(num_references=0), "num_references must be at least 1"),
        (lambda: BayesianSampler(weight=-1.0), "weight must be at least 0"),
        (lambda: InBatchSampler(num_tries=0), "num_tries must be at least 1"),
        (lambda: RobustSampler(memory_size=0), "memory_size must be at least 1"),
        (lambda: RobustSampler(temperature=0.0), "temperature must be above 0"),
        (lambda: ReinforcedSampler(num_candidates=1), "num_candidates must be at least 2"),
        (lambda: PositiveResampler(temperature=-1.0), "temperature must be above 0"),
    ],
)
def test_bad_arguments_of_hard_samplers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "in_batch"])
def test_more_candidates_than_items_are_refused(name, world):
    facts = facts_of(pairs_of(world[0][:, :7]))
    with pytest.raises(ValueError, match=r"more candidates than items: \w+ compares 8 items a row"):
        SAMPLERS[name]().start_fit(facts)


def test_more_than_there_is_to_choose_from_is_refused(world):
    for sampler, message in [
        (DynamicSampler(3), "num_unlabeled is 4 but num_candidates is 3: raise num_candidates"),
        (DynamicSampler(8, top=2), "num_unlabeled is 4 but top is 2"),
        (AdaptiveHardnessSampler(3), "num_candidates is 3"),
        (BayesianSampler(3, 5), "num_candidates is 3"),
        (RobustSampler(3, 5), "memory_size is 3"),
    ]:
        fit(sampler, *world)
        with pytest.raises(ValueError, match=message):
            sampler.draw(batch_of(*world), Draw(4, generator(), fixed_score, 0))


def test_reinforced_sampler_needs_true_negatives(world):
    sampler = fit(ReinforcedSampler(8), *world)
    with pytest.raises(ValueError, match="no training row is labeled negative"):
        sampler.start_fit(facts_of(pairs_of(world[0])))
    users, items = np.divmod(np.random.default_rng(0).permutation(600)[:200], 30)
    data = il.ArrayDataModule(users, items, sampler=sampler)
    with pytest.raises(ValueError, match="no training row is labeled negative: set positive_thres"):
        data.setup()
