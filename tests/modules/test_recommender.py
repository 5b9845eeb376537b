"""Recommender: sizes, losses, evaluation, recommendation, checkpoints."""

import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.data.vocabulary import Vocabulary
from invlightning.types import LabeledBatch
from tests.helpers.trainers import make_trainer

GMF = partial(il.backbones.GMF, embedding_dim=4)


def make_data(prefix="u", **arguments):
    generator = np.random.default_rng(0)
    pairs = generator.permutation(20 * 30)[:300]
    users = np.array([f"{prefix}{n}" for n in pairs // 30])
    ratings = generator.integers(1, 6, 300)
    defaults = {"positive_threshold": 2.0, "batch_size": 32, "meta_fraction": 0.2}
    return il.ArrayDataModule(users, pairs % 30 + 1000, ratings, **{**defaults, **arguments})


MODELS = {
    "labeled only": lambda: il.Recommender(GMF),
    "naive": lambda: il.Recommender(GMF, unlabeled_loss=il.losses.NaiveNegativeLoss(weight=0.1)),
    "idl": lambda: il.Recommender(GMF, unlabeled_loss=il.losses.InverseDualLoss(prior="labeled")),
    "ig phased": lambda: il.InverseGradientRecommender(GMF),
    "ig joint": lambda: il.InverseGradientRecommender(GMF, schedule="every_batch", direction="sgd"),
}


@pytest.mark.parametrize("name", MODELS)
def test_python_checkpoint_reloads_safely(name, tmp_path):
    """Safe loading rebuilds class, losses, weights and raw ids; predictions are equal."""
    model, data, trainer = MODELS[name](), make_data(), make_trainer(tmp_path, max_epochs=2)
    trainer.fit(model, data)
    path = trainer.checkpoint_callback.best_model_path
    assert torch.load(path, weights_only=True)["state_dict"]
    loaded = il.load(path)
    assert type(loaded) is type(model)
    assert type(loaded.unlabeled_criterion) is type(model.unlabeled_criterion)
    users = [f"u{n}" for n in range(20)]
    pd.testing.assert_frame_equal(loaded.recommend(users, {}), model.recommend(users, {}))
    assert set(loaded.recommend(["u3"], {})["item"]) <= set(range(1000, 1030))


@pytest.mark.resume
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("name", MODELS)
def test_resume_equals_uninterrupted(name, tmp_path):
    """Four epochs at once, and two plus two through a checkpoint: the same weights, exactly."""
    whole = MODELS[name]()
    make_trainer(tmp_path / "whole", max_epochs=4).fit(whole, make_data())
    first = make_trainer(tmp_path / "first", max_epochs=2)
    pl.seed_everything(0, verbose=False)
    first.fit(MODELS[name](), make_data())
    pl.seed_everything(99, verbose=False)
    resumed = MODELS[name]()
    second = make_trainer(tmp_path / "second", max_epochs=4)
    second.fit(resumed, make_data(), ckpt_path=first.checkpoint_callback.best_model_path)
    assert second.current_epoch == 4
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_combined_loss_is_the_sum_of_means():
    batch = LabeledBatch(
        torch.tensor([0, 1]),
        torch.tensor([2, 3]),
        torch.tensor([1.0, 0.0]),
        torch.tensor([[4, 5, 6], [5, 6, 4]]),
    )
    loss = il.losses.NaiveNegativeLoss(weight=0.25)
    model = il.Recommender(GMF, unlabeled_loss=loss, num_users=2, num_items=7)
    s = model(batch.users, batch.items)
    drawn = model(torch.tensor([[0], [1]]), batch.unlabeled_items)
    softplus = torch.nn.functional.softplus
    expected = (softplus(-s[0]) + softplus(s[1])) / 2 + 0.25 * softplus(drawn).sum() / 6
    torch.testing.assert_close(model.training_step(batch, 0), expected)


def test_masked_entries_teach_nothing():
    items = torch.tensor([[4, 5], [-1, -1]])
    mask = items >= 0
    users = torch.tensor([0, 1])
    batch = LabeledBatch(users, users, torch.ones(2), items, mask)
    loss = il.losses.NaiveNegativeLoss()
    model = il.Recommender(GMF, unlabeled_loss=loss, num_users=2, num_items=7)
    expected = loss(model(torch.tensor([0, 0]), torch.tensor([4, 5])))
    torch.testing.assert_close(model.unlabeled_loss(batch), expected)
    nothing = batch._replace(unlabeled_items=torch.full((2, 2), -1), unlabeled_mask=mask & False)
    assert model.unlabeled_loss(nothing) == 0


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_a_user_who_knows_everything_does_not_hang(tmp_path):
    users = np.repeat([0, 1, 2], [12, 6, 6])
    items = np.concatenate([np.arange(12), np.arange(6), np.arange(6, 12)])
    data = il.ArrayDataModule(
        users, items, items % 3 + 1, positive_threshold=1, split=il.data.RandomSplit(0, 0)
    )
    model = il.InverseGradientRecommender(GMF)
    make_trainer(tmp_path, max_epochs=2).fit(model, data)
    assert data.active_sampler.has_saturated_users
    assert all(p.isfinite().all() for p in model.parameters())


def test_evaluation_agrees_with_plain_computation(tmp_path):
    """Test AUC and Recall@20 against scikit-learn and sets."""
    from sklearn.metrics import roc_auc_score

    model, data, trainer = (
        il.Recommender(GMF, top_k=5),
        make_data(),
        make_trainer(tmp_path, max_epochs=2),
    )
    trainer.fit(model, data)
    [found] = [trainer.test(model, data, verbose=False)[0]]
    rows, held = data.interactions, data.rows.parts == 2
    users, items = torch.tensor(rows.users).long(), torch.tensor(rows.items).long()
    scores = model(users, items).detach().numpy()
    assert found["test_auc"] == pytest.approx(roc_auc_score(rows.labels[held], scores[held]))
    recalls = []
    for user in np.unique(rows.users[held & (rows.labels > 0)]):
        mine = rows.users == user
        targets = set(rows.items[mine & held & (rows.labels > 0)])
        seen = set(rows.items[mine & ~held])
        order = model(torch.tensor(user), torch.arange(30)).argsort(descending=True).tolist()
        best = [item for item in order if item not in seen][:5]
        recalls.append(len(targets & set(best)) / len(targets))
    assert found["test_recall@5"] == pytest.approx(np.mean(recalls))


def test_predict_gives_unseen_items_with_raw_ids(tmp_path):
    model, trainer = il.Recommender(GMF, top_k=4), make_trainer(tmp_path, max_epochs=2)
    data = make_data(predict_users=["u3", "u0"])
    trainer.fit(model, data)
    table = pd.concat(trainer.predict(model, data))
    assert list(table.columns) == ["user", "item", "rank", "score"]
    assert set(table["user"]) == {"u3", "u0"}
    assert table.groupby("user").size().tolist() == [4, 4]
    known = data.interactions
    for user, items in table.groupby("user")["item"]:
        mine = known.user_ids.decode(known.users) == user
        assert not set(items) & set(known.item_ids.decode(known.items[mine]))


def test_recommend_leaves_seen_items_out(tmp_path):
    model, trainer = il.Recommender(GMF), make_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, make_data())
    best = model.recommend(["u1", "u2"], seen={})
    top = best[best["rank"] == 1].set_index("user")["item"]
    again = model.recommend(["u1", "u2"], seen=(["u1"], [top["u1"]]))
    assert top["u1"] not in set(again[again["user"] == "u1"]["item"])
    assert top["u2"] in set(again[again["user"] == "u2"]["item"])
    with pytest.raises(ValueError, match="nobody"):
        model.recommend(["nobody"])


def test_other_data_than_in_training_is_refused(tmp_path):
    model, trainer = il.Recommender(GMF), make_trainer(tmp_path, max_epochs=2)
    trainer.fit(model, make_data())
    fewer = make_data(min_item_count=10)
    with pytest.raises(ValueError, match="the model was built for num_items=30"):
        trainer.test(model, fewer, verbose=False)
    other = make_data(prefix="v")
    with pytest.raises(ValueError, match="are not those that the checkpoint was trained with"):
        trainer.test(model, other, verbose=False)


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(TypeError, match="pass the class"):
        il.Recommender(il.backbones.GMF(3, 4))
    with pytest.raises(TypeError, match="cannot be imported again"):
        il.Recommender(lambda u, i: il.backbones.GMF(u, i))
    with pytest.raises(ValueError, match="num_users and num_items are unknown"):
        il.Recommender(GMF).configure_model()
    with pytest.raises(ValueError, match="outer_state must be"):
        il.InverseGradientRecommender(GMF, outer_state="old")
    trainer = make_trainer(tmp_path, max_epochs=2)
    with pytest.raises(ValueError, match="set meta_fraction above 0"):
        trainer.fit(il.InverseGradientRecommender(GMF), make_data(meta_fraction=0.0))
    with pytest.raises(ValueError, match="the batch has no unlabeled items"):
        trainer.fit(MODELS["naive"](), make_data(num_unlabeled=0))


def test_sparse_tables_need_an_optimizer_that_takes_them(tmp_path):
    sparse = partial(il.backbones.GMF, embedding_dim=4, sparse=True)
    with pytest.raises(ValueError, match=r"use invlightning\.optim\.RowSparseAdam"):
        make_trainer(tmp_path, max_epochs=2).fit(il.Recommender(sparse), make_data())
    sparse_model, dense_model = (
        il.InverseGradientRecommender(b, optimizer=partial(torch.optim.Adagrad, lr=0.1))
        for b in (sparse, GMF)
    )
    weights = []
    for model in (sparse_model, dense_model):
        pl.seed_everything(0, verbose=False)
        make_trainer(tmp_path, enable_checkpointing=False, max_epochs=2).fit(model, make_data())
        weights.append(model.state_dict())
    for name, value in weights[1].items():
        torch.testing.assert_close(weights[0][name], value, rtol=0, atol=1e-6)


def test_monitoring_auc_without_negatives_is_refused(tmp_path):
    checkpoint = pl.callbacks.ModelCheckpoint(monitor="val_auc", mode="max")
    users, items = np.divmod(np.random.default_rng(0).permutation(600)[:200], 30)
    data = il.ArrayDataModule(users, items)
    with pytest.raises(ValueError, match="monitor a full-catalogue metric"):
        make_trainer(tmp_path, callbacks=[checkpoint], max_epochs=2).fit(il.Recommender(GMF), data)


@pytest.fixture
def served():
    """A model whose user and item ids are integers, 7 to 46 and 1000 to 1029."""
    model = il.Recommender(GMF, num_users=40, num_items=30, top_k=3)
    model.vocabularies.users = Vocabulary(np.arange(7, 47))
    model.vocabularies.items = Vocabulary(np.arange(1000, 1030))
    return model


SEEN = {
    "columns": lambda items: ([7] * 3, items),
    "floats, as pandas has them": lambda items: (pd.Series([7.0] * 3), pd.Series(items) + 0.0),
    "text": lambda items: (["7"] * 3, [str(item) for item in items]),
    "mapping": lambda items: {7: items, 99: [1000]},
}


@pytest.mark.parametrize("form", SEEN)
def test_what_is_seen_goes_through_the_ids_of_the_model(form, served):
    """Seen to fail with ids compared as text: a float column left nothing out."""
    best = served.recommend([7], {})["item"].tolist()
    again = served.recommend([7], SEEN[form](best))["item"].tolist()
    assert len(again) == 3
    assert not set(again) & set(best)


def test_each_user_is_answered_once_and_text_is_no_list(served):
    """Seen to fail without either: repeated rows, and "10 of 10 ids are unknown"."""
    assert served.recommend([7, 8, 7, "8"], {})["user"].tolist() == [7] * 3 + [8] * 3
    with pytest.raises(ValueError, match=r"users is the text 'cust-1': pass a list of ids"):
        served.recommend("cust-1")
    for seen in (([7], [1000, 1001]), [7], "77"):
        with pytest.raises(ValueError, match="pass two columns of one length, users and beside"):
            served.recommend([7], seen)


@pytest.mark.parametrize("asked", ["00007", "+7", "7.0", " 7"])
def test_text_that_is_another_id_is_no_number(asked, served):
    """Seen to fail with any digits taken for the number they spell."""
    with pytest.raises(ValueError, match="1 of 1 user ids are unknown"):
        served.recommend([asked])
    assert served.recommend(["7"], {})["user"].unique().tolist() == [7]


@pytest.mark.parametrize("name", ["labeled_loss", "unlabeled_loss", "exposed_loss", "joint_loss"])
def test_the_class_of_a_loss_is_refused_at_once(name):
    """Seen to fail: it passed the constructor and failed within training."""
    with pytest.raises(TypeError, match=rf"{name} is the class BPRLoss: pass BPRLoss\(...\)"):
        il.Recommender(GMF, **{name: il.losses.BPRLoss})


def test_the_class_of_an_exposure_loss_is_refused_at_once():
    """Seen to fail: it passed the constructor and failed within training."""
    with pytest.raises(TypeError, match=r"exposure_loss is the class BPRLoss: pass BPRLoss\(...\)"):
        il.EntireSpaceRecommender(GMF, exposure_loss=il.losses.BPRLoss)


MISSPELT = [
    ("val_acc", "did you mean 'val_auc'?"),
    ("val_dislike@20", "did you mean 'val_disliked@20'?"),
    ("val_recall@10", "did you mean 'val_recall@20'?"),
]


@pytest.mark.parametrize(("monitor", "hint"), MISSPELT)
def test_a_metric_that_never_comes_is_refused_before_training(monitor, hint, tmp_path):
    """Seen to fail: the run ended with a traceback after its first epoch."""
    stop = pl.callbacks.EarlyStopping(monitor)
    trainer = make_trainer(tmp_path, callbacks=[stop])
    with pytest.raises(ValueError, match=re.escape(hint)):
        trainer.fit(il.Recommender(GMF), make_data())
    assert trainer.global_step == 0


class LogsMore(il.Recommender):
    """Adds a metric by a hook of its own."""

    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        self.log("val_mine", 1.0)


class Logs(pl.Callback):
    """A callback that logs for the module."""

    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val_mine", 1.0)


@pytest.mark.parametrize("more", [[], [Logs()]])
def test_metrics_that_others_log_may_be_monitored(more, tmp_path):
    stop = pl.callbacks.EarlyStopping("val_mine")
    model = il.Recommender(GMF) if more else LogsMore(GMF)
    trainer = make_trainer(tmp_path, max_epochs=1, callbacks=[stop, *more])
    trainer.fit(model, make_data())
    assert trainer.callback_metrics["val_mine"] == 1
