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

from invlightning.inverse.decisions import Decision, StepRecord
from invlightning.inverse.directions import DIRECTIONS, DirectionName
from invlightning.inverse.moves import Move

Reduce = Callable[[Tensor], Tensor]


class InnerStep:
    """One inner step in progress: what a :class:`Decision` works with.

    Args:
        parameters: The parameters that may move.
        unlabeled_loss: Computes the mean loss on the unlabeled rows, with a graph.
        labeled_risk: Computes the mean loss on the labeled rows.
        rule: Maps a gradient to a direction, elementwise.
        inner_lr: Length a of the inner step.
        reduce: Averages a tensor over all processes; None in a single process.
        scaler: The gradient scaler in use with float16 autocast, if any.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        unlabeled_loss: Callable[[], Tensor],
        labeled_risk: Callable[[], Tensor],
        rule: Callable[[Tensor], Tensor],
        inner_lr: float,
        reduce: Reduce | None = None,
        scaler: "torch.amp.GradScaler | None" = None,
    ) -> None:
        self.parameters = list(parameters)
        self.unlabeled_loss = unlabeled_loss
        self.labeled_risk = labeled_risk
        self.rule = rule
        self.inner_lr = inner_lr
        self.reduce = reduce
        self.scaler = scaler
        self.moves: list[Move] = []

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.parameters[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of coefficients: that of the parameters, at least float32."""
        return torch.promote_types(self.parameters[0].dtype, torch.float32)

    def propose(self) -> None:
        """Computes the direction from the gradient of the unlabeled loss."""
        gradients = self._gradients()
        self.moves = [
            Move(parameter, gradient, self.rule)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
            if gradient is not None
        ]

    def risk(self, coefficient: Tensor) -> Tensor:
        """Labeled risk at ``origin + coefficient * direction``, a float scalar.

        Not a number counts as infinite, and so does any displacement along a direction that
        overflowed.
        """
        self.settle(coefficient)
        with torch.no_grad():
            risk = self.labeled_risk().detach()
        risk = risk.to(torch.promote_types(risk.dtype, torch.float32))
        infinity = torch.full_like(risk, float("inf"))
        usable = ~risk.isnan()
        for move in self.moves:
            usable = usable & (move.is_finite | (coefficient == 0))
        return torch.where(usable, risk, infinity)

    def settle(self, coefficient: Tensor) -> None:
        """Puts the parameters at ``origin + coefficient * direction``."""
        for move in self.moves:
            move.place(coefficient)
        # Autocast keeps low-precision copies of weights; they are stale after an in-place edit.
        torch.clear_autocast_cache()

    def agree(self, values: Tensor) -> Tensor:
        """Averages ``values`` over all processes, so that all of them decide alike."""
        return values if self.reduce is None else self.reduce(values)

    def _gradients(self) -> list[Tensor | None]:
        loss = self.unlabeled_loss()
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        gradients: list[Tensor | None] = list(found)
        if self.reduce is not None:
            gradients = self._averaged(gradients, self.reduce)
        if self.scaler is not None:
            factor = 1.0 / self.scaler.get_scale()
            gradients = [None if g is None else g * factor for g in gradients]
        return gradients

    def _averaged(self, gradients: Sequence[Tensor | None], reduce: Reduce) -> list[Tensor | None]:
        """Averages over processes in one flat message; a missing gradient counts as zero."""
        dense = [
            torch.zeros_like(p) if g is None else g.to_dense() if g.is_sparse else g
            for p, g in zip(self.parameters, gradients, strict=True)
        ]
        flat = reduce(torch.cat([g.reshape(-1) for g in dense]))
        parts = torch.split(flat, [g.numel() for g in dense])
        return [part.view_as(p) for part, p in zip(parts, self.parameters, strict=True)]


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
        reduce: Reduce | None = None,
        scaler: "torch.amp.GradScaler | None" = None,
    ) -> StepRecord:
        """Moves the parameters to the chosen candidate; see :class:`InnerStep` for arguments.

        Returns:
            What was chosen and the risks, on the device.
        """
        return self.decision.decide(
            InnerStep(
                parameters,
                unlabeled_loss,
                labeled_risk,
                self.rule,
                self.inner_lr,
                reduce,
                scaler,
            )
        )
