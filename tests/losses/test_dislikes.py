"""Ranking losses that learn from dislikes."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.losses import BPRLoss, SampledSoftmaxLoss
from invlightning.losses.functional import sampled_rejection, sampled_softmax
from invlightning.testing import JointLossTests
from invlightning.types import JointRows
from tests.helpers.known import item_facts
from tests.helpers.trainers import make_trainer
from tests.reference import method_losses as oracle

GENERATOR = torch.Generator().manual_seed(4)
SCORES = torch.randn(6, dtype=torch.float64, generator=GENERATOR)
DRAWN = torch.randn(6, 5, dtype=torch.float64, generator=GENERATOR)
LABELS = torch.tensor([1.0, 0, 1, 0, 0, 1])
ITEMS, DRAWN_ITEMS = torch.arange(6), torch.arange(30).view(6, 5) % 14 + 6
LOSSES = [BPRLoss, SampledSoftmaxLoss]


class TestBPRWithDislikes(JointLossTests):
    loss = partial(BPRLoss, negative_weight=0.7)


class TestSoftmaxWithDislikes(JointLossTests):
    loss = partial(SampledSoftmaxLoss, beta=0.5, temperature=0.2, negative_weight=0.7)


def started(build):
    """A loss that has counted 20 items, each of which came once, and a dislike."""
    loss = build()
    loss.start_fit(item_facts(torch.arange(20) % 2, torch.arange(20), 20))
    return loss


def rows(logits=SCORES, drawn=DRAWN, mask=None):
    return JointRows(logits, LABELS, ITEMS, drawn, DRAWN_ITEMS, mask)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_rejection_formula(temperature):
    """Seen to fail with the loss of a positive."""
    q = torch.linspace(0.01, 0.2, 30, dtype=torch.float64).view(6, 5)
    found = sampled_rejection(SCORES, DRAWN, q.log(), None, temperature, reduction="none")
    expected = [
        oracle.sampled_rejection(s, drawn, own, temperature)
        for s, drawn, own in zip(SCORES.tolist(), DRAWN.tolist(), q.tolist(), strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_probabilities_of_both_losses_add_up():
    given = (SCORES, DRAWN, torch.tensor(-3.0))
    p = (-sampled_softmax(*given, reduction="none")).exp()
    rest = (-sampled_rejection(*given, reduction="none")).exp()
    assert torch.allclose(p + rest, torch.ones_like(p), rtol=1e-12)


@pytest.mark.parametrize("weight", [0.25, 2.0])
def test_dislikes_add_their_mean(weight):
    """Seen to fail with dislikes above the unknown, and with the mean over all rows."""
    liked, disliked = LABELS > 0, LABELS <= 0
    q = [[1 / 19] * 5] * 6
    parts = zip(SCORES.tolist(), DRAWN.tolist(), q, strict=True)
    softmax, rejection, above, below = [], [], [], []
    for score, drawn, own in parts:
        softmax.append(oracle.sampled_softmax(score, drawn, own, 1.0))
        rejection.append(oracle.sampled_rejection(score, drawn, own, 1.0))
        above.append(oracle.ranking(score, drawn))
        below.append(oracle.ranking(-score, [-s for s in drawn]))
    for build, likes, dislikes in (
        (SampledSoftmaxLoss, softmax, rejection),
        (BPRLoss, above, below),
    ):
        means = (torch.tensor(likes)[liked].mean(), torch.tensor(dislikes)[disliked].mean())
        found = started(partial(build, negative_weight=weight))(rows())
        assert found.item() == pytest.approx((means[0] + weight * means[1]).item(), rel=1e-6)


@pytest.mark.parametrize("build", LOSSES)
def test_the_order_is_liked_unknown_disliked(build):
    """Gradients lift the liked, lower the disliked, and lift the unknown beside a dislike."""
    scores, drawn = SCORES.clone().requires_grad_(), DRAWN.clone().requires_grad_()
    started(partial(build, negative_weight=1.0))(rows(scores, drawn)).backward()
    assert ((scores.grad < 0) == (LABELS > 0)).all()
    assert ((drawn.grad > 0).all(1) == (LABELS > 0)).all()
    assert ((drawn.grad < 0).all(1) == (LABELS <= 0)).all()


@pytest.mark.parametrize("build", LOSSES)
def test_dislikes_without_unlabeled_items_teach_nothing(build):
    """Seen to fail with such dislikes counted in the mean."""
    scores, mask = SCORES.clone().requires_grad_(), torch.ones(6, 5, dtype=torch.bool)
    mask[1] = False
    loss = started(partial(build, negative_weight=1.0))
    value = loss(rows(scores, mask=mask))
    value.backward()
    others = JointRows(*(c[mask[:, 0]] for c in (SCORES, LABELS, ITEMS, DRAWN, DRAWN_ITEMS)))
    assert torch.allclose(value, loss(others), rtol=1e-12)
    assert scores.grad.ne(0).tolist() == [True, False, True, True, True, True]


@pytest.mark.parametrize(("build", "weight"), [(BPRLoss, 1.0), (SampledSoftmaxLoss, 30.0)])
def test_dislikes_leave_the_first_ranks(build, weight):
    """In a Trainer: fewer held-out dislikes are recommended than without a weight."""
    found = []
    for given in (0.0, weight):
        pl.seed_everything(0, verbose=False)
        data = il.SyntheticDataModule(
            num_users=80,
            num_items=200,
            latent_dim=1,
            interactions_per_user=60,
            noise=0.0,
            num_unlabeled=8,
            meta_fraction=0.0,
        )
        model = il.Recommender(
            partial(il.backbones.GMF, embedding_dim=8),
            joint_loss=build(negative_weight=given),
            optimizer=partial(torch.optim.Adam, lr=0.05),
            top_k=10,
        )
        trainer = make_trainer(max_epochs=6, check_val_every_n_epoch=6, num_sanity_val_steps=0)
        trainer.fit(model, data)
        found.append(float(trainer.callback_metrics["val_disliked@10"]))
    assert found[1] < 0.8 * found[0]


@pytest.mark.parametrize("build", LOSSES)
def test_bad_arguments_of_dislikes_are_refused(build):
    with pytest.raises(ValueError, match=r"negative_weight is -1, expected 0, which"):
        build(negative_weight=-1)
    with pytest.raises(ValueError, match=r"negative_weight is 0.5, but none of the 3 training la"):
        build(negative_weight=0.5).start_fit(item_facts(torch.ones(3), torch.arange(3), 3))
