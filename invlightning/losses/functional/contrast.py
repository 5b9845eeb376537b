"""Losses that compare a positive with the unlabeled pairs of the same row.

A row without an unlabeled pair has loss 0, no gradient and no part in the mean.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from invlightning.losses.functional.reduction import Reduction, as_float, reduce


def bayesian_personalized_ranking(
    positives: Tensor,
    unlabeled: Tensor,
    mask: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean over the unlabeled pairs of softplus(s_j - s_i), the loss of BPR.

    Source: Rendle et al., UAI 2009, arXiv 1205.2618, section 4.1.

    Args:
        positives: ``(B,)`` scores s_i.
        unlabeled: ``(B, K)`` scores s_j.
        mask: ``(B, K)`` False where there is no pair; None means everywhere True.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` ``(B,)`` losses.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> positives, unlabeled = torch.tensor([2.0, 0.5]), torch.tensor([[1.0], [1.5]])
        >>> bayesian_personalized_ranking(positives, unlabeled)
        tensor(0.8133)
    """
    losses = F.softplus(as_float(unlabeled) - as_float(positives).unsqueeze(1))
    exists = torch.ones_like(losses, dtype=torch.bool) if mask is None else mask
    losses = losses.where(exists, 0).sum(1) / exists.sum(1).clamp(min=1)
    return reduce(losses, reduction, rows_with_pairs(mask))


def sampled_softmax(
    positives: Tensor,
    unlabeled: Tensor,
    log_probabilities: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Softmax cross entropy over the catalogue, estimated from drawn items (sampled softmax).

    The sum over all other items is estimated without bias as Z = mean_j exp(s_j / t) / Q_j, and
    the loss is log(exp(s_i / t) + Z) - s_i / t. The positive is present for certain and so gets no
    correction. Its gradient is (1 - P_i) times that of -s_i / t + log Z, the form in which the
    correction is published. Source: Yi et al., RecSys 2019 (log Q); arXiv 2507.09331 (the positive
    left uncorrected).

    Args:
        positives: ``(B,)`` scores s_i.
        unlabeled: ``(B, K)`` scores s_j of items drawn with replacement from Q.
        log_probabilities: log Q_j among the items other than i; broadcasts to ``(B, K)``.
        mask: ``(B, K)`` False where there is no pair; None means everywhere True.
        temperature: t > 0.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` ``(B,)`` losses.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> positives, unlabeled = torch.tensor([2.0, 0.5]), torch.tensor([[1.0], [1.5]])
        >>> sampled_softmax(positives, unlabeled, log_probabilities=torch.tensor([[-3.0], [-3.0]]))
        tensor(3.0725)
    """
    target = as_float(positives) / temperature
    others = log_sum(as_float(unlabeled) / temperature, log_probabilities, mask)
    return reduce(F.softplus(others - target), reduction, rows_with_pairs(mask))


def sampled_rejection(
    disliked: Tensor,
    unlabeled: Tensor,
    log_probabilities: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Negative log-probability that a disliked item is not the one recommended.

    -log(1 - P_j), where P_j is the softmax over the catalogue that :func:`sampled_softmax`
    estimates: log(exp(s_j / t) + Z) - log Z. Source: Wang et al., RecSys 2023, arXiv 2308.12256,
    section 3 ("not to recommend").

    Args:
        disliked: ``(B,)`` scores s_j of disliked items.
        unlabeled: ``(B, K)`` scores of items drawn with replacement from Q.
        log_probabilities: log Q among the items other than j; broadcasts to ``(B, K)``.
        mask: ``(B, K)`` False where there is no pair; None means everywhere True.
        temperature: t > 0.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` ``(B,)`` losses.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> disliked, unlabeled = torch.tensor([2.0, 0.5]), torch.tensor([[1.0], [1.5]])
        >>> sampled_rejection(disliked, unlabeled, log_probabilities=torch.tensor([[-3.0], [-3.0]]))
        tensor(0.0725)
    """
    target = as_float(disliked) / temperature
    others = log_sum(as_float(unlabeled) / temperature, log_probabilities, mask)
    return reduce(F.softplus(target - others), reduction, rows_with_pairs(mask))


def debiased_contrast(
    positives: Tensor,
    unlabeled: Tensor,
    prior: float,
    floor: float = -1.0,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Contrastive loss whose negative term is cleared of the positives among the drawn items.

    With N drawn items, N_g = max((sum_j exp(s_j / t) - prior N exp(s_i / t)) / (1 - prior),
    N exp(floor / t)) and the loss is log(exp(s_i / t) + N_g) - s_i / t. Source: Chuang et al.,
    NeurIPS 2020, arXiv 2007.00224, with one positive (M = 1).

    Args:
        positives: ``(B,)`` scores s_i.
        unlabeled: ``(B, K)`` scores s_j.
        prior: Share of positives among the drawn items, in [0, 1).
        floor: Lowest score that negatives are taken to have in the mean; -1 for cosines.
        mask: ``(B, K)`` False where there is no pair; None means everywhere True.
        temperature: t > 0.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` ``(B,)`` losses.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> positives, unlabeled = torch.tensor([2.0, 0.5]), torch.tensor([[1.0], [1.5]])
        >>> debiased_contrast(positives, unlabeled, prior=0.1)
        tensor(0.8119)
    """
    scores, target = as_float(unlabeled) / temperature, as_float(positives) / temperature
    exists = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    scores = scores.where(exists, -math.inf)
    count = exists.sum(1).to(scores.dtype)
    # Everything is divided by the largest term, so that nothing overflows.
    lowest = torch.full_like(target, floor / temperature).where(count > 0, -math.inf)
    shift = torch.maximum(scores.amax(1), torch.maximum(target, lowest)).detach()
    positive = (target - shift).exp()
    drawn = (scores - shift.unsqueeze(1)).exp().sum(1)
    negative = (drawn - prior * count * positive) / (1 - prior)
    negative = torch.maximum(negative, count * (lowest - shift).exp())
    return reduce((positive + negative).log() - (target - shift), reduction, rows_with_pairs(mask))


def log_sum(scores: Tensor, log_probabilities: Tensor, mask: Tensor | None) -> Tensor:
    """Log of a sum of exponentials over the catalogue, estimated from drawn items.

    Args:
        scores: ``(B, K)`` exponents of items drawn with replacement from Q.
        log_probabilities: log Q of the drawn items; broadcasts to ``(B, K)``.
        mask: ``(B, K)`` False where there is no item; None means everywhere True.

    Returns:
        ``(B,)`` logs of mean_j exp(s_j) / Q_j; a very low number for a row without items.

    Example:
        >>> log_sum(torch.zeros(1, 2), torch.tensor(0.25).log(), None).exp()
        tensor([4.])
    """
    terms = scores - log_probabilities.to(scores.dtype)
    exists = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    # The lowest number, not minus infinity: the gradient of an empty row would not be a number.
    terms = terms.where(exists, torch.finfo(terms.dtype).min)
    return terms.logsumexp(1) - exists.sum(1).clamp(min=1).to(terms.dtype).log()


def rows_with_pairs(mask: Tensor | None) -> Tensor | None:
    """Rows ``(B,)`` that have an unlabeled pair; None means all.

    Example:
        >>> rows_with_pairs(torch.tensor([[True, False], [False, False]]))
        tensor([ True, False])
    """
    return None if mask is None else mask.any(1)
