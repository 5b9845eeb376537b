"""Held-out dislikes among the first items of the catalogue, in every evaluation."""

import pytest
import torch

import invlightning as il
from invlightning.data.rows import TEST, VAL
from tests.helpers.forms import ADAM, GMF, make_data
from tests.helpers.trainers import make_trainer
from tests.reference import metrics as oracle

K = 5


def share_of_dislikes(model, data, part):
    """One user after the other: dislikes of the part among the first unseen items."""
    table, shares = data.interactions, []
    for user in range(data.num_users):
        own = table.users == user
        items = {
            label: set(table.items[own & (data.rows.parts == part) & (table.labels == label)])
            for label in (0, 1)
        }
        if items[0]:
            seen = set(table.items[own & (data.rows.parts < part)])
            scores = model.backbone.score_all(torch.tensor([user]))[0].tolist()
            ranked = oracle.rank_unseen(scores, seen, K)
            shares.append(oracle.full_ranking(ranked, items[0], K)[0])
    return sum(shares) / len(shares)


def test_every_evaluation_reports_dislikes():
    """Seen to fail where only users with held-out positives are ranked."""
    model, data, trainer = il.Recommender(GMF, optimizer=ADAM, top_k=K), make_data(), make_trainer()
    trainer.fit(model, data)
    found = float(trainer.callback_metrics[f"val_disliked@{K}"])
    with torch.no_grad():
        expected = share_of_dislikes(model, data, VAL)
        assert found == pytest.approx(expected, abs=1e-6)
        result = trainer.test(model, data, verbose=False)[-1]
        expected = share_of_dislikes(model, data, TEST)
    assert 0 < expected < 1
    assert result[f"test_disliked@{K}"] == pytest.approx(expected, abs=1e-6)


def test_without_dislikes_nothing_is_reported():
    data = il.ArrayDataModule(torch.arange(60) % 6, torch.arange(60) // 6, torch.ones(60))
    trainer = make_trainer(max_epochs=1)
    loss = il.losses.NaiveNegativeLoss()
    trainer.fit(il.Recommender(GMF, unlabeled_loss=loss), data)
    assert "val_recall@20" in trainer.callback_metrics
    assert "val_disliked@20" not in trainer.callback_metrics
