"""Every functional loss but nnPU, whose value is no mean of rows, reduces its rows alike."""

import inspect
from functools import partial

import pytest
import torch

from invlightning.losses import functional
from invlightning.losses.functional import mean_where

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64)
LABELS = (torch.arange(24) % 3 == 0).double()
POSITIVES, DRAWN = LOGITS[::4], LOGITS.roll(5).view(6, 4)
MASK = torch.arange(24).view(6, 4) % 5 != 0
MASK[2] = False  # a row without any unlabeled pair

# One loss a logit, whose mean is over all of them.
OF_ROWS = {
    "cross_entropy": partial(functional.cross_entropy, LOGITS, LABELS),
    "naive_negative_loss": partial(functional.naive_negative_loss, LOGITS),
    "inverse_dual_loss": partial(functional.inverse_dual_loss, LOGITS, prior=0.2),
    "reweighted_cross_entropy": partial(
        functional.reweighted_cross_entropy, LOGITS, LABELS, alpha=0.3
    ),
    "generalized_cross_entropy": partial(
        functional.generalized_cross_entropy, LOGITS, LABELS, q=0.7
    ),
    "symmetric_cross_entropy": partial(
        functional.symmetric_cross_entropy, LOGITS, LABELS, alpha=0.1, beta=1.0, log_zero=-4.0
    ),
}
OF_PAIRS = {
    "bayesian_personalized_ranking": functional.bayesian_personalized_ranking,
    "sampled_softmax": partial(
        functional.sampled_softmax, log_probabilities=torch.linspace(-4, -1, 4)
    ),
    "pairwise_softmax": partial(
        functional.pairwise_softmax,
        log_probabilities=torch.linspace(-4, -1, 4),
        log_activation=functional.log_tanh_activation,
    ),
    "hardest_margin": functional.hardest_margin,
    "sampled_rejection": partial(
        functional.sampled_rejection, log_probabilities=torch.linspace(-4, -1, 4)
    ),
    "debiased_contrast": partial(functional.debiased_contrast, prior=0.1),
}
OTHERS = {
    "lower_left_partial_auc": partial(
        functional.lower_left_partial_auc,
        POSITIVES,
        DRAWN,
        torch.arange(6) % 2,
        alpha=0.5,
        beta=0.5,
    ),
    "truncated_cross_entropy": partial(
        functional.truncated_cross_entropy, LOGITS, LABELS, torch.tensor(0.2)
    ),
    "labeled_pairwise_loss": partial(
        functional.labeled_pairwise_loss, LOGITS, LABELS, torch.arange(24) % 5
    ),
    "relevance_risk": partial(functional.relevance_risk, LOGITS, LABELS, torch.full((24,), 0.5)),
}
PAIRS = {name: partial(loss, POSITIVES, DRAWN) for name, loss in OF_PAIRS.items()}
ALL = OF_ROWS | PAIRS | OTHERS


@pytest.mark.parametrize("name", ALL)
def test_sum_is_that_of_the_rows(name):
    rows = ALL[name](reduction="none")
    shape = (POSITIVES if name in {*OF_PAIRS, "lower_left_partial_auc"} else LOGITS).shape
    assert rows.shape == ((24, 24) if name == "labeled_pairwise_loss" else shape)
    assert torch.allclose(ALL[name](reduction="sum"), rows.sum(), rtol=1e-12)


@pytest.mark.parametrize("name", OF_ROWS | PAIRS)
def test_mean_is_that_of_the_rows_and_the_default(name):
    rows = ALL[name](reduction="none")
    assert torch.allclose(ALL[name](reduction="mean"), rows.mean(), rtol=1e-12)
    assert torch.equal(ALL[name](), ALL[name](reduction="mean"))


@pytest.mark.parametrize("name", ALL)
def test_unknown_reductions_are_refused(name):
    with pytest.raises(ValueError, match="reduction is 'median', expected 'mean', 'sum' or"):
        ALL[name](reduction="median")


@pytest.mark.parametrize("name", OF_PAIRS)
def test_rows_without_a_pair_take_no_part(name):
    loss = partial(OF_PAIRS[name], POSITIVES, DRAWN, mask=MASK)
    rows, exists = loss(reduction="none"), MASK.any(1)
    assert rows[~exists].tolist() == [0]
    assert torch.allclose(loss(), rows[exists].mean(), rtol=1e-12)
    assert torch.allclose(loss(reduction="sum"), rows.sum(), rtol=1e-12)


def test_truncated_rows_take_no_part():
    """A fifth of 24 rows, rounded up: the five positives of lowest score."""
    rows = ALL["truncated_cross_entropy"](reduction="none")
    kept = torch.ones(24, dtype=torch.bool)
    kept[torch.arange(0, 15, 3)] = False
    assert torch.equal(rows == 0, ~kept)
    assert torch.allclose(ALL["truncated_cross_entropy"](), mean_where(rows, kept), rtol=1e-12)


def test_masked_rows_of_relevance_are_zero():
    mask = torch.arange(24) % 4 != 1
    loss = partial(ALL["relevance_risk"], mask=mask)
    rows = loss(reduction="none")
    assert torch.equal(rows == 0, ~mask)
    assert torch.equal(rows[mask], ALL["relevance_risk"](reduction="none")[mask])
    # With weight 1 every row counts as one.
    assert torch.allclose(loss(), rows.sum() / mask.sum(), rtol=1e-12)


def test_no_loss_is_left_out():
    """A new formula takes the argument too, by keyword alone."""
    formulas = {name: getattr(functional, name) for name in functional.__all__}
    taking = {
        name: inspect.signature(formula).parameters.get("reduction")
        for name, formula in formulas.items()
        if inspect.isfunction(formula) and name != "reduce"
    }
    found = {name for name, parameter in taking.items() if parameter is not None}
    helpers = {"as_float", "inverse_dual_weights", "log_softplus", "mean_where"}
    helpers |= {name for name in taking if name.endswith("_activation")}
    assert found == set(ALL) == set(taking) - helpers - {"non_negative_risk"}
    for name in found:
        assert taking[name].kind is inspect.Parameter.KEYWORD_ONLY, name
        assert taking[name].default == "mean", name
