"""Exposure matrix factorization: the algorithm and the backbone around it."""

import numpy as np
import pytest
import torch

from invlightning.backbones import ExposureMF, exposure_em
from invlightning.backbones.exposure_em import exposure_posterior, fit_exposure_mf
from invlightning.testing import BackboneTests
from tests.helpers.facts import ITEMS, USERS, all_pairs, make_facts
from tests.reference import exposure as oracle

SETTINGS = {"regularization": 0.3, "precision": 2.0}


class TestExposureMF(BackboneTests):
    backbone = ExposureMF


def problem(dim=3):
    facts, generator = make_facts(50), torch.Generator().manual_seed(1)
    labels = torch.full((USERS, ITEMS), -1, dtype=torch.int8)
    labels[facts.users, facts.items] = facts.labels.to(torch.int8)
    factors = torch.randn(USERS + ITEMS, dim, generator=generator, dtype=torch.float64)
    return labels, factors[:USERS], factors[USERS:]


@pytest.mark.parametrize("block", [1, 30, 10**6])
def test_iterations_match_the_formulas(block, monkeypatch):
    monkeypatch.setattr(exposure_em, "_BLOCK", block)
    labels, users, items = problem()
    found = fit_exposure_mf(labels, users, items, num_iterations=3, exposure=0.2, **SETTINGS)
    state = (users.numpy(), items.numpy(), np.full(ITEMS, 0.2))
    for _ in range(3):
        state = oracle.iteration(labels.numpy(), *state, **SETTINGS)
    for left, right in zip(found, state, strict=True):
        assert torch.allclose(left, torch.from_numpy(right), atol=1e-10)


def test_the_posterior_density_never_falls():
    labels, users, items = problem()
    densities = []
    for n in range(8):
        state = fit_exposure_mf(labels, users, items, n, exposure=0.2, **SETTINGS)
        arrays = [part.numpy() for part in state]
        densities.append(oracle.log_posterior(labels.numpy(), *arrays, **SETTINGS))
    assert (np.diff(densities) > -1e-9).all()
    assert densities[-1] > densities[0] + 1


def test_posterior_of_exposure():
    """Items that would surely be consumed were not seen; without precision nothing is learned."""
    mu = torch.tensor([0.01, 0.5])
    assert torch.allclose(exposure_posterior(torch.zeros(2), mu, 2 * np.pi), mu)
    high, low = exposure_posterior(torch.tensor([3.0, 0.1]), torch.tensor(0.5), 2 * np.pi)
    assert high < 1e-6
    assert low > 0.4


def test_fitted_factors_find_planted_blocks():
    """Two groups of users and items; held-out pairs of the own group come first."""
    torch.manual_seed(0)
    truth = (torch.arange(40).unsqueeze(1) % 2 == torch.arange(30) % 2).float()
    rows = torch.randperm(1200)[:500]
    users, items = rows // 30, rows % 30
    backbone = ExposureMF(40, 30, embedding_dim=2)
    facts = make_facts()._replace(users=users, items=items, labels=truth[users, items])
    backbone.start_fit(facts)
    scores = backbone.score_all(torch.arange(40))
    scores[users, items] = scores.mean()
    held = torch.ones(40, 30, dtype=torch.bool)
    held[users, items] = False
    liked, others = scores[held & (truth > 0)], scores[held & (truth == 0)]
    assert (liked.unsqueeze(1) > others).float().mean() > 0.99


def test_an_optimizer_changes_no_ranking():
    backbone = ExposureMF(USERS, ITEMS)
    backbone.start_fit(make_facts())
    order = backbone.score_all(torch.arange(USERS)).argsort(1)
    assert len(list(backbone.parameters())) == 2
    optimizer = torch.optim.Adam(backbone.parameters(), 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        backbone(*all_pairs()).square().mean().backward()
        optimizer.step()
    assert torch.equal(backbone.score_all(torch.arange(USERS)).argsort(1), order)
    assert backbone(*all_pairs()).square().mean() < 0.5


def test_bad_arguments_of_exposure_mf_are_refused():
    with pytest.raises(RuntimeError, match="ExposureMF is not fitted"):
        ExposureMF(USERS, ITEMS)(*all_pairs())
    for name, value in {"num_iterations": 0, "regularization": 0, "exposure": 1}.items():
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            ExposureMF(USERS, ITEMS, **{name: value})
