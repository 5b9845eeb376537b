"""Exposed rows in training: the losses, both forms of inverse gradients, resume, two processes."""

from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.strategies import DDPStrategy

import invlightning as il
from invlightning.types import LabeledBatch
from tests.helpers import exposed
from tests.helpers.exposed import FORMS, PRIOR, make_data, train
from tests.helpers.forms import ADAM, GMF, NextItems, RanksAgree, assert_equal
from tests.helpers.trainers import make_trainer
from tests.reference import losses as oracle

SIZES = {"num_users": 40, "num_items": 30}


class Rule(il.Backbone):
    """Looks nothing up."""

    def __init__(self, num_users, num_items):
        super().__init__(num_users, num_items)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, users, items):
        return self.scale * (users + items)


def batch_of(masked=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randint, generator=generator)
    drawn = draw(30, (6, 2))
    mask = torch.tensor([True, True, False, True, True, True]).unsqueeze(1).expand(6, 2)
    return LabeledBatch(
        draw(40, (6,)),
        draw(30, (6,)),
        draw(2, (6,)).float(),
        drawn.where(mask, -1) if masked else drawn,
        mask if masked else None,
        exposed_users=draw(40, (5,)),
        exposed_items=draw(30, (5,)),
        exposed_drawn_items=draw(30, (5, 2)),
    )


def awake(model):
    """In float64, with weights large enough that every one matters."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model.double()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("backbone", [GMF, partial(il.backbones.NeuMF, embedding_dim=4)])
@pytest.mark.parametrize("kinds", [("unlabeled",), ("exposed",), ("unlabeled", "exposed")])
def test_one_forward_pass_gives_the_losses_of_separate_ones(kinds, backbone, masked):
    """Seen to fail when the logits of two kinds were exchanged."""
    losses = {f"{kind}_loss": il.losses.InverseDualLoss() for kind in kinds}
    model = awake(il.Recommender(backbone, **SIZES, **losses))
    batch, passes = batch_of(masked), []
    model.backbone.register_forward_hook(lambda *args: passes.append(1))
    together = model.training_step(batch, 0)
    assert len(passes) == 1
    apart = model.labeled_loss(batch) + model.unlabeled_loss(batch)
    assert together.item() == pytest.approx(apart.item(), rel=1e-12)
    gradients = [
        torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        for loss in (together, apart)
    ]
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_losses_are_those_of_the_oracle():
    """Row by row in Python floats: labeled, drawn as negatives, exposed with their own loss."""
    naive, idl = il.losses.NaiveNegativeLoss(0.1), il.losses.InverseDualLoss(weight=0.3)
    build = partial(il.backbones.BiasedMF, embedding_dim=3)
    model = awake(il.Recommender(build, **SIZES, unlabeled_loss=naive, exposed_loss=idl))
    batch = batch_of()
    weights = {name: value.tolist() for name, value in model.backbone.state_dict().items()}

    def score(user, item):
        product = sum(
            a * b
            for a, b in zip(
                weights["users.weight"][user], weights["items.weight"][item], strict=True
            )
        )
        biases = weights["user_bias.weight"][user][0] + weights["item_bias.weight"][item][0]
        return product + biases + weights["bias"][0]

    labeled = oracle.cross_entropy(
        [score(u, i) for u, i in zip(batch.users.tolist(), batch.items.tolist(), strict=True)],
        batch.labels.tolist(),
    )
    rows = zip(batch.users.tolist(), batch.unlabeled_items.tolist(), strict=True)
    drawn = [oracle.softplus(score(u, i)) for u, items in rows for i in items]
    pairs = zip(batch.exposed_users.tolist(), batch.exposed_items.tolist(), strict=True)
    annotated = [oracle.dual_loss(score(u, i)) for u, i in pairs]
    expected = labeled + 0.1 * sum(drawn) / len(drawn) + 0.3 * sum(annotated) / len(annotated)
    assert model.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-12)


def test_penalty_is_the_mean_squared_norm_of_looked_up_rows():
    """Of labeled, drawn and exposed rows alike, biases too, row by row."""
    build = partial(il.backbones.BiasedMF, embedding_dim=3)
    losses = {"unlabeled_loss": il.losses.NaiveNegativeLoss(), "exposed_loss": PRIOR()}
    model = awake(il.Recommender(build, **SIZES, **losses, embedding_l2=0.7))
    batch = batch_of(masked=True)
    pairs = [*zip(batch.users.tolist(), batch.items.tolist(), strict=True)]
    rows = zip(batch.users.tolist(), batch.unlabeled_items.tolist(), strict=True)
    pairs += [(user, item) for user, items in rows for item in items if item >= 0]
    pairs += zip(batch.exposed_users.tolist(), batch.exposed_items.tolist(), strict=True)
    tables = {name: value.tolist() for name, value in model.backbone.state_dict().items()}

    def norm(user, item):
        found = [*tables["users.weight"][user], *tables["items.weight"][item]]
        biases = [tables["user_bias.weight"][user][0], tables["item_bias.weight"][item][0]]
        return sum(value**2 for value in found + biases)

    expected = 0.7 * sum(norm(*pair) for pair in pairs) / len(pairs)
    assert model.further_loss(batch).item() == pytest.approx(expected, rel=1e-12)


def test_penalty_is_row_sparse():
    build = partial(il.backbones.BiasedMF, embedding_dim=3, sparse=True)
    model = il.Recommender(build, **SIZES, embedding_l2=0.1)
    model.further_loss(batch_of()).backward()
    assert all(p.grad.is_sparse for name, p in model.backbone.named_parameters() if name != "bias")


def test_backbones_without_tables_are_told():
    model = il.Recommender(Rule, **SIZES, embedding_l2=0.1)
    with pytest.raises(ValueError, match="finds no tables of users or items in Rule: set it to 0"):
        model.training_step(batch_of(), 0)


@pytest.mark.parametrize("decision", [il.inverse.BatchSign, il.inverse.Direct])
def test_both_forms_give_equal_weights(decision):
    """Bit for bit; seen to fail when the callback took the loss of drawn rows."""
    inner = {"inner_lr": 0.02, "schedule": "every_batch", "decision": decision()}
    arguments = {"backbone": GMF, "optimizer": ADAM}
    callback = il.callbacks.InverseGradientCallback(**inner, exposed_loss=PRIOR())
    mixin = partial(il.InverseGradientRecommender, exposed_loss=PRIOR(), **inner, **arguments)
    models = []
    for model, callbacks in ((mixin, []), (partial(il.Recommender, **arguments), [callback])):
        torch.manual_seed(4)
        built = model(**SIZES)
        make_trainer(callbacks=callbacks).fit(built, make_data())
        models.append(built)
    assert_equal(*(model.backbone for model in models))


@pytest.mark.parametrize(
    "decision",
    [il.inverse.PerExampleSign, il.inverse.PerExampleReweight, il.inverse.MetaWeightNet],
)
@pytest.mark.parametrize("kinds", [("exposed",), ("unlabeled", "exposed")])
def test_decisions_about_rows_see_every_kind(decision, kinds):
    losses = {f"{kind}_loss": il.losses.InverseDualLoss() for kind in kinds}
    model = il.InverseGradientRecommender(
        GMF, optimizer=ADAM, schedule="every_batch", inner_lr=0.1, decision=decision(), **losses
    )
    trainer = make_trainer(max_epochs=1)
    trainer.fit(model, make_data())
    assert model.last_step.shares.sum() == pytest.approx(1.0, abs=1e-5)
    assert model.last_step.shares[1:].sum() > 0


@pytest.mark.resume
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
@pytest.mark.parametrize("epoch", ["labeled", "exposed"])
@pytest.mark.parametrize("form", FORMS)
def test_stop_after_any_step(form, epoch, tmp_path):
    """Bit for bit, in both kinds of epochs."""
    saves = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    data = partial(make_data, epoch=epoch)
    flags = {"enable_checkpointing": True, "num_sanity_val_steps": 0}
    whole, _ = train(form, data(), callbacks=[saves], **flags)
    for step in (1, 6, 13):
        torch.manual_seed(99)
        path = tmp_path / f"step={step}.ckpt"
        again, _ = train(form, data(), ckpt_path=path, **{**flags, "enable_checkpointing": False})
        assert_equal(again, whole)


@pytest.mark.ddp
@pytest.mark.parametrize("epoch", ["labeled", "exposed"])
@pytest.mark.parametrize("form", FORMS)
def test_two_processes_equal_one(form, epoch):
    """In float64; seen to fail when every process took the exposed rows of the first.

    Without a prior, which each process matches on its own rows.
    """
    models = []
    for processes in (1, 2):
        data = make_data(sampler=NextItems(), batch_size=32 // processes, epoch=epoch)
        strategy = DDPStrategy(start_method="fork") if processes == 2 else "auto"
        flags = {"devices": processes, "strategy": strategy, "precision": "64-true"}
        arguments = {"loss": il.losses.InverseDualLoss}
        model, _ = train(form, data, arguments, [RanksAgree()], max_epochs=2, **flags)
        models.append(model)
    assert_equal(models[1], models[0].float(), atol=1e-6)


def test_losses_without_exposed_rows_are_refused():
    data = il.ArrayDataModule(*exposed.table(), positive_threshold=0.5)
    for model, callbacks in (
        (il.Recommender(GMF, exposed_loss=PRIOR()), []),
        (il.InverseGradientRecommender(GMF, exposed_loss=PRIOR(), schedule="every_batch"), []),
        (il.Recommender(GMF), [il.callbacks.InverseGradientCallback(exposed_loss=PRIOR())]),
    ):
        with pytest.raises(
            ValueError, match="InverseDualLoss is to train on exposed rows, but the"
        ):
            make_trainer(callbacks=callbacks).fit(model, data)
    with pytest.raises(ValueError, match="num_exposed is 0"):
        make_trainer().fit(il.Recommender(GMF, exposed_loss=PRIOR()), make_data(num_exposed=0))


def test_hidden_labels_reach_no_weight():
    """Other hidden labels, the same weights: nothing that trains looks at them."""
    models = []
    for flip in (False, True):
        users, items, ratings = exposed.table()
        data = il.ArrayDataModule(
            users, items, ratings, positive_threshold=0.5, batch_size=32, labeled_fraction=0.4
        )
        data.setup()
        hidden = data.rows.hidden
        assert len(hidden.labels) > 100
        if flip:
            hidden.labels.copy_(1 - hidden.labels)
        model, _ = train("both kinds", data)
        models.append(model)
    assert_equal(*models)


def test_a_phased_schedule_has_no_part_in_an_epoch_over_exposed_rows():
    """Without the check it trained on without a single inverse gradient step."""
    model = il.InverseGradientRecommender(GMF, exposed_loss=PRIOR())
    with pytest.raises(ValueError, match=r"which an epoch over exposed rows has not: use schedule"):
        make_trainer().fit(model, make_data(epoch="exposed", meta_fraction=0.2))
