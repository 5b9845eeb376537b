"""Pairwise softmax losses, PSL."""

from abc import ABC, abstractmethod

from torch import Tensor
from typing_extensions import override

from invlightning.losses.counted_draws import CountedDrawsLoss
from invlightning.losses.functional import (
    log_arctan_activation,
    log_relu_activation,
    log_tanh_activation,
    mean_where,
    pairwise_softmax,
)
from invlightning.losses.joint_rows import compared_rows
from invlightning.types import JointRows


class PairwiseSoftmaxLoss(CountedDrawsLoss, ABC):
    """Softmax over the catalogue with an activation in place of the exponential.

    See :func:`~invlightning.losses.functional.pairwise_softmax`. A subclass says which activation.
    The published ones are made for half cosines, whose differences lie in [-1, 1]: those of
    :class:`~invlightning.backbones.LightGCN` with ``temperature=2`` (and ``num_layers=0`` for plain
    matrix factorization); there a temperature of about 0.1 suits. Logits of other networks work
    too. Q is as of :class:`~invlightning.losses.SampledSoftmaxLoss`. Labeled negatives take no
    part. Scores compare within a user only.

    Source: Yang et al., NeurIPS 2024, arXiv 2411.00163. Departure: the sum holds the positive, and
    the drawn items stand for the whole catalogue by their Q.

    Args:
        beta: Exponent of the popularity by which items are drawn, 0 or more.
        temperature: The activation is raised to one over it; above 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, beta: float = 0.0, temperature: float = 1.0) -> None:
        super().__init__(beta, temperature)

    @abstractmethod
    def log_activation(self, differences: Tensor) -> Tensor:
        """Log of what takes the place of the exponential, of s_j - s_i; 0 at 0."""

    @override
    def forward(self, rows: JointRows) -> Tensor:
        rows, log_q = self.drawn(rows)
        losses = pairwise_softmax(
            rows.logits,
            rows.unlabeled_logits,
            log_q,
            self.log_activation,
            rows.mask,
            self.temperature,
            reduction="none",
        )
        return mean_where(losses, compared_rows(rows))


class PSLTanhLoss(PairwiseSoftmaxLoss):
    """:class:`PairwiseSoftmaxLoss` with tanh(d) + 1.

    Args:
        beta: Exponent of the popularity by which items are drawn, 0 or more.
        temperature: The activation is raised to one over it; above 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @override
    def log_activation(self, differences: Tensor) -> Tensor:
        return log_tanh_activation(differences)


class PSLReLULoss(PairwiseSoftmaxLoss):
    """:class:`PairwiseSoftmaxLoss` with max(d + 1, 0).

    Args:
        beta: Exponent of the popularity by which items are drawn, 0 or more.
        temperature: The activation is raised to one over it; above 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @override
    def log_activation(self, differences: Tensor) -> Tensor:
        return log_relu_activation(differences)


class PSLArctanLoss(PairwiseSoftmaxLoss):
    """:class:`PairwiseSoftmaxLoss` with arctan(d) + 1.

    Args:
        beta: Exponent of the popularity by which items are drawn, 0 or more.
        temperature: The activation is raised to one over it; above 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @override
    def log_activation(self, differences: Tensor) -> Tensor:
        return log_arctan_activation(differences)
