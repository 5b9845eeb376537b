"""Risks of positives and unlabeled pairs, and of clicks under exposure."""

import torch
from torch import Tensor
from torch.nn import functional as F

from invlightning.losses.functional.reduction import Reduction, as_float, mean_where, reduce


def non_negative_risk(
    logits: Tensor,
    positive: Tensor,
    unlabeled: Tensor,
    prior: float,
    beta: float = 0.0,
    gamma: float = 1.0,
    logistic: bool = False,
) -> Tensor:
    """Non-negative risk of positives P and unlabeled pairs U (nnPU).

    With R+ = mean over P of l(s, 1) and the estimated risk of negatives
    N = mean over U of l(s, 0) - prior * (mean over P of l(s, 0)), the value is
    prior R+ + max(N, -beta). Where N < -beta the model overfits, and the gradient is that of
    -gamma N: an ascent, which a plain maximum would not make. Source: Kiryo et al., NeurIPS 2017,
    arXiv 1703.00593, algorithm 1. The maximum is of means, so there is no loss of a single row,
    and no ``reduction``.

    Args:
        logits: ``(N,)`` scores.
        positive: ``(N,)`` booleans, the rows of P.
        unlabeled: ``(N,)`` booleans, the rows of U.
        prior: Share of positives among the unlabeled pairs.
        beta: How far below 0 the risk of negatives may fall.
        gamma: Step of the ascent relative to an ordinary step.
        logistic: l is the logistic loss; else the sigmoid loss l(s, 1) = sigmoid(-s).

    Returns:
        A scalar; 0 with zero gradients if P or U is empty.

    Example:
        >>> logits = torch.tensor([2.0, -1.0, 0.5])
        >>> positive = torch.tensor([True, False, False])
        >>> non_negative_risk(logits, positive, ~positive, prior=0.1)
        tensor(0.3695)
    """
    loss = F.softplus if logistic else torch.sigmoid
    scores = as_float(logits)
    towards_negative = loss(scores)
    positive_risk = prior * mean_where(loss(-scores), positive)
    negative_risk = mean_where(towards_negative, unlabeled) - prior * mean_where(
        towards_negative, positive
    )
    value = positive_risk + negative_risk.clamp(min=-beta)
    slope = torch.where(
        negative_risk < -beta, -gamma * negative_risk, positive_risk + negative_risk
    )
    risk = slope + (value - slope).detach()  # the value of one, the gradient of the other
    return risk.where(positive.any() & unlabeled.any(), 0)


def relevance_risk(
    logits: Tensor,
    labels: Tensor,
    propensities: Tensor,
    weight: float = 1.0,
    mask: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Unbiased squared error of relevance from clicks and the propensity of exposure (Rel-MF).

    The mean of (y / t) (1 - p)^2 + w (1 - y / t) p^2, where every positive counts as one row and
    every other row as w. The factor 1 - y / t is at most 0 for positives, which the expectation
    needs, so the value may be below 0. Source: Saito et al., WSDM 2020, arXiv 1909.03601,
    with the weight and the normalization of the released code.

    Args:
        logits: ``(N,)`` scores.
        labels: ``(N,)`` 0 or 1.
        propensities: ``(N,)`` probability t in (0, 1] that the item was exposed.
        weight: Weight w of the error towards irrelevance.
        mask: ``(N,)`` rows that exist; None means all.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` gives ``(N,)``; only the mean
            divides by what rows count.

    Returns:
        The loss; the mean is 0 with zero gradients if nothing counts.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> logits, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> relevance_risk(logits, labels, propensities=torch.tensor([0.5, 0.2]))
        tensor(-0.3375)
    """
    scores = as_float(logits)
    clicks = labels.to(scores.dtype)
    inverse = clicks / propensities.to(scores.dtype)
    relevant, irrelevant = (-scores).sigmoid().square(), scores.sigmoid().square()
    losses = inverse * relevant + weight * (1 - inverse) * irrelevant
    if reduction != "mean":
        return reduce(losses, reduction, mask)
    counts = clicks + weight * (1 - clicks)
    if mask is not None:
        losses, counts = losses.where(mask, 0), counts.where(mask, 0)
    total = counts.sum()
    return losses.sum() / total.where(total > 0, 1)
