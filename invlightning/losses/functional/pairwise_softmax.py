"""Softmax losses whose exponential is replaced, and what may replace it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from invlightning.losses.functional.contrast import log_sum, rows_with_pairs
from invlightning.losses.functional.reduction import Reduction, as_float, reduce

_LOWEST = -1e30  # finite, also when divided by a small temperature in float32


def log_tanh_activation(differences: Tensor) -> Tensor:
    """log(tanh(d) + 1), at most log 2.

    Example:
        >>> log_tanh_activation(torch.tensor([0.0, 9.0]))
        tensor([0.0000, 0.6931])
    """
    return F.logsigmoid(2 * differences) + math.log(2)


def log_relu_activation(differences: Tensor) -> Tensor:
    """log(max(d + 1, 0)), a very low number in place of minus infinity.

    Example:
        >>> log_relu_activation(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6931])
    """
    return _log(differences + 1)


def log_arctan_activation(differences: Tensor) -> Tensor:
    """log(max(arctan(d) + 1, 0)), a very low number in place of minus infinity.

    Example:
        >>> log_arctan_activation(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.5796])
    """
    return _log(torch.arctan(differences) + 1)


def pairwise_softmax(
    positives: Tensor,
    unlabeled: Tensor,
    log_probabilities: Tensor,
    log_activation: Callable[[Tensor], Tensor],
    mask: Tensor | None = None,
    temperature: float = 1.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Pairwise softmax loss: log of a sum over the catalogue of a(s_j - s_i) ** (1 / t).

    With a = exp this is the softmax loss. Any a with a(0) = 1 that grows makes a surrogate of DCG,
    a tighter one the closer it is to a step, and one that grows less gives hard drawn items, which
    are often false negatives, less weight. The positive itself adds a(0) = 1 to the sum, that over
    the others is estimated from drawn items as their mean over 1 / Q_j. Source: Yang et al.,
    NeurIPS 2024, arXiv 2411.00163, sections 3 and 4.

    Args:
        positives: ``(B,)`` scores s_i; differences are meant to lie in [-1, 1].
        unlabeled: ``(B, K)`` scores s_j of items drawn with replacement from Q.
        log_probabilities: log Q_j among the items other than i; broadcasts to ``(B, K)``.
        log_activation: log a, of differences of any shape.
        mask: ``(B, K)`` False where there is no pair; None means everywhere True.
        temperature: t > 0.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` ``(B,)`` losses.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> positives, unlabeled = torch.tensor([0.5, 0.1]), torch.tensor([[0.2], [0.3]])
        >>> pairwise_softmax(positives, unlabeled, torch.tensor(-3.0), log_tanh_activation)
        tensor(2.9722)
    """
    activated = log_activation(as_float(unlabeled) - as_float(positives).unsqueeze(1))
    others = log_sum(activated / temperature, log_probabilities, mask)
    return reduce(F.softplus(others), reduction, rows_with_pairs(mask))


def _log(values: Tensor) -> Tensor:
    positive = values > 0
    return values.where(positive, 1).log().where(positive, _LOWEST)
