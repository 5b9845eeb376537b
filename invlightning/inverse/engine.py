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
from torch.distributed.tensor import DTensor

from invlightning.inverse.decisions import Decision, StepRecord
from invlightning.inverse.directions import DIRECTIONS, DirectionName
from invlightning.inverse.gradients import averaged, gradients_of
from invlightning.inverse.moves import Move, has_finite_sum, is_on_host
from invlightning.inverse.rows import UnlabeledRows
from invlightning.inverse.surroundings import Surroundings


class InnerStep:
    """One inner step in progress: what a :class:`Decision` works with.

    Args:
        parameters: The parameters that may move.
        unlabeled_loss: Computes the mean loss on the unlabeled rows, with a graph.
        labeled_risk: Computes the mean loss on the labeled rows.
        rule: Maps a gradient to a direction, elementwise.
        inner_lr: Length a of the inner step.
        around: Other processes, gradient scaling and sharding, where there are any.
        rows: The unlabeled rows one by one, for decisions about each of them.
        keep_graphs: Whether the risks keep their graphs, so that the one of the chosen candidate
            can be the loss of the outer step. Only on one processor, nowhere else.

    Attributes:
        lowest: The lowest risk measured so far with its graph, if graphs are kept.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        unlabeled_loss: Callable[[], Tensor],
        labeled_risk: Callable[[], Tensor],
        rule: Callable[[Tensor], Tensor],
        inner_lr: float,
        around: Surroundings | None = None,
        rows: UnlabeledRows | None = None,
        keep_graphs: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.unlabeled_loss = unlabeled_loss
        self.labeled_risk = labeled_risk
        self.rule = rule
        self.inner_lr = inner_lr
        self.around = around if around is not None else Surroundings()
        self.rows = rows
        # Elsewhere the choice would have to be waited for.
        is_local = self.around.mean is None and is_on_host(self.parameters[0])
        self.keep_graphs = keep_graphs and is_local
        self.lowest: Tensor | None = None
        self._lowest_risk = float("inf")
        self.moves: list[Move] = []
        self.is_finite = torch.ones((), dtype=torch.bool, device=self.device)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.parameters[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of coefficients: that of the parameters, at least float32."""
        return torch.promote_types(self.parameters[0].dtype, torch.float32)

    def propose(
        self, loss: Tensor | None = None, rule: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Computes the direction from the gradient of the unlabeled loss.

        Args:
            loss: Another loss to take the gradient of, for decisions that weight rows.
            rule: Another rule than that of the step, for a trial that is taken back.
        """
        gradients = self._gradients(self.unlabeled_loss() if loss is None else loss)
        self.moves = [
            Move(_local(parameter), _local(gradient), self.rule if rule is None else rule)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
            if gradient is not None
        ]
        if self.moves:
            self.is_finite &= torch.stack([move.is_finite for move in self.moves]).all()

    def _gradients(self, loss: Tensor) -> list[Tensor | None]:
        """Gradients averaged over processes, computed at the scale that float16 needs."""
        scale = self.around.scale(self.device)
        scaled = gradients_of(loss * scale, self.parameters)
        gradients = averaged(scaled, self.parameters, self.around)
        if self.around.scaler is None:
            return gradients
        return [None if g is None else g / scale for g in gradients]

    def risk(self, coefficient: Tensor | None = None) -> Tensor:
        """Labeled risk at ``origin + coefficient * direction``, a float scalar.

        Not a number counts as infinite, and so does any displacement along a direction that
        overflowed.

        Args:
            coefficient: Scalar on the device. None leaves the parameters where they are.
        """
        if coefficient is not None:
            self.settle(coefficient)
        with torch.set_grad_enabled(self.keep_graphs):
            loss = self.labeled_risk()
        risk = loss.detach()
        risk = risk.to(torch.promote_types(risk.dtype, torch.float32))
        usable = ~risk.isnan()
        if coefficient is not None:
            usable &= self.is_finite | (coefficient == 0)
        risk = risk.masked_fill(~usable, float("inf"))
        if self.keep_graphs and (self.lowest is None or float(risk) < self._lowest_risk):
            # The graph of a worse candidate goes at once: the next one finds its memory warm.
            self.lowest, self._lowest_risk = loss, float(risk)
        return risk

    def settle(self, coefficient: Tensor) -> None:
        """Puts the parameters at ``origin + coefficient * direction``."""
        for move in self.moves:
            move.place(coefficient)
        # Autocast keeps low-precision copies of weights; they are stale after an in-place edit.
        torch.clear_autocast_cache()
        if self.around.moved is not None:
            self.around.moved()

    def risk_gradients(self) -> tuple[Tensor, list[Tensor | None]]:
        """The labeled risk and its gradients where the parameters are.

        An overflow here forbids any displacement in this step, as one of the direction does.

        Returns:
            The risk of the rows of this process, a scalar, and the gradient for each parameter,
            averaged over processes; row-sparse for sparse tables, None where there is none.
        """
        risk = self.labeled_risk()
        gradients = self._gradients(risk)
        finite = [has_finite_sum(_values(g)) for g in gradients if g is not None]
        if finite:
            self.is_finite &= torch.stack(finite).all()
        return risk.detach(), gradients

    def agree(self, values: Tensor) -> Tensor:
        """Averages ``values`` over all processes, so that all of them decide alike."""
        return values if self.around.mean is None else self.around.mean(values)


@torch.no_grad()
def _local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor; any other tensor as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _values(gradient: Tensor) -> Tensor:
    """The values of a row-sparse gradient; a dense one as it is."""
    return gradient._values() if gradient.is_sparse else gradient


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
        around: Surroundings | None = None,
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
            around,
            rows,
            keep_graphs,
        )
        try:
            record = self.decision.decide(step)
        except BaseException:
            # Also when interrupted: a checkpoint written on the way out must hold no candidate.
            step.settle(torch.zeros((), device=step.device))
            raise
        step.around.back_off(step.is_finite)
        return record
