from functools import partial

import pytest
import torch

from invlightning.losses import TruncatedLoss
from invlightning.losses.functional import truncated_cross_entropy
from invlightning.testing import JointLossTests
from invlightning.types import JointRows
from tests.reference import method_losses as oracle

LOGITS = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2
LABELS = (torch.arange(30) % 3 == 0).double()


def make_rows(positives=(2.0, -1.0, 0.5, -3.0), mask=None):
    logits = torch.tensor(positives, dtype=torch.float64, requires_grad=True)
    drawn = torch.linspace(-2, 2, len(positives), dtype=torch.float64).unsqueeze(1)
    items = torch.arange(len(positives))
    return JointRows(logits, torch.ones_like(logits), items, drawn, items.unsqueeze(1) + 1, mask)


class TestTruncatedLoss(JointLossTests):
    loss = TruncatedLoss


class TestFullRate(JointLossTests):
    """Half of the positives are dropped from the second step on."""

    loss = partial(TruncatedLoss, drop_rate=0.125, num_gradual=1)

    def make(self):
        loss = super().make()
        loss.steps.fill_(5)
        return loss


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.3, 1 / 3, 0.7, 0.99])
def test_formula(rate):
    found = truncated_cross_entropy(LOGITS, LABELS, torch.tensor(rate))
    rows = list(zip(LOGITS.tolist(), LABELS.tolist(), strict=True))
    assert found.item() == pytest.approx(oracle.truncated(rows, rate), rel=1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.3])
def test_masked_rows_do_not_count_as_rows(rate):
    mask = torch.arange(30) % 7 != 0
    found = truncated_cross_entropy(LOGITS, LABELS, torch.tensor(rate), mask)
    kept = zip(LOGITS[mask].tolist(), LABELS[mask].tolist(), strict=True)
    assert found.item() == pytest.approx(oracle.truncated(list(kept), rate), rel=1e-12)


def test_rate_counts_all_rows_and_drops_positives():
    """Of four positives and four negatives a quarter are the two worst positives."""
    rows, loss = make_rows(), TruncatedLoss(drop_rate=0.25, num_gradual=1)
    loss.steps.fill_(1)
    loss(rows).backward()
    assert rows.logits.grad.ne(0).tolist() == [True, False, True, False]


def test_only_positives_are_ever_dropped():
    rows, loss = make_rows(), TruncatedLoss(drop_rate=0.9, num_gradual=1)
    loss.steps.fill_(1)
    assert torch.allclose(loss(rows), torch.nn.functional.softplus(rows.unlabeled_logits).mean())


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_ramp_ends_where_it_stays(exponent):
    loss = TruncatedLoss(drop_rate=0.2, num_gradual=4, exponent=exponent)
    rates = []
    for _ in range(7):
        rates.append(loss.rate().item())
        loss(make_rows())
    expected = [0.2 * min(1.0, step / 4) ** exponent for step in range(7)]
    assert rates == pytest.approx(expected, rel=1e-6)


def test_evaluation_is_plain_and_does_not_step():
    loss, rows = TruncatedLoss(drop_rate=0.4, num_gradual=1), make_rows()
    loss.steps.fill_(3)
    plain = truncated_cross_entropy(
        torch.cat([rows.logits, rows.unlabeled_logits[:, 0]]),
        torch.tensor([1.0] * 4 + [0.0] * 4),
        torch.tensor(0.0),
    )
    assert torch.equal(loss.eval()(rows), plain)
    assert loss.steps == 3
    assert loss.train()(rows) < plain
    assert loss.steps == 4


def test_step_counter_travels_with_the_state():
    loss = TruncatedLoss(num_gradual=3)
    loss(make_rows())
    loaded = TruncatedLoss(num_gradual=3)
    loaded.load_state_dict(loss.state_dict())
    assert loaded.rate() == loss.rate() > 0


def test_all_rows_dropped_is_zero():
    rows = make_rows(mask=torch.zeros(4, 1, dtype=torch.bool))
    loss = TruncatedLoss(drop_rate=0.99, num_gradual=1)
    loss.steps.fill_(1)
    value = loss(rows)
    value.backward()
    assert value == 0
    assert not rows.logits.grad.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop_rate": 1.0}, "drop_rate is 1.0"),
        ({"drop_rate": -0.1}, "drop_rate is -0.1"),
        ({"num_gradual": 0}, "num_gradual is 0"),
        ({"exponent": 0.0}, "exponent is 0.0"),
    ],
)
def test_bad_arguments_of_the_truncated_loss_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TruncatedLoss(**arguments)
