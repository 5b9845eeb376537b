import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from invlightning.losses.functional import (
    inverse_dual_loss,
    inverse_dual_weights,
    log_softplus,
    naive_negative_loss,
)
from tests.reference import losses as oracle

GRID = torch.linspace(-40, 40, 401, dtype=torch.float64)
HALVES = [torch.float16, torch.bfloat16]


def expected(function, logits, **options):
    values = [function(s, **options) for s in logits.flatten().tolist()]
    return torch.tensor(values, dtype=torch.float64).view_as(logits)


# --- log softplus -------------------------------------------------------------------------------


def test_log_softplus_in_the_middle():
    values = [math.log(oracle.softplus(x)) for x in GRID.tolist()]
    exact = torch.tensor(values, dtype=torch.float64)
    assert torch.allclose(log_softplus(GRID), exact, rtol=1e-15, atol=1e-15)
    assert torch.allclose(log_softplus(GRID.float()), exact.float(), rtol=1e-6, atol=1e-6)


def test_log_softplus_far_out():
    x = torch.tensor([-1e4, -800.0, 800.0, 1e4], dtype=torch.float64)
    far = torch.tensor([-1e4, -800.0, math.log(800), math.log(1e4)], dtype=torch.float64)
    assert torch.equal(log_softplus(x), far)


def test_log_softplus_gradient_is_finite_and_right():
    x = torch.tensor([-1e4, -30.0, -17.0, 0.0, 30.0, 1e4], dtype=torch.float64, requires_grad=True)
    log_softplus(x).sum().backward()
    slope = [1.0 if s < -50 else oracle.sigmoid(s) / oracle.softplus(s) for s in x.tolist()]
    assert torch.allclose(x.grad, torch.tensor(slope, dtype=torch.float64), rtol=1e-10)


# --- weights ------------------------------------------------------------------------------------


def test_weights_match_the_quotient_form():
    assert torch.allclose(
        inverse_dual_weights(GRID), expected(oracle.dual_weight, GRID), rtol=1e-12, atol=1e-16
    )


@pytest.mark.parametrize(
    ("logit", "weight", "gradient"),
    [
        (0.1, 0.572, -0.047),
        (0.5, 0.808, -0.186),
        (1.0, 0.946, -0.215),
        (2.0, 0.997, -0.116),
        (4.0, 1.000, -0.018),
    ],
)
def test_published_table(logit, weight, gradient):
    logits = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
    inverse_dual_loss(logits).backward()
    assert inverse_dual_weights(logits).item() == pytest.approx(weight, abs=6e-4)
    assert logits.grad.item() == pytest.approx(gradient, abs=6e-4)


def test_weights_are_symmetric_and_detached():
    logits = GRID.clone().requires_grad_()
    weights = inverse_dual_weights(logits)
    assert not weights.requires_grad
    assert torch.allclose(weights + weights.flip(0), torch.ones_like(weights), atol=1e-15)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature(temperature):
    weights = inverse_dual_weights(GRID, temperature)
    oracle_weights = expected(oracle.dual_weight, GRID, temperature=temperature)
    assert torch.allclose(weights, oracle_weights, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_computed_in_float32(dtype):
    logits = GRID.to(dtype)
    weights = inverse_dual_weights(logits)
    assert weights.dtype == torch.float32
    exact = expected(oracle.dual_weight, logits.double())
    assert torch.allclose(weights.double(), exact, atol=1e-6)
    assert inverse_dual_loss(logits).dtype == torch.float32
    assert naive_negative_loss(logits).dtype == torch.float32


@pytest.mark.parametrize("prior", [None, 0.01, 0.3])
@pytest.mark.parametrize(
    ("dtype", "largest"),
    [
        (torch.float16, 6e4),
        (torch.bfloat16, 3e38),
        (torch.float32, 1e4),
        (torch.float32, 3e38),
        (torch.float64, 1e4),
    ],
)
def test_extreme_logits_stay_finite(dtype, largest, prior):
    values = torch.tensor([-1, -1e-2, -1e-3, 0, 1e-3, 1e-2, 1], dtype=torch.float64) * largest
    logits = values.to(dtype).requires_grad_()
    weights = inverse_dual_weights(logits, prior=prior)
    assert ((weights >= 0) & (weights <= 1)).all()
    loss = inverse_dual_loss(logits, prior=prior, reduction="none")
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()


# --- prior --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(1, 300),
    scale=st.sampled_from([0.0, 1e-3, 0.1, 1.0, 10.0, 300.0, 1e4]),
    offset=st.sampled_from([-1e3, -5.0, 0.0, 5.0, 1e3]),
    prior=st.floats(1e-4, 0.9999),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_mean_weight_is_the_prior(seed, size, scale, offset, prior, dtype):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(size, generator=generator, dtype=dtype) + offset
    weights = inverse_dual_weights(logits, prior=prior)
    assert weights.double().mean().item() == pytest.approx(prior, abs=1e-6)


def test_prior_of_two_far_clusters():
    logits = torch.tensor([-1e4] * 7 + [1e4] * 3)
    for prior in (1e-3, 0.299, 0.3, 0.301, 0.5, 0.999):
        mean = inverse_dual_weights(logits, prior=prior).mean().item()
        assert mean == pytest.approx(prior, abs=1e-6)


@pytest.mark.parametrize("prior", [0.02, 0.4, 0.9])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_prior_matches_the_bisection_oracle(prior, temperature):
    logits = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2
    shift = oracle.prior_shift(logits.tolist(), prior, temperature)
    exact = expected(oracle.dual_weight, logits, temperature=temperature, shift=shift)
    weights = inverse_dual_weights(logits, temperature, prior)
    assert torch.allclose(weights, exact, atol=1e-12)
    tensor_prior = torch.tensor(prior, dtype=torch.float64)
    assert torch.equal(inverse_dual_weights(logits, temperature, tensor_prior), weights)


def test_weights_rise_with_prior_and_logit():
    logits = torch.linspace(-3, 3, 50, dtype=torch.float64)
    rows = torch.stack([inverse_dual_weights(logits, prior=p) for p in (0.05, 0.1, 0.5, 0.95)])
    assert (rows.diff(dim=0) > 0).all()
    assert (rows.diff(dim=1) > 0).all()


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_prior_outside_the_unit_interval(prior):
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        inverse_dual_weights(GRID, prior=prior)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_tensor_prior_at_the_ends_stays_finite(share):
    weights = inverse_dual_weights(GRID, prior=torch.tensor(share))
    assert weights.mean().item() == pytest.approx(share, abs=1e-6)


# --- losses -------------------------------------------------------------------------------------


def test_value_and_gradient_match_the_closed_form():
    logits = GRID.clone().requires_grad_()
    loss = inverse_dual_loss(logits, reduction="none")
    loss.sum().backward()
    assert torch.allclose(loss, expected(oracle.dual_loss, GRID), rtol=1e-12, atol=1e-14)
    assert torch.allclose(logits.grad, expected(oracle.dual_gradient, GRID), atol=1e-15)
    difference = logits.grad - (GRID.sigmoid() - inverse_dual_weights(GRID))
    assert difference.abs().max() < 1e-15


def test_gradient_with_temperature_and_prior():
    logits = GRID.clone().requires_grad_()
    inverse_dual_loss(logits, 1.5, 0.2, reduction="sum").backward()
    difference = logits.grad - (GRID.sigmoid() - inverse_dual_weights(GRID, 1.5, 0.2))
    assert difference.abs().max() < 1e-15


def test_weights_are_constants_of_forward_mode_too():
    tangent = torch.linspace(1, 2, len(GRID), dtype=torch.float64)
    with forward_ad.dual_level():
        loss = inverse_dual_loss(forward_ad.make_dual(GRID, tangent), prior=0.3, reduction="none")
        derivative = forward_ad.unpack_dual(loss).tangent
    slope = GRID.sigmoid() - inverse_dual_weights(GRID, prior=0.3)
    assert torch.allclose(derivative, slope * tangent, atol=1e-14)


def test_sampled_negative_is_the_cross_entropy_to_zero():
    logits = GRID.clone().requires_grad_()
    loss = naive_negative_loss(logits)
    loss.backward()
    assert loss.item() == pytest.approx(oracle.cross_entropy(GRID.tolist(), [0] * len(GRID)))
    assert torch.allclose(logits.grad, GRID.sigmoid() / len(GRID), atol=1e-16)


def test_inputs_are_left_alone():
    logits = GRID.clone()
    inverse_dual_loss(logits, prior=0.1)
    naive_negative_loss(logits)
    assert torch.equal(logits, GRID)
