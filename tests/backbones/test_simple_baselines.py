"""Popularity, ItemKNN and EASE: their scores, their memory, and that nothing trains them."""

from functools import partial

import numpy as np
import pytest
import torch

import invlightning as il
from invlightning import memory
from invlightning.backbones import EASE, ItemKNN, Popularity, ease
from invlightning.backbones.layers import co_occurrence
from invlightning.data.rows import TEST
from invlightning.testing import BackboneTests
from tests.helpers.facts import ITEMS, USERS, all_pairs, make_facts
from tests.helpers.trainers import make_trainer
from tests.reference import simple_baselines as oracle

BASELINES = [Popularity, partial(ItemKNN, num_neighbors=3), partial(EASE, regularization=2.0)]


class TestPopularity(BackboneTests):
    backbone = Popularity


class TestItemKNN(BackboneTests):
    backbone = staticmethod(partial(ItemKNN, num_neighbors=3))


class TestEASE(BackboneTests):
    backbone = EASE


def liked(facts):
    matrix = np.zeros((facts.num_users, facts.num_items))
    matrix[tuple(column.numpy() for column in facts.positives())] = 1
    return matrix


def fitted_scores(build):
    """The fitted scores of all pairs, from single precision on."""
    backbone = build(USERS, ITEMS)
    backbone.start_fit(make_facts())
    backbone.double()
    whole = backbone.range_scores(torch.arange(USERS), 0, ITEMS)
    assert torch.allclose(whole, backbone.pair_scores(*all_pairs()), atol=1e-12)
    return whole.numpy()


@pytest.mark.parametrize("block", [1, 40, 10**6])
@pytest.mark.parametrize(("num_neighbors", "shrinkage"), [(3, 0.0), (4, 1.5), (99, 1.0)])
def test_item_knn_matches_the_formula(num_neighbors, shrinkage, block, monkeypatch):
    """Seen to fail without shrinkage, with an item as its own neighbor, and with other ties."""
    monkeypatch.setattr(co_occurrence, "_BLOCK", block)
    found = fitted_scores(partial(ItemKNN, num_neighbors=num_neighbors, shrinkage=shrinkage))
    expected = oracle.item_knn(liked(make_facts()), num_neighbors, shrinkage)
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("block", [1, 40, 10**6])
@pytest.mark.parametrize("regularization", [0.5, 20.0])
def test_ease_matches_the_formula(regularization, block, monkeypatch):
    """Seen to fail with rows and columns exchanged, and with a diagonal."""
    monkeypatch.setattr(co_occurrence, "_BLOCK", block)
    monkeypatch.setattr(ease, "_PAIRS", min(block, 10))
    found = fitted_scores(partial(EASE, regularization=regularization))
    assert np.allclose(found, oracle.ease(liked(make_facts()), regularization), atol=1e-6)


def test_popularity_counts_positives():
    expected = liked(make_facts()).sum(0)
    assert np.allclose(fitted_scores(Popularity), expected / expected.max())


def data_and_parts():
    """A data module, and its positives of the training and of the test part as matrices."""
    data = il.SyntheticDataModule(num_users=60, num_items=50, interactions_per_user=25)
    data.setup()
    facts = data.training_facts()
    held = np.zeros((facts.num_users, facts.num_items))
    rows = data.rows.labeled(TEST)
    held[rows.users.numpy(), rows.items.numpy()] = rows.labels.numpy()
    return data, facts, liked(facts), held


@pytest.mark.parametrize("build", BASELINES)
def test_training_changes_no_ranking(build, tmp_path):
    """What an optimizer trains are two numbers; the catalogue is ranked as it was fitted."""
    data, facts, _, _ = data_and_parts()
    model = il.Recommender(build, unlabeled_loss=il.losses.NaiveNegativeLoss())
    make_trainer(tmp_path, max_epochs=1).fit(model, data)
    alone = build(facts.num_users, facts.num_items)
    alone.start_fit(facts)
    users = torch.arange(facts.num_users)
    before, after = (b.range_scores(users, 0, facts.num_items) for b in (alone, model.backbone))
    assert torch.equal(before, after)
    assert len(list(model.parameters())) == 2
    assert not torch.equal(model.backbone.offset, alone.offset)


def test_ease_ranks_like_a_dense_reference(tmp_path):
    """NDCG@10 over the catalogue, through a Trainer, against ten lines of numpy."""
    data, _, train, held = data_and_parts()
    model = il.Recommender(partial(EASE, regularization=5.0), top_k=10)
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, data)
    found = trainer.test(model, data, verbose=False)[0]
    seen = np.zeros_like(train)
    for batch in data.test_dataloader()[1]:
        seen[batch.users[batch.seen_rows].numpy(), batch.seen_items.numpy()] = 1
    expected = oracle.ndcg(oracle.ease(train, 5.0), seen, held, 10)
    assert expected > 0.1
    assert abs(found["test_full_ndcg@10"] - expected) < 0.005


def test_memory_is_checked_before(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1_000)
    backbone = EASE(2, 10**6)
    with pytest.raises(MemoryError, match=r"a weight for every pair of 1,000,000 items, needs 32,"):
        backbone.start_fit(make_facts())
    with pytest.raises(MemoryError, match=r"ItemKNN with 9 neighbors .* lower num_neighbors"):
        ItemKNN(USERS, 10**6, num_neighbors=9).start_fit(make_facts())


def test_bad_arguments_of_baselines_are_refused():
    for build in BASELINES:
        with pytest.raises(RuntimeError, match=r"is not fitted: train it in a Trainer"):
            build(USERS, ITEMS)(*all_pairs())
    with pytest.raises(ValueError, match="regularization is 0"):
        EASE(USERS, ITEMS, regularization=0)
    with pytest.raises(ValueError, match="num_neighbors is 0"):
        ItemKNN(USERS, ITEMS, num_neighbors=0)
    with pytest.raises(ValueError, match="shrinkage is -1"):
        ItemKNN(USERS, ITEMS, shrinkage=-1)
