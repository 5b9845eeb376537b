"""How often LightGCN propagates: once an evaluation, once a training step."""

from functools import partial

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.data import AdaptiveHardnessSampler, DynamicSampler, PositiveResampler
from tests.helpers.trainers import make_trainer


@pytest.fixture
def propagations(monkeypatch):
    """A list that grows by whether there is a graph, at every propagation."""
    calls, compute = [], il.backbones.LightGCN.compute_vectors

    def counting(self):
        calls.append(torch.is_grad_enabled())
        return compute(self)

    monkeypatch.setattr(il.backbones.LightGCN, "compute_vectors", counting)
    return calls


def make_data(**arguments):
    sizes = {"num_users": 30, "num_items": 50, "interactions_per_user": 20}
    return il.SyntheticDataModule(**sizes, batch_size=64, ranking_batch_size=7, **arguments)


def make_model(**arguments):
    build = partial(il.backbones.LightGCN, embedding_dim=4)
    return il.Recommender(build, item_chunk=8, **arguments)


def test_once_an_evaluation(propagations):
    """Labeled rows, and five batches of users with their items in seven blocks.

    Seen to fail without the memory.
    """
    data, model, trainer = (
        make_data(),
        make_model(),
        make_trainer(num_sanity_val_steps=0, max_epochs=1),
    )
    trainer.fit(model, data)
    propagations.clear()
    [found, ranked] = trainer.validate(model, data, verbose=False)
    assert propagations == [False]
    assert {"val_auc", "val_recall@20"} <= {*found, *ranked}
    trainer.test(model, data, verbose=False)
    trainer.predict(model, data)
    assert propagations == [False] * 3


def test_once_a_recommendation_while_training_is_paused(propagations):
    """Seen to fail without the promise that parameters are fixed."""
    data, model = make_data(), make_model()
    make_trainer(num_sanity_val_steps=0, max_epochs=1).fit(model, data)
    users = data.interactions.user_ids.decode(range(30)).tolist()
    model.train()
    propagations.clear()
    paused = model.recommend(users)
    assert propagations == [False]
    assert model.backbone.training
    model.backbone.users.weight.data.neg_()  # leaves no trace
    other = model.recommend(users)
    assert propagations == [False, False]
    assert not paused.equals(other)
    pd.testing.assert_frame_equal(model.eval().recommend(users), other)


SAMPLERS = {
    "uniform": ({}, [True]),
    "scores candidates": ({"sampler": DynamicSampler(10)}, [False, True]),
    "scores candidates and rows": ({"sampler": AdaptiveHardnessSampler(8)}, [False, True]),
    "exchanges positives": ({"resampler": PositiveResampler(start_epoch=0)}, [False, True]),
    "both": (
        {"sampler": DynamicSampler(10), "resampler": PositiveResampler(start_epoch=0)},
        [False, True],
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), SAMPLERS.values(), ids=SAMPLERS)
def test_once_a_training_step(arguments, expected, propagations, monkeypatch):
    """With a graph once for labeled and unlabeled rows; without one once for all draws.

    Seen to fail when graphs are not shared, and when draws do not promise fixed parameters.
    """
    monkeypatch.setattr("invlightning.data.samplers.hard._BLOCK", 100)
    data = make_data(num_unlabeled=2, meta_fraction=0.0, **arguments)
    trainer = make_trainer(limit_val_batches=0, num_sanity_val_steps=0, max_epochs=1)
    trainer.fit(make_model(joint_loss=il.losses.BPRLoss()), data)
    assert trainer.global_step == 8
    assert propagations == expected * 8


DECISIONS = [il.inverse.BatchSign, il.inverse.PerExampleSign, il.inverse.PerExampleReweight]


@pytest.mark.parametrize("decision", DECISIONS)
def test_shared_propagations_change_no_inverse_gradient(decision, propagations, monkeypatch):
    """The weights are those of a network that propagates in every forward pass.

    Seen to fail when vectors outlive both a backward pass and the risks of the candidates.
    """
    states, counts = [], []
    for shares in (True, False):
        monkeypatch.setattr(il.backbones.LightGCN, "shares_graph", shares)
        pl.seed_everything(0, verbose=False)
        build = partial(il.backbones.LightGCN, embedding_dim=4)
        model = il.InverseGradientRecommender(
            build, inner_lr=0.1, schedule="every_batch", decision=decision()
        )
        propagations.clear()
        make_trainer(limit_val_batches=0, num_sanity_val_steps=0, max_epochs=1).fit(
            model, make_data(meta_fraction=0.0)
        )
        states.append(model.state_dict())
        counts.append(len(propagations))
    assert counts[0] <= counts[1]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=0, atol=1e-5)
