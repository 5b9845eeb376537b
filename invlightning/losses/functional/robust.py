"""Losses that bound what a wrong label can do."""

from torch import Tensor

from invlightning.losses.functional.cross_entropy import cross_entropies


def generalized_cross_entropies(logits: Tensor, labels: Tensor, q: float) -> Tensor:
    """Generalized cross entropy of every row: (1 - P^q) / q, P the likelihood of the label.

    The limit q = 0 is cross entropy, q = 1 is the mean absolute error. Source: Zhang & Sabuncu,
    NeurIPS 2018, arXiv 1805.07836, the loss L_q.

    Args:
        logits: Scores, any shape.
        labels: 0 or 1, the same shape.
        q: Exponent in (0, 1].

    Returns:
        The shape of ``logits``, in [0, 1 / q]; float32 for half precision.
    """
    return -(-q * cross_entropies(logits, labels)).expm1() / q


def symmetric_cross_entropies(
    logits: Tensor, labels: Tensor, alpha: float, beta: float, log_zero: float
) -> Tensor:
    """Symmetric cross entropy of every row: alpha CE + beta RCE.

    The reverse cross entropy -sum_k p_k log y_k reads log 0 as a constant A < 0, and is then
    -A (1 - P), P the likelihood of the label. Source: Wang et al., ICCV 2019, arXiv 1908.06112.

    Args:
        logits: Scores, any shape.
        labels: 0 or 1, the same shape.
        alpha: Weight of the cross entropy.
        beta: Weight of the reverse cross entropy.
        log_zero: The constant A, below 0.

    Returns:
        The shape of ``logits``; float32 for half precision.
    """
    losses = cross_entropies(logits, labels)
    return alpha * losses + beta * log_zero * (-losses).expm1()
