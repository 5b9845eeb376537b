"""The Trainer's clipping flags over row-sparse tables, against dense ones."""

import copy
from functools import partial

import pytest
import torch

import invlightning as il
from invlightning.data import RandomSplit
from invlightning.optim import RowSparseAdam
from tests.helpers.trainers import make_trainer


def make_data():
    """One batch an epoch, in which every user and every item occurs."""
    return il.SyntheticDataModule(
        num_users=20,
        num_items=15,
        interactions_per_user=8,
        split=RandomSplit(0.0, 0.0),
        meta_fraction=0.0,
    )


@pytest.mark.parametrize("algorithm", ["norm", "value"])
@pytest.mark.parametrize(
    "make",
    [
        partial(il.Recommender, unlabeled_loss=il.losses.InverseDualLoss()),
        partial(il.InverseGradientRecommender, schedule="every_batch", direction="sgd"),
    ],
)
def test_a_trainer_clips_sparse_tables(tmp_path, make, algorithm):
    """Every table row is in every batch, so sparse and dense training are the same."""
    models = []
    for sparse in (False, True):
        torch.manual_seed(2)
        gmf = partial(il.backbones.GMF, embedding_dim=4, sparse=sparse)
        model = make(gmf, optimizer=partial(RowSparseAdam, lr=0.1), num_users=20, num_items=15)
        start = copy.deepcopy(model.backbone.state_dict())
        make_trainer(
            limit_val_batches=0, gradient_clip_val=1e-3, gradient_clip_algorithm=algorithm
        ).fit(model, make_data())
        models.append(model)
    for name, value in models[0].backbone.state_dict().items():
        assert not torch.equal(value, start[name])
        torch.testing.assert_close(models[1].backbone.state_dict()[name], value, rtol=0, atol=1e-5)
