"""Per-example decisions against one backward pass per row."""

import copy
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F

import invlightning as il
from invlightning.inverse import (
    BatchSign,
    InverseGradient,
    MetaWeightNet,
    PerExampleReweight,
    PerExampleSign,
    UnlabeledRows,
)
from invlightning.testing import InnerStepProblem
from tests.helpers.trainers import make_trainer
from tests.reference import per_example as reference

ROW_DECISIONS = [PerExampleSign, PerExampleReweight, MetaWeightNet]
DECISIONS = {"sign": PerExampleSign(), "reweight": PerExampleReweight()}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(7, 4, dtype=torch.float64)
        self.item = nn.Embedding(9, 4, dtype=torch.float64)
        self.layer = nn.Linear(4, 1, dtype=torch.float64)

    def forward(self, users, items):
        return self.layer(torch.tanh(self.user(users) * self.item(items))).squeeze(-1)

    def unlabeled_logits(self, batch):
        return self(batch["users"].unsqueeze(1), batch["drawn"])


def make_batch(seed):
    draw = partial(torch.randint, generator=torch.Generator().manual_seed(seed))
    return {
        "users": draw(7, (6,)),
        "items": draw(9, (6,)),
        "labels": draw(2, (6,)).double(),
        "drawn": draw(9, (6, 2)),
    }


def losses(logits):
    return F.softplus(logits).square() - 0.3 * logits


def labeled(net, batch):
    return F.binary_cross_entropy_with_logits(net(batch["users"], batch["items"]), batch["labels"])


def engine_step(net, batch, decision, inner_lr=0.3):
    rows = UnlabeledRows(net, "unlabeled_logits", batch, lambda s: losses(s).mean())
    engine = InverseGradient(inner_lr, "sgd", decision)
    return engine.step(
        list(net.parameters()),
        lambda: losses(net.unlabeled_logits(batch)).mean(),
        lambda: labeled(net, batch),
        rows=rows,
    )


@pytest.mark.parametrize("kind", DECISIONS)
def test_equals_one_backward_pass_per_row(kind):
    net = Network()
    naive = copy.deepcopy(net)
    for seed in range(5):
        batch = make_batch(seed)
        record = engine_step(net, batch, DECISIONS[kind])
        weights = reference.step(
            naive,
            lambda n, batch=batch: losses(n.unlabeled_logits(batch)).flatten(),
            lambda n, batch=batch: labeled(n, batch),
            kind,
            0.3,
        )
        signs = torch.tensor(weights).sign()
        expected = [(signs == sign).double().mean().item() for sign in (0, -1, 1)]
        assert record.shares.tolist() == pytest.approx(expected)
        for p, q in zip(net.parameters(), naive.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", DECISIONS)
def test_the_step_lowers_the_risk_to_first_order(kind):
    lowered = []
    for seed in range(6):
        net, batch = Network(), make_batch(seed)
        before = labeled(net, batch).item()
        record = engine_step(net, batch, DECISIONS[kind], inner_lr=1e-3)
        if record.shares[0] < 1:  # some row takes a step
            lowered.append(labeled(net, batch).item() < before)
    assert len(lowered) >= 3
    assert all(lowered)


def test_derivative_of_logits_along_a_displacement():
    net, batch = Network(), make_batch(1)
    parameters = list(net.parameters())
    displacement = [torch.randn_like(p) for p in parameters]
    rows = UnlabeledRows(net, "unlabeled_logits", batch, torch.mean)
    found = rows.tangent(parameters, displacement)
    small = 1e-6
    moved = [copy.deepcopy(net) for _ in range(2)]
    for sign, other in zip((1, -1), moved, strict=True):
        with torch.no_grad():
            for p, v in zip(other.parameters(), displacement, strict=True):
                p += sign * small * v
    up, down = (other.unlabeled_logits(batch) for other in moved)
    torch.testing.assert_close(found, (up - down) / (2 * small), rtol=1e-6, atol=1e-8)


def test_nothing_aligned_moves_nothing():
    net, batch = Network(), make_batch(2)
    rows = UnlabeledRows(net, "unlabeled_logits", batch, lambda s: losses(s).mean())
    before = copy.deepcopy(net.state_dict())
    engine = InverseGradient(0.3, "sgd", PerExampleReweight())
    engine.step(
        list(net.parameters()),
        lambda: losses(net.unlabeled_logits(batch)).mean(),
        lambda: 0 * labeled(net, batch),
        rows=rows,
    )
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


def test_rows_are_needed():
    weight = nn.Parameter(torch.ones(1))
    engine = InverseGradient(0.3, "sgd", PerExampleSign())
    with pytest.raises(ValueError, match=r"must define unlabeled_logits\(batch\)"):
        engine.step([weight], weight.sum, weight.sum)


@pytest.mark.parametrize("decision", [PerExampleSign(), PerExampleReweight(), BatchSign()])
@pytest.mark.parametrize("backbone", [il.backbones.GMF, il.backbones.NeuMF])
def test_mixin_equals_callback(decision, backbone):
    weights = []
    network = partial(backbone, embedding_dim=4)
    optimizer = partial(torch.optim.Adam, lr=0.01)
    for form in ("mixin", "callback"):
        pl.seed_everything(1, verbose=False)
        arguments = {"inner_lr": 0.01, "schedule": "every_batch", "decision": decision}
        if form == "mixin":
            callbacks = []
            model = il.InverseGradientRecommender(network, optimizer=optimizer, **arguments)
        else:
            loss = il.losses.InverseDualLoss()
            callbacks = [il.callbacks.InverseGradientCallback(**arguments, unlabeled_loss=loss)]
            model = il.Recommender(network, optimizer=optimizer)
        watched = [*callbacks, il.callbacks.DirectionMonitor()]
        trainer = make_trainer(max_epochs=1, callbacks=watched)
        trainer.fit(model, il.SyntheticDataModule(num_users=60, num_items=50, batch_size=128))
        weights.append(model.state_dict())
        shares = [trainer.callback_metrics[f"direction/{n}"] for n in ("none", "inverse", "direct")]
        assert float(sum(shares)) == pytest.approx(1.0)
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value), name


class Overflows(torch.autograd.Function):
    """The identity, one of whose derivatives is infinite."""

    @staticmethod
    def forward(values, where):
        return values.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.where = inputs[1]

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (torch.inf if ctx.where == "backward" else 1), None

    @staticmethod
    def jvp(ctx, tangent, _):
        is_last = torch.arange(tangent.numel()).view_as(tangent) == tangent.numel() - 1
        return tangent.masked_fill(is_last & (ctx.where == "forward"), torch.inf)


class OverflowingProblem(InnerStepProblem):
    """Overflows in one place alone; derivatives of all other parameters are finite."""

    where = None

    def unlabeled_logits(self, rows):
        users, _, drawn, _ = rows
        features = torch.tanh(self.users(users.unsqueeze(1)) * self.items(drawn))
        bias = Overflows.apply(self.layer.bias, "backward" if self.where == "gradient" else None)
        logits = (features @ self.layer.weight.T + bias).squeeze(-1)
        return Overflows.apply(logits, "forward" if self.where == "tangent" else None)

    def labeled_risk(self):
        users, items, _, labels = self.rows
        offset = Overflows.apply(self.offset, "backward" if self.where == "risk" else None)
        return F.binary_cross_entropy_with_logits(self(users, items) + offset, labels)


@pytest.mark.parametrize("where", ["gradient", "tangent", "risk"])
@pytest.mark.parametrize("make", ROW_DECISIONS)
def test_an_overflow_in_one_place_forbids_the_whole_step(make, where):
    """Seen to fail, one by one, without each of the three checks."""
    problem, decision = OverflowingProblem(), make()
    before = problem.values()
    problem.where = where
    record = problem.step(decision)
    assert record.shares.tolist() == [1, 0, 0]
    assert all(torch.equal(a, b) for a, b in zip(problem.values(), before, strict=True))
    problem.where = None
    assert problem.step(decision).shares[0] < 1
    assert not all(torch.equal(a, b) for a, b in zip(problem.values(), before, strict=True))
