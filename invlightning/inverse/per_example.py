"""Decisions about every unlabeled row by itself.

Following the gradient of row i by a small step a changes the labeled risk R by
``-a <grad R, grad l_i>``. All these inner products cost one forward-mode pass along ``grad R``:
``<grad R, grad l_i> = l_i'(s_i) * (derivative of the logit s_i along grad R)``. No gradient of a
single row is ever formed.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from invlightning.inverse.decisions import Decision, StepRecord

if TYPE_CHECKING:
    from invlightning.inverse.engine import InnerStep

SIGNS = (0, -1, 1)  # of the weights of rows that take no step, the inverse and the direct one


class PerExampleDecision(Decision):
    """Weights the unlabeled rows by how they are aligned with the labeled risk.

    A subclass says how (:meth:`weights`). The weighted rows then propose one direction, and the
    direct step along it is taken.
    """

    @abstractmethod
    def weights(self, alignments: Tensor, step: "InnerStep") -> Tensor:
        """Weights of the rows.

        Args:
            alignments: ``(M,)`` inner products of the gradient of each row with that of the
                labeled risk; positive where following the row lowers the risk.
            step: The step, to agree with other processes.

        Returns:
            ``(M,)`` weights; negative ones invert a row, zero leaves it out.
        """

    def decide(self, step: "InnerStep") -> StepRecord:
        """See :meth:`Decision.decide`."""
        rows = step.rows
        if rows is None:
            raise ValueError(
                f"{type(self).__name__} looks at every unlabeled row: the module must define "
                "unlabeled_logits(batch) and unlabeled_criterion, a loss of logits."
            )
        risk, gradients = step.risk_gradients()
        logits = rows.logits()
        number = max(logits.numel(), 1)
        # The mean loss gives each row 1/M of its slope.
        [slopes] = torch.autograd.grad(rows.loss(logits), logits, retain_graph=True)
        slopes = slopes.detach() * number
        alignments = slopes * rows.tangent(step.parameters, gradients)
        alignments = alignments.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        weights = self.weights(alignments.flatten(), step).view_as(logits)
        step.propose((weights * slopes * logits).sum() / number)
        step.settle(torch.full_like(risk, -step.inner_lr))
        shares = [(weights.sign() == sign).to(step.dtype).mean() for sign in SIGNS]
        unknown = torch.full_like(risk, torch.nan)
        return StepRecord(torch.stack(shares), torch.stack([risk, unknown, unknown]))


class PerExampleSign(PerExampleDecision):
    """An inverse gradient for each row: follow it, or invert it, by the sign of its alignment.

    The first-order form of the choice that :class:`BatchSign` makes for a whole batch.
    """

    def weights(self, alignments: Tensor, step: "InnerStep") -> Tensor:
        """See :meth:`PerExampleDecision.weights`."""
        return alignments.sign()


class PerExampleReweight(PerExampleDecision):
    """Follows only the rows that lower the risk, in proportion to how much they do.

    Learning to Reweight to first order: weights are the positive parts of the alignments, scaled
    to a mean of 1 over the rows, and all 0 if no row is aligned.

    Reference: Ren et al., Learning to Reweight Examples for Robust Deep Learning, ICML 2018,
    equations 12-13.
    """

    def weights(self, alignments: Tensor, step: "InnerStep") -> Tensor:
        """See :meth:`PerExampleDecision.weights`."""
        positive = alignments.clamp(min=0)
        mean = step.agree(positive.mean().reshape(1))[0]
        return torch.where(mean > 0, positive / mean, torch.zeros_like(positive))
