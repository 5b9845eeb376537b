"""Losses that bound what a wrong label can do."""

from torch import Tensor

from invlightning.losses.functional.cross_entropy import cross_entropy
from invlightning.losses.functional.reduction import Reduction, reduce


def generalized_cross_entropy(
    logits: Tensor, labels: Tensor, q: float, *, reduction: Reduction = "mean"
) -> Tensor:
    """Generalized cross entropy: (1 - P^q) / q, P the likelihood of the label.

    The limit q = 0 is cross entropy, q = 1 is the mean absolute error. Source: Zhang & Sabuncu,
    NeurIPS 2018, arXiv 1805.07836, the loss L_q.

    Args:
        logits: Scores, any shape.
        labels: 0 or 1, the same shape.
        q: Exponent in (0, 1].
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` the shape of ``logits``.

    Returns:
        The loss, of each row in [0, 1 / q]; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> logits, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> generalized_cross_entropy(logits, labels, q=0.7)
        tensor(0.2014)
    """
    losses = cross_entropy(logits, labels, reduction="none")
    return reduce(-(-q * losses).expm1() / q, reduction)


def symmetric_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    alpha: float,
    beta: float,
    log_zero: float,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Symmetric cross entropy: alpha CE + beta RCE.

    The reverse cross entropy -sum_k p_k log y_k reads log 0 as a constant A < 0, and is then
    -A (1 - P), P the likelihood of the label. Source: Wang et al., ICCV 2019, arXiv 1908.06112.

    Args:
        logits: Scores, any shape.
        labels: 0 or 1, the same shape.
        alpha: Weight of the cross entropy.
        beta: Weight of the reverse cross entropy.
        log_zero: The constant A, below 0.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` the shape of ``logits``.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> logits, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> symmetric_cross_entropy(logits, labels, alpha=0.1, beta=1.0, log_zero=-4.0)
        tensor(0.7983)
    """
    losses = cross_entropy(logits, labels, reduction="none")
    return reduce(alpha * losses + beta * log_zero * (-losses).expm1(), reduction)
