"""Inverse Gradient: the meta-learning step, in plain PyTorch.

One step on parameters theta, for a loss l on unlabeled rows and a risk R on labeled rows:

1. direction  ``d = rule(grad l(theta))``, one forward and one backward pass;
2. candidates ``theta``, ``theta + a d`` (inverse) and ``theta - a d`` (direct);
3. risks      ``R`` at each of them, without a graph;
4. decision   the candidate with the lowest risk becomes theta.

The caller then takes one ordinary optimizer step on R from there. All of it is first order; the
candidates are in-place edits of the touched values, undone exactly, so there is no copy of the
model; the choice is made on the device and nothing waits for the host.

Reference: Lin et al., Inverse Learning with Extremely Sparse Feedback for Recommendation, WSDM
2024 (arXiv 2311.08302).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invlightning.inverse.context import StepContext
from invlightning.inverse.decisions import Decision, StepRecord
from invlightning.inverse.directions import DIRECTIONS, DirectionName
from invlightning.inverse.step import InnerStep
from invlightning.inverse.unlabeled_rows import UnlabeledRows


class InverseGradient:
    """The inverse gradient step with its settings.

    Args:
        inner_lr: Length a of the inner step, > 0.
        direction: Rule of the inner step: ``adam`` (the first step of a fresh Adam, as the
            reference implementation), ``sgd`` or ``sign``.
        decision: Judges the step.

    Raises:
        ValueError: If ``inner_lr`` is not positive or ``direction`` is unknown.
    """

    def __init__(self, inner_lr: float, direction: DirectionName, decision: Decision) -> None:
        if not inner_lr > 0:
            raise ValueError(f"inner_lr must be positive, got {inner_lr}.")
        if direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {sorted(DIRECTIONS)}, got {direction!r}.")
        self.inner_lr = inner_lr
        self.rule = DIRECTIONS[direction]
        self.decision = decision

    def step(
        self,
        parameters: Sequence[Tensor],
        unlabeled_loss: Callable[[], Tensor],
        labeled_risk: Callable[[], Tensor],
        context: StepContext | None = None,
        rows: UnlabeledRows | None = None,
        keep_graphs: bool = False,
    ) -> StepRecord:
        """Moves the parameters to the chosen candidate; see :class:`InnerStep` for arguments.

        If a loss fails, the parameters are put back to where they were.

        Returns:
            What was chosen and the risks, on the device. If graphs are kept, its ``loss`` is the
            labeled risk where the parameters now are: a backward pass through it saves the
            forward pass of the outer step.
        """
        step = InnerStep(
            parameters,
            unlabeled_loss,
            labeled_risk,
            self.rule,
            self.inner_lr,
            context,
            rows,
            keep_graphs,
        )
        try:
            record = self.decision.decide(step)
        except BaseException:
            # Also when interrupted: a checkpoint written on the way out must hold no candidate.
            step.settle(torch.zeros((), device=step.device))
            raise
        step.context.back_off(step.is_finite)
        return record
