"""Each user's positives against that user's negatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import invlightning as il
from invlightning.losses import LabeledPairwiseLoss
from invlightning.losses.functional import labeled_pairwise_loss
from invlightning.testing import LabeledLossTests
from tests.helpers.forms import GMF, make_data
from tests.helpers.trainers import make_trainer
from tests.reference.losses import softplus

ROWS = st.lists(
    st.tuples(st.floats(-9, 9), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=30
)


class TestLabeledPairwiseLoss(LabeledLossTests):
    loss = LabeledPairwiseLoss


@settings(deadline=None)
@given(ROWS)
def test_equals_pair_by_pair(rows):
    pairs = [
        softplus(other[0] - one[0])
        for one in rows
        for other in rows
        if one[2] == other[2] and one[1] == 1 and other[1] == 0
    ]
    scores, labels, users = zip(*rows, strict=True)
    logits = torch.tensor(scores, dtype=torch.float64)
    found = labeled_pairwise_loss(logits, torch.tensor(labels).float(), torch.tensor(users))
    assert found.item() == pytest.approx(sum(pairs) / max(len(pairs), 1), rel=1e-9)


def test_rows_of_other_users_are_not_compared():
    """Seen to fail when all rows were taken for those of one user."""
    logits = torch.tensor([0.0, 1.0, 5.0, 5.0], dtype=torch.float64, requires_grad=True)
    labels, users = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0, 0, 1, 2])
    LabeledPairwiseLoss().of_rows(logits, labels, users).backward()
    assert logits.grad[:2].abs().min() > 0
    assert not logits.grad[2:].any()


def test_labeled_pairwise_loss_trains_a_recommender():
    model = il.Recommender(GMF, labeled_loss=LabeledPairwiseLoss())
    trainer = make_trainer(max_epochs=8)
    data = make_data(meta_fraction=0.0, num_unlabeled=0, batch_size=256)
    trainer.fit(model, data)
    assert trainer.callback_metrics["val_gauc"] > 0.55


def test_true_negatives_are_drawn_beside_positives():
    """The other way to compare labeled rows: BPR over drawn true negatives."""
    data = make_data(sampler=il.data.TrueNegativeSampler(), meta_fraction=0.0)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    drawn = data.draw_unlabeled(batch)
    users, items = data.training_facts().negatives()
    negatives = set(zip(users.tolist(), items.tolist(), strict=True))
    owners = {user for user, _ in negatives}
    for user, [item] in zip(batch.users.tolist(), drawn.tolist(), strict=True):
        assert (user, item) in negatives if user in owners else item == -1
    model = il.Recommender(GMF, joint_loss=il.losses.BPRLoss())
    make_trainer(max_epochs=1).fit(model, make_data(sampler=il.data.TrueNegativeSampler()))


def test_true_negatives_must_exist():
    data = il.ArrayDataModule([1, 1, 2, 2], [1, 2, 1, 3], sampler=il.data.TrueNegativeSampler())
    with pytest.raises(ValueError, match="no training row is labeled negative"):
        data.setup()
