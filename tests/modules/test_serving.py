"""A loaded module answers in raw ids, and leaves out what a user is known to have seen."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import invlightning as il
from tests.helpers.trainers import make_trainer

GMF = partial(il.backbones.GMF, embedding_dim=4)
NEUMF = partial(il.backbones.NeuMF, embedding_dim=4, dropout=0.5)
SASREC = partial(il.backbones.SASRec, embedding_dim=4, max_len=6)
GRU = partial(il.backbones.GRU4Rec, embedding_dim=4, max_len=6)
USERS = [f"u{n}" for n in range(20)]


def make_data():
    generator = np.random.default_rng(0)
    pairs = generator.permutation(20 * 30)[:300]
    users = np.array([f"u{n}" for n in pairs // 30])
    return il.ArrayDataModule(
        users,
        pairs % 30 + 1000,
        generator.integers(1, 6, 300),
        timestamps=generator.permutation(300),
        positive_threshold=2.0,
        batch_size=64,
    )


def train(backbone=GMF, kind=il.Recommender, callbacks=(), **arguments):
    model, data = kind(backbone, top_k=5, **arguments), make_data()
    trainer = make_trainer(max_epochs=1, callbacks=[*callbacks])
    trainer.fit(model, data)
    return model, data, trainer


def reload(trainer, folder):
    trainer.save_checkpoint(folder / "model.ckpt")
    return il.load(folder / "model.ckpt")


def met(data):
    known = data.interactions
    items = known.item_ids.decode(known.items)
    return pd.DataFrame({"user": known.user_ids.decode(known.users), "item": items})


def repeats(found, data):
    return len(found.merge(met(data), on=["user", "item"]))


def test_a_trained_model_leaves_out_what_its_data_knows():
    """Seen to fail without a look at the data: 120 of 200 had been rated."""
    model, data, _ = train()
    assert repeats(model.recommend(USERS, k=10), data) == 0
    assert repeats(model.recommend(USERS, seen={}, k=10), data) > 50


def test_a_checkpoint_keeps_the_history_where_asked(tmp_path):
    model, data, trainer = train(callbacks=[il.callbacks.KeepHistory()])
    loaded = reload(trainer, tmp_path)
    found = loaded.recommend(USERS, k=10)
    assert repeats(found, data) == 0
    pd.testing.assert_frame_equal(found, model.recommend(USERS, k=10))
    assert loaded.history.items.dtype == torch.int32


def test_without_a_history_the_call_says_so(tmp_path):
    _, data, trainer = train()
    loaded = reload(trainer, tmp_path)
    with pytest.warns(UserWarning, match="nothing is left out of these recommendations"):
        assert repeats(loaded.recommend(USERS), data) > 0


def test_a_table_of_what_was_seen(tmp_path):
    model, data, trainer = train()
    loaded = reload(trainer, tmp_path)
    pd.testing.assert_frame_equal(loaded.recommend(USERS, seen=met(data)), model.recommend(USERS))
    with pytest.raises(ValueError, match="columns a, b: name those of users and items user and it"):
        loaded.recommend(USERS, seen=pd.DataFrame({"a": [1], "b": [2]}))


def other_items(history):
    history["items"] += 30


def other_users(history):
    history["indptr"] = history["indptr"][:-1]


def fewer_pairs(history):
    history["items"] = history["items"][:-1]


@pytest.mark.parametrize("other", [other_items, other_users, fewer_pairs])
def test_a_history_of_another_size_is_refused(other, tmp_path):
    _, _, trainer = train(callbacks=[il.callbacks.KeepHistory()])
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    other(checkpoint["history"])
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="history in the checkpoint is not one of 20 users and 30"):
        il.load(tmp_path / "other.ckpt")


def test_scores_are_those_of_the_pairs_and_do_not_vary(tmp_path):
    """Seen to fail in training mode, where dropout makes two calls differ."""
    model, data, trainer = train(NEUMF)
    loaded = reload(trainer, tmp_path)
    assert not loaded.training
    users, items = ["u3", "u7", "u3"], [1004, "1005", 1006]
    first = loaded.score(users, items)
    assert torch.equal(first, loaded.score(users, items))
    assert torch.equal(first, model.train().score(users, items))
    index = data.interactions.user_ids.encode(users)
    rows = torch.from_numpy(index), torch.tensor([4, 5, 6])
    assert torch.equal(first, loaded(*rows).detach())
    with pytest.raises(ValueError, match="score got 1 users and 2 items"):
        loaded.score(["u3"], [1004, 1005])
    with pytest.raises(ValueError, match="1 of 1 item ids are unknown"):
        loaded.score(["u3"], [7])
    with pytest.raises(ValueError, match="items is the text"):
        loaded.score(["u3"], "1004")


@pytest.mark.parametrize("kind", [il.Recommender, il.EntireSpaceRecommender])
def test_candidates_are_ranked_as_in_the_whole_catalogue(kind):
    model, _, _ = train(kind=kind)
    whole, chosen = model.recommend(USERS, {}, k=30), [1003, 1011, 1019, 1027]
    expected = whole[whole["item"].isin(chosen)].drop(columns="rank").reset_index(drop=True)
    found = model.recommend(USERS, {}, k=4, candidates=chosen)
    pd.testing.assert_frame_equal(found.drop(columns="rank"), expected)
    assert found["rank"].tolist() == [1, 2, 3, 4] * 20


def test_k_and_candidates_that_cannot_be():
    model, _, _ = train()
    for k in (0, 31):
        with pytest.raises(ValueError, match=f"k is {k}: give a number from 1 to 30"):
            model.recommend(USERS, k=k)
    with pytest.raises(ValueError, match="k is 3: give a number from 1 to 2"):
        model.recommend(USERS, k=3, candidates=[1001, 1002])
    with pytest.raises(ValueError, match="candidates is empty"):
        model.recommend(USERS, candidates=[])


def test_who_has_seen_everything_gets_nothing():
    model, _, _ = train()
    found = model.recommend(["u1", "u2"], seen={"u1": range(1000, 1030), "u2": range(1000, 1028)})
    assert found["user"].tolist() == ["u2", "u2"]


@pytest.mark.parametrize("backbone", [SASREC, GRU])
@pytest.mark.parametrize("kind", [il.Recommender, il.EntireSpaceRecommender])
def test_a_given_history_scores_as_that_of_a_known_user(backbone, kind):
    """The positives of the training rows, in order of time, give what the known user gets."""
    model, data, _ = train(backbone, kind)
    facts, ids = data.training_facts(), data.interactions.item_ids
    if kind is il.EntireSpaceRecommender:  # whose exposure reads everything that was met
        facts = facts._replace(labels=torch.ones_like(facts.labels))
        model.backbone.start_fit(facts)
        model.exposure_backbone.start_fit(facts)
    histories = {}
    for user in (2, 5, 11):
        rows = torch.nonzero((facts.users == user) & (facts.labels > 0)).flatten()
        ordered = rows[facts.timestamps[rows].argsort()]
        histories[data.interactions.user_ids.ids[user]] = ids.decode(facts.items[ordered]).tolist()
    found = model.recommend_from(histories)
    expected = model.recommend(list(histories), seen=histories)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)


def test_a_new_and_an_empty_history():
    model, _, _ = train(SASREC)
    found = model.recommend_from({"new": [1003, 1004], 7: []}, k=3, candidates=range(1003, 1010))
    assert found["user"].tolist() == ["new"] * 3 + [7] * 3
    assert not set(found[found["user"] == "new"]["item"]) & {1003, 1004}
    with pytest.raises(ValueError, match="histories is empty"):
        model.recommend_from({})
    with pytest.raises(ValueError, match="1 of 1 item ids are unknown"):
        model.recommend_from({"new": [3]})


def test_a_table_of_users_reads_no_histories():
    with pytest.raises(ValueError, match="GMF knows users by rows of a table and reads no hist"):
        train()[0].recommend_from({"new": [1003]})


def test_history_needs_a_data_module_that_knows_it():
    model, _, _ = train(num_users=20, num_items=30)
    trainer = make_trainer(max_epochs=1, callbacks=[il.callbacks.KeepHistory()])
    data = make_data()
    data.prepare_data()
    data.setup("fit")
    with pytest.raises(ValueError, match="KeepHistory finds no data module"):
        trainer.fit(model, data.train_dataloader(), data.val_dataloader())
