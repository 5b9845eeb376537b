"""Inverse dual weights and loss: unlabeled pairs annotated by their losses towards both labels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from invlightning.losses.functional.cross_entropy import cross_entropy
from invlightning.losses.functional.reduction import Reduction, as_float

# Log-odds beyond this count as equal when they are shifted to a prior; it bounds the search.
_MAX_LOG_ODDS = 1024.0
# Eleven halvings bring a bracket of 2 * _MAX_LOG_ODDS to width one; Newton needs few steps there.
_PRIOR_STEPS = 20


def log_softplus(x: Tensor) -> Tensor:
    """Computes log(softplus(x)) = log(log(1 + exp(x))) without underflow.

    Args:
        x: Any shape, floating point.

    Returns:
        The same shape and dtype; finite, with finite gradients, wherever ``x`` is finite.

    Example:
        >>> log_softplus(torch.tensor([0.0, -100.0]))
        tensor([  -0.3665, -100.0000])
    """
    # Below the bound softplus(x) = exp(x) - exp(2x) / 2 + ..., whose log is x - exp(x) / 2 to
    # within exp(2x), which float64 does not resolve. Above 40, softplus(x) is x in float64.
    bound = -18.0
    series = x - 0.5 * x.clamp(max=bound).exp()
    exact = F.softplus(x.clamp(min=bound), threshold=40.0).log()
    return torch.where(x < bound, series, exact)


def inverse_dual_weights(
    logits: Tensor, temperature: float = 2.0, prior: float | Tensor | None = None
) -> Tensor:
    r"""Annotates unlabeled pairs: the weight of the positive label, from the two losses.

    .. math:: w^+ = \sigma\big(t\,(\log L^- - \log L^+) + c\big)

    With ``temperature`` t = 2 and c = 0 this is (L-)^2 / ((L+)^2 + (L-)^2), the weight of the
    Inverse Dual Loss (Lin et al., WSDM 2024, arXiv 2311.08302) without its epsilon. With a
    ``prior``, c is such that the mean weight of all given logits is the prior.

    Args:
        logits: Scores of unlabeled pairs, any shape; at least one where a prior is given.
        temperature: Sharpness t > 0; 2 is the published form, 0 would give every pair 1/2.
        prior: Share of positives among the pairs, between 0 and 1; a float or a 0-dim tensor.

    Returns:
        Weights in [0, 1] of the shape of ``logits``, detached; float32 for half precision, since
        weights next to 1 would be rounded to 1 there. Finite wherever the logits are.

    Raises:
        ValueError: If ``prior`` is a number outside (0, 1).

    Example:
        >>> inverse_dual_weights(torch.tensor([2.0, 0.0, -1.0]))
        tensor([0.9965, 0.5000, 0.0538])
        >>> inverse_dual_weights(torch.tensor([2.0, 0.0, -1.0]), prior=0.1).mean()
        tensor(0.1000)
    """
    scores = as_float(logits.detach())
    log_odds = temperature * (log_softplus(scores) - log_softplus(-scores))
    if prior is not None:
        log_odds = _shift_to_prior(log_odds, prior)
    return log_odds.sigmoid()


def inverse_dual_loss(
    logits: Tensor,
    temperature: float = 2.0,
    prior: float | Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Inverse Dual Loss of unlabeled pairs: w+ L+ + (1 - w+) L-.

    The weights w+ of :func:`inverse_dual_weights` are constants of the differentiation, so the
    loss is cross entropy towards them and its derivative in each logit is exactly p - w+ (divided
    by the number of logits under ``mean``). Source: Lin et al., WSDM 2024, arXiv 2311.08302.

    Args:
        logits: Scores of unlabeled pairs, any shape.
        temperature: Sharpness of the weights, > 0.
        prior: Mean that the weights are shifted to; None leaves them as they are.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` the shape of ``logits``.

    Returns:
        The loss; float32 for half precision, else of the dtype of ``logits``.

    Raises:
        ValueError: If ``reduction`` is unknown or ``prior`` is a number outside (0, 1).

    Example:
        >>> inverse_dual_loss(torch.tensor([2.0, -1.0]))
        tensor(0.2506)
    """
    weights = inverse_dual_weights(logits, temperature, prior)
    return cross_entropy(logits, weights, reduction=reduction)


def _shift_to_prior(log_odds: Tensor, prior: float | Tensor) -> Tensor:
    """Adds the constant that makes the mean of ``sigmoid(log_odds)`` equal to ``prior``.

    Newton's method on the log-odds of the mean, inside a bracket that is halved where Newton leaves
    it. Their slope lies in (0, 1], so that the gap to the target is itself a bound of what is still
    to add. The number of steps is fixed and nothing leaves the device. The shift is added to the
    log-odds at every step, because one sum of all steps would be too coarse next to large log-odds.
    """
    if not isinstance(prior, Tensor) and not 0 < prior < 1:
        raise ValueError(
            f"prior is {prior}, but the share of positives among unlabeled pairs lies between 0 "
            "and 1, both excluded; pass for example prior=0.1."
        )
    shifted = log_odds.clamp(-_MAX_LOG_ODDS, _MAX_LOG_ODDS)
    eps = torch.finfo(shifted.dtype).eps
    # new_full, because copying a number to a GPU would wait for it.
    target = prior.to(shifted) if isinstance(prior, Tensor) else shifted.new_full((), prior)
    target = target.logit(eps)
    low, high = target - shifted.max(), target - shifted.min()  # bracket of what is still to add
    for _ in range(_PRIOR_STEPS):
        weights = shifted.sigmoid()
        mean = weights.mean()
        gap = target - mean.logit(eps)
        low = torch.where(gap > 0, low.maximum(gap), low.minimum(gap))
        high = torch.where(gap > 0, high.maximum(gap), high.minimum(gap))
        slope = (weights * (1 - weights)).mean() / (mean * (1 - mean))
        newton = gap / slope.clamp(max=1)  # not a number where every weight is 0 or 1: halved then
        step = torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        shifted, low, high = shifted + step, low - step, high - step
    return shifted
