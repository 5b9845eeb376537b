"""Log loss of labeled rows."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from invlightning.metrics.functional.ties import check_shapes, check_values


def log_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the negative log-likelihood of each label, in nats.

    Args:
        logits: ``(N,)`` scores whose sigmoid is the probability of a positive.
        labels: ``(N,)`` 0 or 1.

    Returns:
        ``(N,)`` float64; nan where the logit is nan or the label is neither 0 nor 1.

    Example:
        >>> logits, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> log_losses(logits, labels)
        tensor([0.1269, 0.3133], dtype=torch.float64)
    """
    # A sign rather than a product with 0, which would turn an infinite logit into nan.
    signs = (2 * labels.double() - 1).where((labels == 0) | (labels == 1), torch.nan)
    return -logsigmoid(signs * logits.double())


def log_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean negative log-likelihood of the labels, in nats a row.

    Args:
        logits: ``(N,)`` scores whose sigmoid is the probability of a positive.
        labels: ``(N,)`` 0 or 1.

    Returns:
        A float64 scalar; nan if there is no row.

    Raises:
        ValueError: If shapes differ, a logit is nan or a label is neither 0 nor 1.

    Example:
        >>> logits, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> log_loss(logits, labels)
        tensor(0.2201, dtype=torch.float64)
    """
    check_shapes(logits, labels)
    check_values(logits, labels)
    return log_losses(logits, labels).mean()
