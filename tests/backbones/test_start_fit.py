"""Backbones that want facts of the training data, in a Trainer with a data module."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.backbones import (
    CML,
    DMF,
    EASE,
    GMF,
    Backbone,
    DeepFM,
    ExposureMF,
    FactorizationMachine,
    GRU4Rec,
    ItemKNN,
    LightGCN,
    Popularity,
    PropagatedBackbone,
    SASRec,
)
from tests.helpers.trainers import make_trainer

BACKBONES = [
    partial(LightGCN, embedding_dim=4),
    partial(DMF, embedding_dim=4),
    partial(CML, embedding_dim=4),
    partial(FactorizationMachine, embedding_dim=4),
    partial(DeepFM, embedding_dim=4, hidden_dim=8),
    partial(ExposureMF, embedding_dim=2, num_iterations=2),
    partial(Popularity),
    partial(ItemKNN, num_neighbors=3),
    partial(EASE, regularization=2.0),
    partial(GRU4Rec, embedding_dim=4, hidden_dim=4, max_len=4),
    partial(SASRec, embedding_dim=4, max_len=4),
]
NAMES = [build.func.__name__ for build in BACKBONES]


def make_data(rows=300, timestamps=True, **arguments):
    """Users u0 .. u19 and items 1000 .. 1029, with two features of items."""
    generator = np.random.default_rng(0)
    pairs = generator.permutation(20 * 30)[:rows]
    users = np.array([f"u{n}" for n in pairs // 30])
    features = pd.DataFrame(generator.normal(size=(40, 2)), index=range(995, 1035))
    defaults = {"batch_size": 64, "meta_fraction": 0.5, "item_features": features}
    return il.ArrayDataModule(
        users,
        pairs % 30 + 1000,
        generator.integers(0, 2, rows),
        generator.permutation(rows) if timestamps else None,
        **{**defaults, **arguments},
    )


class Choices(pl.Callback):
    """What the inverse gradient steps chose."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(int(pl_module.last_step.choice))


@pytest.mark.parametrize("build", BACKBONES, ids=NAMES)
def test_inverse_gradients_checkpoint_and_recommendation(build, tmp_path):
    """It trains with inverse gradients, and recommends the same from the checkpoint alone."""
    model, trainer = il.InverseGradientRecommender(build), make_trainer(tmp_path, max_epochs=1)
    data = make_data()
    trainer.fit(model, data)
    assert trainer.global_step == trainer.num_training_batches
    found = trainer.test(model, data, verbose=False)[0]
    loaded = il.load(trainer.checkpoint_callback.best_model_path)
    users = [f"u{n}" for n in range(20)]
    pd.testing.assert_frame_equal(loaded.recommend(users, {}), model.recommend(users, {}))
    assert trainer.test(loaded, data, verbose=False)[0] == found
    for name, value in il.load(trainer.checkpoint_callback.best_model_path).state_dict().items():
        assert isinstance(value, torch.Tensor), name


@pytest.mark.parametrize("build", BACKBONES[:2], ids=NAMES[:2])
def test_inverse_gradients_judge_the_parameters_at_hand(build, tmp_path, monkeypatch):
    """Remembered vectors change nothing: the same choices and weights as without a memory."""
    runs = []
    for remembers in (True, False):
        if not remembers:
            monkeypatch.setattr(PropagatedBackbone, "vectors", lambda self: self.compute_vectors())
        pl.seed_everything(0, verbose=False)
        model = il.InverseGradientRecommender(build, schedule="every_batch", inner_lr=0.05)
        choices = Choices()
        trainer = make_trainer(
            tmp_path, callbacks=[choices], max_epochs=3, enable_checkpointing=False
        )
        trainer.fit(model, make_data())
        runs.append((choices.seen, list(model.parameters())))
    assert runs[0][0] == runs[1][0]
    assert len(set(runs[0][0])) > 1
    for left, right in zip(runs[0][1], runs[1][1], strict=True):
        assert torch.equal(left, right)


def test_facts_are_the_labeled_training_rows(tmp_path):
    """Neither held-out rows nor labels that were thinned out."""
    model = il.Recommender(partial(LightGCN, embedding_dim=2))
    data = make_data(labeled_fraction=0.5)
    make_trainer(tmp_path, max_epochs=1).fit(model, data)
    rows, train = data.interactions, data.rows.train_rows
    assert len(train) < 0.5 * len(rows)
    positive = train[rows.labels[train] > 0]
    expected = sorted(zip(rows.users[positive], rows.items[positive], strict=True))
    found = model.backbone.pairs.get_extra_state().T.tolist()
    assert found == [[int(user), int(item)] for user, item in expected]


def test_features_reach_the_right_items(tmp_path):
    model, data = il.Recommender(BACKBONES[3]), make_data()
    make_trainer(tmp_path, max_epochs=1).fit(model, data)
    ids = data.interactions.item_ids.ids
    expected = data.item_features.loc[ids].to_numpy(np.float32)
    assert np.array_equal(model.backbone.items.values.numpy(), expected)
    assert model.backbone.users.features is None
    assert model.backbone.items.feature_weights.weight.all()  # zero before training


@pytest.mark.parametrize("build", BACKBONES[-2:], ids=NAMES[-2:])
def test_sequence_models_say_that_they_need_timestamps(build, tmp_path):
    trainer = make_trainer(tmp_path, max_epochs=1)
    with pytest.raises(ValueError, match="the data has no timestamps"):
        trainer.fit(il.Recommender(build), make_data(timestamps=False))


@pytest.mark.parametrize("build", [BACKBONES[0], BACKBONES[3]], ids=[NAMES[0], NAMES[3]])
def test_evaluation_and_training_without_a_fresh_model(build, tmp_path):
    """An untrained model is shown the training rows too, and a loaded one those of new data."""
    untrained = il.Recommender(build)
    assert (
        "test_auc"
        in make_trainer(tmp_path, max_epochs=1).test(untrained, make_data(), verbose=False)[0]
    )
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(il.Recommender(build), make_data())
    loaded = il.load(trainer.checkpoint_callback.best_model_path)
    fewer = make_data(labeled_fraction=0.3)
    make_trainer(tmp_path / "again", max_epochs=1).fit(loaded, fewer)
    if isinstance(loaded.backbone, LightGCN):
        positive = fewer.interactions.labels[fewer.rows.train_rows].sum()
        assert loaded.backbone.pairs.get_extra_state().shape[1] == positive


@pytest.mark.resume
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("build", BACKBONES, ids=NAMES)
def test_resume_equals_uninterrupted(build, tmp_path):
    """Two epochs at once, and one plus one through a checkpoint: the same weights, exactly."""
    states = []
    for epochs in ((2,), (1, 2)):
        path = None
        for end in epochs:
            pl.seed_everything(0 if end == epochs[0] else 99, verbose=False)
            model = il.Recommender(build, unlabeled_loss=il.losses.NaiveNegativeLoss())
            trainer = make_trainer(tmp_path / f"{epochs} {end}", max_epochs=end)
            trainer.fit(model, make_data(), ckpt_path=path)
            path = trainer.checkpoint_callback.best_model_path
        states.append(model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value), name


def test_backbones_that_want_nothing_are_not_bothered(tmp_path, monkeypatch):
    """Facts of large data are made once, for the sampler, and again for a backbone that asks."""
    calls, make = [], il.ArrayDataModule.training_facts
    monkeypatch.setattr(
        il.ArrayDataModule, "training_facts", lambda self: calls.append(1) or make(self)
    )
    for backbone, expected in ((GMF, 1), (LightGCN, 2)):
        calls.clear()
        model = il.Recommender(partial(backbone, embedding_dim=2))
        make_trainer(tmp_path / backbone.__name__, max_epochs=1).fit(model, make_data())
        assert len(calls) == expected
    assert GMF.start_fit is Backbone.start_fit


class Wide(Backbone):
    """The sizes are not the first arguments."""

    def __init__(self, dim, num_users, num_items):
        super().__init__(num_users, num_items)

    def forward(self, users, items):
        return (users + items).float()


class WithoutSizes(Wide):
    def __init__(self, num_users, num_items):
        Backbone.__init__(self)


def test_sizes_are_those_handed_to_the_base():
    """Once the first two arguments were taken, whatever they were."""
    wide = Wide(8, 100, 200)
    assert (wide.num_users, wide.num_items) == (100, 200)


def test_sizes_must_be_handed_to_the_base():
    with pytest.raises(TypeError, match=r"WithoutSizes called .* write super\(\).__init__\(num_u"):
        WithoutSizes(100, 200)
