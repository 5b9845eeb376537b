"""The invented world: its truth, its noise, its exposure, and that it can be learned."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from invlightning.data.datasets import SyntheticDataModule
from invlightning.data.datasets.synthetic import draw_exposure, draw_preferences


def everyone(data):
    users = torch.arange(data.num_users).unsqueeze(1)
    return users, torch.arange(data.num_items).unsqueeze(0)


@pytest.mark.parametrize("size", [(600, 400), (3000, 900)])
def test_share_of_true_positives(size):
    data = SyntheticDataModule(num_users=size[0], num_items=size[1], positive_share=0.2)
    truth = data.truth(*everyone(data))
    assert truth.shape == size
    assert truth.dtype == torch.bool
    assert truth.float().mean().item() == pytest.approx(0.2, abs=1e-5 if size[0] == 600 else 0.01)


def test_truth_is_written_in_the_factors():
    drawn = draw_preferences(5, 4, 3, 0.25, torch.Generator().manual_seed(0))
    score = drawn.user_factors.double().numpy() @ drawn.item_factors.double().numpy().T
    score += drawn.user_biases.numpy()[:, None] + drawn.item_biases.numpy()
    best = np.sort(score.ravel())[-5:]
    liked = drawn.liked(torch.arange(5).unsqueeze(1), torch.arange(4))
    assert (liked.numpy() == (score >= best.min() - 1e-6)).all()
    assert liked.sum() == 5


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_labels_are_the_truth_but_for_the_noise(noise):
    data = SyntheticDataModule(noise=noise)
    table = data.read()
    truth = data.truth(torch.from_numpy(table.users), torch.from_numpy(table.items)).numpy()
    labeled = table.labels >= 0
    assert labeled.sum() == 600 * 40
    wrong = (table.labels != truth)[labeled].mean()
    assert wrong == pytest.approx(noise, abs=0.01 if noise else 0)


def test_everybody_sees_their_number_of_items_once():
    data = SyntheticDataModule(num_users=50, num_items=30, interactions_per_user=30)
    data.setup()
    assert len(data.interactions) == 50 * 30
    assert data.interactions.notes == ()


def test_exposed_rows_are_others_than_the_labeled_ones():
    """And the labeled rows are those of a world without them."""
    data, without = SyntheticDataModule(), SyntheticDataModule(exposed_per_user=0)
    table, plain = data.read(), without.read()
    labeled = table.labels >= 0
    assert (table.users[labeled] == plain.users).all()
    assert (table.items[labeled] == plain.items).all()
    assert (table.labels[labeled] == plain.labels).all()
    assert np.bincount(table.users[~labeled]).max() <= 40
    assert (~labeled).sum() > 600 * 20
    keys = table.users * 400 + table.items
    assert len(np.unique(keys)) == len(keys)
    data.setup()
    assert f"{len(data.rows.exposed_rows)} exposed ones" in data.summary()


def test_popular_items_are_seen_by_their_weight():
    # With one item a user there is no interplay: the share of an item is its normalised weight.
    _, items = draw_exposure(200_000, 5, 1, 1.0, torch.Generator().manual_seed(0))
    weights = 1 / np.arange(1, 6)
    shares = np.sort(np.bincount(items) / 200_000)[::-1]
    assert shares == pytest.approx(weights / weights.sum(), abs=0.005)
    _, items = draw_exposure(200_000, 5, 1, 0.0, torch.Generator().manual_seed(0))
    assert np.bincount(items) / 200_000 == pytest.approx(np.full(5, 0.2), abs=0.005)


def test_blocks_cover_all_users(monkeypatch):
    monkeypatch.setattr("invlightning.data.datasets.synthetic._EXPOSURE_BLOCK", 70)
    users, items = draw_exposure(31, 20, 4, 0.5, torch.Generator().manual_seed(0))
    assert np.bincount(users).tolist() == [4] * 31
    assert len(torch.unique(users * 20 + items)) == 124


def test_seed_decides_everything():
    first, again, other = (SyntheticDataModule(seed=seed).read() for seed in (1, 1, 2))
    assert (first.items == again.items).all()
    assert (first.labels == again.labels).all()
    labeled = slice(600 * 40)
    assert (first.items[labeled] != other.items[labeled]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_users": 1}, "num_users must be at least 2, got 1"),
        ({"num_items": 1}, "num_items must be at least 2, got 1"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
        ({"interactions_per_user": 401}, r"from 1 to num_items \(400\), got 401"),
        ({"positive_share": 1.0}, r"positive_share must be in \(0, 1\)"),
        ({"popularity_exponent": -1.0}, "popularity_exponent must be at least 0"),
        ({"noise": 0.6}, r"noise must be in \[0, 0.5\]"),
    ],
)
def test_bad_arguments_of_the_synthetic_data_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SyntheticDataModule(**options)


def test_factorization_learns_the_defaults_within_ten_epochs():
    data = SyntheticDataModule()
    data.setup()
    rows = data.interactions
    users, items = torch.from_numpy(rows.users).long(), torch.from_numpy(rows.items).long()
    labels = torch.from_numpy(rows.labels).float()
    train, test = (torch.from_numpy(data.rows.labeled_rows(part)) for part in (0, 2))
    tables = [nn.Embedding(data.num_users, 8), nn.Embedding(data.num_items, 8)]
    head = nn.Linear(8, 1)
    for table in tables:
        nn.init.normal_(table.weight, std=0.1)
    optimizer = torch.optim.Adam([p for m in (*tables, head) for p in m.parameters()], lr=1e-2)

    def logits(chosen):
        return head(tables[0](users[chosen]) * tables[1](items[chosen])).squeeze(-1)

    for _ in range(10):
        for chosen in train[torch.randperm(len(train))].split(512):
            loss = nn.functional.binary_cross_entropy_with_logits(logits(chosen), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        assert roc_auc_score(labels[test], logits(test)) > 0.75
