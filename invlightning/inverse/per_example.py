"""Decisions about every unlabeled row by itself.

Following the gradient of row i by a small step a changes the labeled risk R by
``-a <grad R, grad l_i>``. All these inner products cost one forward-mode pass along ``grad R``:
``<grad R, grad l_i> = l_i'(s_i) * (derivative of the logit s_i along grad R)``. No gradient of a
single row is ever formed.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.inverse.decisions import Decision, StepRecord
from invlightning.inverse.unlabeled_rows import UnlabeledRows

if TYPE_CHECKING:
    from invlightning.inverse.step import InnerStep


class PerExampleDecision(Decision):
    """Weights the unlabeled rows by how they are aligned with the labeled risk.

    A subclass says how (:meth:`weights`). The weighted rows then propose one direction, and the
    direct step along it is taken. If anything overflows on the way, nothing moves.
    """

    looks_at_rows: ClassVar[bool] = True

    @abstractmethod
    def weights(self, alignments: Tensor, step: "InnerStep") -> Tensor:
        """Weights of the rows.

        Args:
            alignments: ``(M,)`` inner products of the gradient of each row with that of the
                labeled risk; positive where following the row lowers the risk. M may be 0.
            step: The step, to agree with other processes.

        Returns:
            ``(M,)`` weights; negative ones invert a row, zero leaves it out.
        """

    @override
    def decide(self, step: "InnerStep") -> StepRecord:
        rows = rows_of(step, self)
        risk, gradients = step.risk_gradients()
        logits = rows.logits()
        slopes = rows.slopes(logits)
        alignments = slopes * rows.tangent(step.parameters, gradients)
        weights = self.weights(alignments.nan_to_num(0.0, 0.0, 0.0).flatten(), step)
        # One alignment that is not finite spoils the direction, on all processes.
        weights = weights.masked_fill(~alignments.isfinite().all(), torch.nan)
        return follow(step, logits, slopes, weights.view_as(logits), risk)


def rows_of(step: "InnerStep", decision: Decision) -> UnlabeledRows:
    """The unlabeled rows of a step.

    Raises:
        ValueError: If the step was made without them.
    """
    if step.rows is None:
        raise ValueError(
            f"{type(decision).__name__} looks at every unlabeled row: the module must define "
            "unlabeled_logits(batch) and unlabeled_criterion, a loss of logits."
        )
    return step.rows


def weighted_loss(logits: Tensor, slopes: Tensor, weights: Tensor) -> Tensor:
    """A scalar with the gradient of the weighted mean of the losses of the rows.

    Args:
        logits: Logits of the M rows with a graph, any shape.
        slopes: Derivatives of the losses of the rows in their logits, of that shape.
        weights: Weights of the rows, of that shape.
    """
    return (weights * slopes * logits).sum() / max(logits.numel(), 1)


def follow(
    step: "InnerStep", logits: Tensor, slopes: Tensor, weights: Tensor, risk: Tensor
) -> StepRecord:
    """Takes the direct step along the weighted rows, unless something overflowed.

    Args:
        step: The step in progress, with the parameters at the origin.
        logits: See :func:`weighted_loss`.
        slopes: See :func:`weighted_loss`.
        weights: See :func:`weighted_loss`.
        risk: Labeled risk of this process without a step, for the record.

    Returns:
        The shares of rows with negative and positive weights, over all processes.
    """
    step.propose(weighted_loss(logits, slopes, weights))
    moves = step.is_finite.to(step.dtype)
    step.settle(moves * -step.inner_lr)
    rows = max(logits.numel(), 1)
    inverse, direct = (moves * (weights.sign() == sign).sum() / rows for sign in (-1, 1))
    found = torch.stack([inverse, direct, risk.to(step.dtype)])
    inverse, direct, risk = step.agree(found).unbind()
    unknown = torch.full_like(risk, torch.nan)
    shares = torch.stack([1 - inverse - direct, inverse, direct])
    return StepRecord(shares, torch.stack([risk, unknown, unknown]))


class PerExampleSign(PerExampleDecision):
    """An inverse gradient for each row: follow it, or invert it, by the sign of its alignment.

    The first-order form of the choice that :class:`BatchSign` makes for a whole batch.
    """

    @override
    def weights(self, alignments: Tensor, step: "InnerStep") -> Tensor:
        return alignments.sign()


class PerExampleReweight(PerExampleDecision):
    """Follows only the rows that lower the risk, in proportion to how much they do.

    Learning to Reweight to first order: weights are the positive parts of the alignments, scaled
    to a mean of 1 over the rows, and all 0 if no row is aligned.

    Reference: Ren et al., Learning to Reweight Examples for Robust Deep Learning, ICML 2018,
    equations 12-13.
    """

    @override
    def weights(self, alignments: Tensor, step: "InnerStep") -> Tensor:
        positive = alignments.clamp(min=0)
        mean = step.agree(positive.sum().reshape(1) / max(positive.numel(), 1))[0]
        return torch.where(mean > 0, positive / mean, torch.zeros_like(positive))
