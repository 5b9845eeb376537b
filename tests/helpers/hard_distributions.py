"""A catalogue of eight items with fixed scores, and what draws from it are compared with."""

import numpy as np
import torch

from invlightning.data import Draw
from invlightning.types import LabeledBatch
from tests.helpers.known import facts_of, pairs_of
from tests.reference import hard_samplers as oracle
from tests.reference.samplers import chi_square

ITEMS, ROWS = 8, 40_000
# User 0 knows items 1 and 4; user 1 knows item 7.
KNOWN = np.zeros((2, ITEMS), dtype=bool)
KNOWN[0, [1, 4]], KNOWN[1, 7] = True, True
FREE = [np.flatnonzero(~row).tolist() for row in KNOWN]
SCORES = np.random.default_rng(3).normal(size=(2, ITEMS))
POSITIVES = (1, 7)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def score(users, items):
    return torch.from_numpy(SCORES).float()[users, items]


def fit(sampler, negative=None):
    negatives = None if negative is None else pairs_of(negative)
    sampler.start_fit(facts_of(pairs_of(KNOWN), negatives))
    return sampler


def batch_of(user, rows=ROWS):
    """Rows of the positive of one user."""
    users = torch.full((rows,), user)
    return LabeledBatch(users, torch.full((rows,), POSITIVES[user]), torch.ones(rows))


def assert_distribution(items, expected):
    counts = torch.bincount(items.flatten(), minlength=len(expected)).numpy()
    statistic, freedom = chi_square(counts, expected)
    # The normal approximation of chi-square at five standard deviations.
    assert statistic < freedom + 5 * np.sqrt(2 * freedom) + 1e-9


def assert_drawn_as(sampler, choose, size, num_unlabeled=1):
    """The oracle's distribution for both users; ``choose`` maps a user to a choice in a pool."""
    for user in (0, 1):
        items = sampler.draw(batch_of(user), Draw(num_unlabeled, generator(user), score, epoch=0))
        expected = oracle.pool_distribution(FREE[user], ITEMS, size, choose(user))
        assert_distribution(items[:, 0], expected)
        assert_distribution(items[:, -1], expected)
