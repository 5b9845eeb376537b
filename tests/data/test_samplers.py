from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.data.samplers import (
    ItemWeightSampler,
    KnownPairs,
    PopularitySampler,
    UniformSampler,
    item_weight,
)
from invlightning.data.samplers.item_weight import quantize_weights
from invlightning.testing import SamplerTests
from tests.helpers.known import facts_of
from tests.reference.samplers import chi_square, popularity_weights, unlabeled_distribution


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pairs_of(known):
    users, items = torch.as_tensor(known).nonzero(as_tuple=True)
    shuffled = torch.randperm(users.numel(), generator=generator())
    return KnownPairs.from_pairs(users[shuffled], items[shuffled], *known.shape)


class ListedWeights(ItemWeightSampler):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def item_weights(self, item_counts):
        return torch.tensor(self.weights, dtype=torch.float64)


class TestUniformSampler(SamplerTests):
    sampler = UniformSampler


class TestPopularitySampler(SamplerTests):
    sampler = partial(PopularitySampler, beta=0.5)


@st.composite
def catalogues(draw):
    num_users, num_items = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    density = draw(st.sampled_from([0.0, 0.2, 0.7, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    known = rng.random((num_users, num_items)) < density
    known[rng.random(num_users) < 0.2] = True
    weights = rng.choice([0.0, 0.0, 1e-9, 1.0, 3.0, 1e6], size=num_items)
    weights[rng.integers(num_items)] = 1.0
    return known, weights.tolist()


def assert_draws_exactly_from_the_complement(sampler, known, weights, seed):
    sampler.start_fit(facts_of(pairs_of(known)))
    users = torch.arange(known.shape[0]).repeat_interleave(40)
    items = sampler.sample(users, known.shape[1], generator(seed))
    assert items.dtype == torch.int64
    assert items.shape == (users.numel(), known.shape[1])
    possible = torch.from_numpy(unlabeled_distribution(known, weights) > 0)
    saturated = ~possible.any(dim=1)[users]
    assert sampler.has_saturated_users == bool(saturated.any())
    assert (items[saturated] == -1).all()
    rest = items[~saturated]
    assert ((rest >= 0) & (rest < known.shape[1])).all()
    assert possible[users[~saturated, None], rest].all()


@settings(deadline=None, max_examples=60)
@given(catalogues(), st.integers(0, 2**40))
def test_draws_exactly_from_the_complement(catalogue, seed):
    known, weights = catalogue
    assert_draws_exactly_from_the_complement(UniformSampler(), known, np.ones(known.shape[1]), seed)
    assert_draws_exactly_from_the_complement(ListedWeights(weights), known, np.array(weights), seed)
    if known.any():
        assert_draws_exactly_from_the_complement(
            PopularitySampler(), known, popularity_weights(known, 0.75), seed
        )


@settings(deadline=None, max_examples=60)
@given(catalogues(), st.integers(0, 2**40))
def test_small_integer_weights_meet_every_boundary(catalogue, seed):
    """Quantized weights are so large that a draw hardly ever falls on a boundary; these do."""
    known, weights = catalogue
    weights = np.minimum(np.ceil(weights), 2)
    with mock.patch.object(item_weight, "quantize_weights", lambda weights, _: weights.long()):
        assert_draws_exactly_from_the_complement(
            ListedWeights(weights.tolist()), known, weights, seed
        )


@pytest.mark.parametrize("beta", [None, 0.0, 0.75, 1.0])
def test_distribution_is_that_of_the_oracle(beta):
    rng = np.random.default_rng(1)
    known = rng.random((5, 14)) < np.linspace(0.05, 0.8, 14)
    known[:, 3], known[1], known[1, [2, 13]] = False, True, False
    sampler = UniformSampler() if beta is None else PopularitySampler(beta)
    sampler.start_fit(facts_of(pairs_of(known)))
    weights = np.ones(14) if beta is None else popularity_weights(known, beta)
    expected = unlabeled_distribution(known, weights)
    users = torch.arange(5).repeat_interleave(20_000)
    items = sampler.sample(users, 2, generator(3)).view(5, -1)
    for user in range(5):
        counts = torch.bincount(items[user], minlength=14).numpy()
        statistic, freedom = chi_square(counts, expected[user])
        # The normal approximation of chi-square at five standard deviations.
        assert statistic < freedom + 5 * np.sqrt(2 * freedom)


def test_columns_and_rows_are_independent_draws():
    sampler = UniformSampler()
    sampler.start_fit(facts_of(pairs_of(np.zeros((2, 4), dtype=bool))))
    items = sampler.sample(torch.zeros(40_000, dtype=torch.int64), 2, generator())
    pairs = torch.bincount(items[:, 0] * 4 + items[:, 1], minlength=16).numpy()
    statistic, freedom = chi_square(pairs, np.full(16, 1 / 16))
    assert statistic < freedom + 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("sampler", [UniformSampler(), PopularitySampler(1.0)])
def test_huge_catalogue_is_exact(sampler):
    num_users, num_items = 10_000_000, 5_000_000
    users = torch.tensor([0, 0, 5_000_000, num_users - 1, num_users - 1, num_users - 1])
    items = torch.tensor([0, num_items - 1, 7, 0, 1, num_items - 1])
    known = KnownPairs.from_pairs(users, items, num_users, num_items)
    sampler.start_fit(facts_of(known))
    batch = torch.tensor([0, 1, 4_999_999, 5_000_000, 5_000_001, num_users - 1]).repeat(500)
    drawn = sampler.sample(batch, 4, generator())
    assert not known.contains(batch[:, None], drawn).any()
    if isinstance(sampler, UniformSampler):
        assert ((drawn >= 0) & (drawn < num_items)).all()
        means = drawn.view(500, 6, 4).double().mean((0, 2))
        assert (means / num_items - 0.5).abs().max() < 0.05
    else:
        # Only items 0, 1, 7 and the last are popular; the last user knows all but item 7.
        assert set(drawn.unique().tolist()) == {0, 1, 7, num_items - 1}
        assert (drawn.view(500, 6, 4)[:, -1] == 7).all()
        shares = torch.bincount(drawn.view(500, 6, 4)[:, 1].flatten(), minlength=8)[[0, 1, 7]]
        assert torch.allclose(shares / 2000, torch.tensor([2.0, 1.0, 1.0]) / 6, atol=0.06)


@pytest.mark.parametrize("sampler", [UniformSampler(), PopularitySampler(0.0)])
def test_keys_beyond_32_bits_are_exact(sampler):
    num_users, free = 3_000_000, torch.tensor([0, 500, 999])
    full = torch.arange(1000)[~torch.isin(torch.arange(1000), free)]
    picked = torch.tensor([0, 2_147_483, 2_147_484, num_users - 1])
    users, items = picked.repeat_interleave(len(full)), full.repeat(len(picked))
    sampler.start_fit(facts_of(KnownPairs.from_pairs(users, items, num_users, 1000)))
    drawn = sampler.sample(picked.repeat_interleave(50), 2, generator())
    assert torch.equal(drawn.unique(), free)


def test_user_who_knows_every_weighted_item_draws_none():
    sampler = ListedWeights([0.0, 1.0, 0.0, 2.0, 0.0])
    known = np.zeros((3, 5), dtype=bool)
    known[1, [1, 3, 4]] = True
    sampler.start_fit(facts_of(pairs_of(known)))
    items = sampler.sample(torch.tensor([1, 0, 1, 2]), 3, generator())
    assert sampler.has_saturated_users
    assert (items[[0, 2]] == -1).all()
    assert torch.isin(items[[1, 3]], torch.tensor([1, 3])).all()


def test_tables_move_with_the_module_and_stay_out_of_checkpoints():
    for sampler in (UniformSampler(), PopularitySampler()):
        sampler.start_fit(facts_of(pairs_of(np.eye(4, dtype=bool))))
        assert sampler.state_dict() == {}
        assert all(table.is_meta for table in sampler.to("meta").buffers())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-300, 1e300)), min_size=1, max_size=20),
    st.integers(1, 10_000_000),
)
def test_quantized_weights_keep_zeros_and_shares(weights, num_users):
    weights = torch.tensor([*weights, 1.0], dtype=torch.float64)
    integers = quantize_weights(weights, num_users)
    total = int(integers.sum())
    assert total * num_users < 2**62
    assert torch.equal(integers > 0, weights > 0)
    assert (integers.double() / total - weights / weights.sum()).abs().max() < 25 / total


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [float("inf")]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="finite, non-negative and not all 0"):
        ListedWeights(weights).start_fit(
            facts_of(pairs_of(np.zeros((1, len(weights)), dtype=bool)))
        )


@pytest.mark.parametrize("beta", [-0.5, float("nan"), float("inf")])
def test_bad_beta_is_refused(beta):
    with pytest.raises(ValueError, match="beta must be"):
        PopularitySampler(beta)


def test_errors_say_what_was_found():
    sampler = UniformSampler()
    users = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="UniformSampler knows no pairs yet: call start_fit"):
        sampler.sample(users, 1, generator())
    sampler.start_fit(facts_of(pairs_of(np.zeros((1, 3), dtype=bool))))
    with pytest.raises(ValueError, match=r"more candidates than items: num_unlabeled is 4 .* 3"):
        sampler.sample(users, 4, generator())


@settings(deadline=None, max_examples=40)
@given(catalogues(), st.booleans())
def test_known_pairs_against_a_dense_table(catalogue, narrow):
    known, _ = catalogue
    users, items = torch.from_numpy(known).nonzero(as_tuple=True)
    repeated = torch.cat([users, users.flip(0)]), torch.cat([items, items.flip(0)])
    dtype = torch.int32 if narrow else torch.int64
    pairs = KnownPairs.from_pairs(*(column.to(dtype) for column in repeated), *known.shape)
    assert torch.equal(pairs.users(), users)
    assert torch.equal(pairs.items.long(), items)
    assert pairs.item_counts.tolist() == known.sum(axis=0).tolist()
    assert pairs.indptr.diff().tolist() == known.sum(axis=1).tolist()
    everyone, everything = torch.arange(known.shape[0]), torch.arange(known.shape[1])
    table = pairs.contains(everyone[:, None], everything[None, :])
    assert table.tolist() == known.tolist()
    wanted = [known.shape[0] - 1, 0]
    rows, found = pairs.gather(torch.tensor(wanted))
    listed = [
        (row, item) for row, user in enumerate(wanted) for item in np.flatnonzero(known[user])
    ]
    assert list(zip(rows.tolist(), found.tolist(), strict=True)) == listed


@pytest.mark.parametrize(
    ("users", "items", "sizes", "message"),
    [
        ([0, 3], [0, 0], (3, 2), "users must be indices in 0..2, found 0..3"),
        ([0, 1], [0, -1], (3, 2), "items must be indices in 0..1, found -1..0"),
        ([0, 1], [0], (3, 2), "columns of one length"),
        ([], [], (0, 2), "found 0 users and 2 items"),
        ([], [], (2**31, 2**30), "a product below"),
    ],
)
def test_known_pairs_refuse_bad_input(users, items, sizes, message):
    columns = (torch.tensor(column, dtype=torch.int64) for column in (users, items))
    with pytest.raises(ValueError, match=message):
        KnownPairs.from_pairs(*columns, *sizes)
