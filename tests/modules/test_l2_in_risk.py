"""The L2 penalty as a part of the risk: only if asked for, and then in every candidate."""

from functools import partial

import pytest
import torch

import invlightning as il
from tests.helpers.trainers import make_trainer

MF = partial(il.backbones.BiasedMF, embedding_dim=3)
SGD = partial(torch.optim.SGD, lr=0.1)
MODULES = [il.InverseGradientRecommender, il.EntireSpaceInverseGradientRecommender]


def train(kind, **arguments):
    torch.manual_seed(3)
    settings = {"schedule": "every_batch", "inner_lr": 0.05, "optimizer": SGD, **arguments}
    model = kind(MF, num_users=30, num_items=40, **settings)
    data = il.SyntheticDataModule(
        num_users=30, num_items=40, interactions_per_user=20, batch_size=64, meta_fraction=0.0
    )
    risks = []

    class Watch(il.callbacks.DirectionMonitor):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            risks.append((pl_module.last_step.risks.clone(), batch))

    trainer = make_trainer(max_epochs=1, callbacks=[Watch()], limit_val_batches=0)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer.fit(model, data)
    return model, start, risks


@pytest.mark.parametrize("kind", MODULES)
def test_the_penalty_is_part_of_the_risk_only_if_asked_for(kind):
    """The first risk, without a step, against the formulas. Seen to fail without the argument."""
    for asked in (False, True):
        model, start, risks = train(kind, embedding_l2=0.7, l2_in_risk=asked)
        risk, batch = risks[0]
        model.load_state_dict({**model.state_dict(), **start})
        with torch.no_grad():
            logits = model.backbone(batch.users, batch.items)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.labels)
            penalty = 0.7 * model.backbone.embedding_penalty(*model._looked_up(batch))
        assert penalty > 0
        expected = loss + penalty if asked else loss
        assert float(risk[0]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("kind", MODULES)
def test_the_outer_step_minimizes_the_same_where_no_step_is_taken(kind):
    """Counted once: with a decision that never moves, both give the same weights."""
    none = {"inner_lr": 1e-30, "embedding_l2": 0.7}
    (apart, _, _), (within, _, _) = (
        train(kind, **none, l2_in_risk=asked) for asked in (False, True)
    )
    for ours, theirs in zip(within.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
