"""Preference and exposure: losses, ranking, shared tables, what is refused."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

import invlightning as il
from invlightning.modules.entire_space import share_tables
from invlightning.types import RankingBatch
from tests.helpers.exposed import make_data
from tests.helpers.forms import ADAM, GMF
from tests.helpers.trainers import make_trainer
from tests.modules.test_exposed_training import SIZES, awake, batch_of

MF = partial(il.backbones.BiasedMF, embedding_dim=4)
KINDS = [il.EntireSpaceRecommender, il.EntireSpaceInverseGradientRecommender]


@pytest.mark.parametrize("masked", [False, True])
def test_exposure_compares_what_was_seen_with_what_was_drawn(masked):
    """Cross entropy row by row: observed rows are 1 whatever their label, drawn ones are 0."""
    model = awake(il.EntireSpaceRecommender(MF, **SIZES))
    batch = batch_of(masked)
    users = torch.cat([batch.users, batch.exposed_users])
    items = torch.cat([batch.items, batch.exposed_items])
    drawn = torch.cat([batch.unlabeled_items, batch.exposed_drawn_items])
    exposure = model.exposure_backbone
    losses = F.softplus(-exposure(users, items)).tolist()
    for user, row in zip(users.tolist(), drawn.tolist(), strict=True):
        for item in row:
            if item >= 0:
                losses.append(F.softplus(exposure(torch.tensor(user), torch.tensor(item))).item())
    expected = sum(losses) / len(losses)
    assert model.exposure_loss(batch).item() == pytest.approx(expected, rel=1e-12)
    total = model.labeled_loss(batch) + 0.5 * model.exposure_loss(batch)
    model.exposure_weight = 0.5
    assert model.training_step(batch, 0).item() == pytest.approx(total.item(), rel=1e-12)


def test_catalogue_is_ranked_by_seen_and_liked():
    """By brute force over the catalogue, in one block and in several."""
    model = awake(il.EntireSpaceRecommender(MF, **SIZES)).eval()
    users, items = torch.arange(40), torch.arange(30)
    preference = model.backbone(users.unsqueeze(1), items)
    expected = model.exposure_backbone(users.unsqueeze(1), items) + F.logsigmoid(preference)
    found = torch.cat([model.score_range(users, 0, 7), model.score_range(users, 7, 30)], 1)
    assert torch.allclose(found, expected)
    assert torch.allclose(model.score_range(users, 0, 30), expected)
    nothing = torch.empty(0, dtype=torch.int64)
    model.top_k = 5
    _, best = model._top_unseen(RankingBatch(users, *[nothing] * 4))
    assert torch.equal(best, expected.topk(5, dim=1).indices)
    assert torch.allclose(model(users, items[:1].expand(40)), preference[:, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backbone", [GMF, MF, partial(il.backbones.NeuMF, embedding_dim=4)])
@pytest.mark.parametrize("shared", [False, True])
def test_trains_evaluates_and_loads(kind, backbone, shared, tmp_path):
    model = kind(backbone, optimizer=ADAM, shared_tables=shared, embedding_l2=0.01)
    trainer = make_trainer(max_epochs=2)
    data = make_data(epoch="exposed")
    trainer.fit(model, data)
    assert {"val_auc", "val_recall@20"} <= set(trainer.callback_metrics)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = il.load(tmp_path / "model.ckpt").eval()
    users = torch.arange(5)
    assert torch.equal(loaded.score_range(users, 0, 30), model.eval().score_range(users, 0, 30))
    assert len(loaded.recommend([1, 2], {})) == 40


def test_shared_tables_are_one_but_for_the_biases():
    model = il.EntireSpaceRecommender(MF, shared_tables=True, **SIZES)
    preference, exposure = model.backbone, model.exposure_backbone
    assert exposure.users is preference.users
    assert exposure.items is preference.items
    assert exposure.user_bias is not preference.user_bias
    names = {id(p) for p in model.parameters()}
    assert len(names) == len(list(model.parameters())) == 8
    own = il.EntireSpaceRecommender(MF, **SIZES)
    assert own.exposure_backbone.users is not own.backbone.users


@pytest.mark.parametrize("shared", [False, True])
def test_sparse_tables_work(shared):
    build = partial(il.backbones.BiasedMF, embedding_dim=4, sparse=True)
    optimizer = partial(il.optim.RowSparseAdam, lr=0.01)
    for kind in KINDS:
        model = kind(build, optimizer=optimizer, shared_tables=shared, embedding_l2=0.1)
        make_trainer(max_epochs=1).fit(model, make_data())


@pytest.mark.parametrize(
    "loss", [il.losses.BPRLoss, il.losses.SampledSoftmaxLoss], ids=["bpr", "softmax"]
)
def test_other_exposure_losses(loss):
    model = il.EntireSpaceRecommender(MF, exposure_loss=loss())
    make_trainer(max_epochs=1).fit(model, make_data(num_unlabeled=4))


def test_graphs_of_exposure_hold_every_row():
    """A graph network of exposure connects users with all that they saw."""
    build = partial(il.backbones.LightGCN, embedding_dim=4)
    model, data = il.EntireSpaceRecommender(build), make_data()
    make_trainer(max_epochs=1).fit(model, data)
    facts = data.training_facts()
    assert len(model.backbone.pairs.user_items) == len(facts.positives()[0])
    assert len(model.exposure_backbone.pairs.user_items) == len(facts.observed()[0])


def test_the_risk_and_the_direction_are_of_the_preference():
    """Neither the inner step nor its risks move or see the exposure."""
    model = il.EntireSpaceInverseGradientRecommender(
        MF, inner_lr=0.5, direction="sgd", optimizer=partial(torch.optim.SGD, lr=0.0)
    )
    trainer = make_trainer(max_epochs=1, limit_train_batches=3)
    trainer.fit(model, make_data())
    fresh = il.EntireSpaceInverseGradientRecommender(MF, **SIZES)
    assert model.last_step.risks.isfinite().all()
    # Without an outer step the biases of the exposure stay at their initial zero.
    assert not model.exposure_backbone.user_bias.weight.any()
    assert model.backbone.bias.item() != fresh.backbone.bias.item()


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match="exposure_weight must be at least 0, got -1"):
        il.EntireSpaceRecommender(MF, exposure_weight=-1)
    with pytest.raises(TypeError, match="exposure_backbone is an instance of BiasedMF"):
        il.EntireSpaceRecommender(MF, exposure_backbone=il.backbones.BiasedMF(3, 4))
    with pytest.raises(ValueError, match="compares what was seen with drawn pairs, but num_unl"):
        make_trainer().fit(il.EntireSpaceRecommender(MF), make_data(num_unlabeled=0))
    with pytest.raises(ValueError, match="shared_tables finds no embeddings"):
        share_tables(il.backbones.BiasedMF(3, 4), il.backbones.GMF(3, 4))
