"""Samplers that look beyond the users: their distributions against naive oracles."""

import numpy as np
import pytest
import torch

from invlightning.data import (
    AdaptiveHardnessSampler,
    AdaptiveOversampler,
    BayesianSampler,
    Draw,
    DynamicSampler,
    InBatchSampler,
    PositiveResampler,
)
from invlightning.types import LabeledBatch
from tests.helpers.hard_distributions import (
    ITEMS,
    KNOWN,
    POSITIVES,
    ROWS,
    SCORES,
    assert_distribution,
    assert_drawn_as,
    batch_of,
    fit,
    generator,
    score,
)
from tests.helpers.known import facts_of, pairs_of
from tests.reference import hard_samplers as oracle


@pytest.mark.parametrize("top", [None, 1, 2, 3])
def test_dynamic(top):
    sampler = fit(DynamicSampler(num_candidates=4, top=top))
    assert_drawn_as(sampler, lambda user: oracle.highest(SCORES[user], top or 1), size=4)


def test_dynamic_draws_distinct_ones_of_the_top():
    """Two of two are always both, in any order; without ``top`` they are the two highest."""
    batch = batch_of(0, rows=2000)
    expected = None
    for top in (None, 2):
        items = fit(DynamicSampler(4, top)).draw(batch, Draw(2, generator(), score, 0))
        ordered = items.sort(dim=1).values
        assert expected is None or torch.equal(ordered, expected)
        expected = ordered
    assert_distribution(
        (items[:, 0] < items[:, 1]).long()[items[:, 0] != items[:, 1]], np.full(2, 0.5)
    )


@pytest.mark.parametrize("rank_share", [0.1, 0.5, 3.0])
def test_adaptive_oversampler(rank_share):
    sampler = fit(AdaptiveOversampler(num_candidates=4, rank_share=rank_share))

    def choose(user):
        return oracle.geometric_rank(SCORES[user], rank_share)

    assert_drawn_as(sampler, choose, size=4, num_unlabeled=2)


@pytest.mark.parametrize(("alpha", "beta", "power"), [(0.8, 0.5, -2.0), (3.0, 0.2, -3.0)])
def test_adaptive_hardness(alpha, beta, power):
    sampler = fit(AdaptiveHardnessSampler(4, alpha, beta, power))

    def choose(user):
        return oracle.nearest(SCORES[user], SCORES[user, POSITIVES[user]], alpha, beta, power)

    assert_drawn_as(sampler, choose, size=4)


@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_adaptive_hardness_of_a_hopeless_positive_is_the_highest(shift):
    """At s + a = 0 and below."""
    for user in (0, 1):
        alpha = shift - float(SCORES[user, POSITIVES[user]].astype(np.float32))
        batch = batch_of(user)
        items = fit(AdaptiveHardnessSampler(4, alpha)).draw(batch, Draw(1, generator(), score, 0))
        highest = fit(DynamicSampler(4)).draw(batch, Draw(1, generator(), score, 0))
        assert torch.equal(items, highest)


@pytest.mark.parametrize("weight", [0.0, 5.0])
@pytest.mark.parametrize("with_negatives", [False, True])
def test_bayesian(weight, with_negatives):
    """Popularity counts the positives of both users and some more, but no negative."""
    known, negative = (np.zeros((9, ITEMS), dtype=bool) for _ in range(2))
    known[:2] = KNOWN
    known[2:] = np.random.default_rng(1).random((7, ITEMS)) < np.linspace(0.1, 0.9, ITEMS)
    negative[2:4] = known[2:4]
    counts = (known & ~negative if with_negatives else known).sum(0)
    sampler = BayesianSampler(2, 3, weight)
    negatives = pairs_of(negative) if with_negatives else None
    sampler.start_fit(facts_of(pairs_of(known), negatives))

    def choose(user):
        return oracle.least_risk(
            SCORES[user], SCORES[user, POSITIVES[user]], counts, weight, num_candidates=2
        )

    assert_drawn_as(sampler, choose, size=5)


@pytest.mark.parametrize("num_tries", [1, 3])
def test_in_batch(num_tries):
    """Rows of both users; items in proportion to their rows, positive or not."""
    listed = [1, 1, 2, 3, 3, 3, 7, 4, 0, 7]
    batch = LabeledBatch(
        torch.tensor([0, 1] * 5).repeat(4000),
        torch.tensor(listed).repeat(4000),
        torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0] * 2).repeat(4000),
    )
    items = fit(InBatchSampler(num_tries)).draw(batch, Draw(2, generator(), score, 0))
    for user in (0, 1):
        expected = oracle.in_batch(KNOWN, user, listed, num_tries)
        assert_distribution(items[batch.users == user], expected)


def test_in_batch_without_an_unknown_item_is_uniform():
    items = fit(InBatchSampler()).draw(batch_of(1), Draw(2, generator(), score, 0))
    assert_distribution(items, ~KNOWN[1] / 7)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_positive_resampler(temperature):
    positives = [[1, 4, 5], [7]]
    table = np.zeros_like(KNOWN)
    for user, items in enumerate(positives):
        table[user, items] = True
    sampler = PositiveResampler(num_candidates=3, temperature=temperature, start_epoch=2)
    sampler.start_fit(facts_of(pairs_of(table)))
    for user in (0, 1):
        batch = batch_of(user)._replace(unlabeled_items=torch.tensor([[2, 0]]).expand(ROWS, 2))
        assert torch.equal(sampler.draw(batch, Draw(1, generator(), score, 1)), batch.items)
        assert torch.equal(
            sampler.draw(batch._replace(is_meta=True), Draw(1, generator(), score, 2)), batch.items
        )
        drawn = sampler.draw(batch, Draw(1, generator(), score, 2))
        expected = oracle.positive_distribution(
            positives[user], ITEMS, 3, SCORES[user], SCORES[user, 2], temperature
        )
        assert_distribution(drawn, expected)
        nothing = batch._replace(unlabeled_items=torch.full((ROWS, 1), -1))
        assert torch.equal(sampler.draw(nothing, Draw(1, generator(), score, 2)), batch.items)
