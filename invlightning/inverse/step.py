"""One inner step in progress: direction, candidates and their labeled risks."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from invlightning.inverse.context import StepContext
from invlightning.inverse.displacement import Displacement, has_finite_sum, is_on_host
from invlightning.inverse.gradients import averaged, gradients_of
from invlightning.inverse.unlabeled_rows import UnlabeledRows
from invlightning.sparse import entry_values


class InnerStep:
    """One inner step in progress: what a :class:`Decision` works with.

    Args:
        parameters: The parameters that may move.
        unlabeled_loss: Computes the mean loss on the unlabeled rows, with a graph.
        labeled_risk: Computes the mean loss on the labeled rows.
        rule: Maps a gradient to a direction, elementwise.
        inner_lr: Length a of the inner step.
        context: Other processes, gradient scaling and sharding, where there are any.
        rows: The unlabeled rows one by one, for decisions about each of them.
        keep_graphs: Whether the risks keep their graphs, so that the one of the chosen candidate
            can be the loss of the outer step. Only on one processor, nowhere else.

    Attributes:
        device: Device of the parameters.
        dtype: Precision of coefficients: that of the parameters, at least float32.
        lowest: The lowest risk measured so far with its graph, if graphs are kept.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        unlabeled_loss: Callable[[], Tensor],
        labeled_risk: Callable[[], Tensor],
        rule: Callable[[Tensor], Tensor],
        inner_lr: float,
        context: StepContext | None = None,
        rows: UnlabeledRows | None = None,
        keep_graphs: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.device = self.parameters[0].device
        self.dtype = torch.promote_types(self.parameters[0].dtype, torch.float32)
        self.unlabeled_loss = unlabeled_loss
        self.labeled_risk = labeled_risk
        self.rule = rule
        self.inner_lr = inner_lr
        self.context = context if context is not None else StepContext()
        self.rows = rows
        # Elsewhere the choice would have to be waited for.
        is_local = self.context.mean is None and is_on_host(self.parameters[0])
        self.keep_graphs = keep_graphs and is_local
        self.lowest: Tensor | None = None
        self._lowest_risk = float("inf")
        self.displacements: list[Displacement] = []
        self.is_finite = torch.ones((), dtype=torch.bool, device=self.device)

    def propose(
        self, loss: Tensor | None = None, rule: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Computes the direction from the gradient of the unlabeled loss.

        Args:
            loss: Another loss to take the gradient of, for decisions that weight rows.
            rule: Another rule than that of the step, for a trial that is taken back.
        """
        gradients = self._gradients(self.unlabeled_loss() if loss is None else loss)
        self.displacements = [
            Displacement(_local(parameter), _local(gradient), self.rule if rule is None else rule)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
            if gradient is not None
        ]
        if self.displacements:
            self.is_finite &= torch.stack(
                [displacement.is_finite for displacement in self.displacements]
            ).all()

    def _gradients(self, loss: Tensor) -> list[Tensor | None]:
        """Gradients averaged over processes, computed at the scale that float16 needs."""
        scale = self.context.scale(self.device)
        scaled = gradients_of(loss * scale, self.parameters)
        gradients = averaged(scaled, self.parameters, self.context)
        if self.context.scaler is None:
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
        for displacement in self.displacements:
            displacement.place(coefficient)
        # Autocast keeps low-precision copies of weights; they are stale after an in-place edit.
        torch.clear_autocast_cache()
        if self.context.moved is not None:
            self.context.moved()

    def risk_gradients(self) -> tuple[Tensor, list[Tensor | None]]:
        """The labeled risk and its gradients where the parameters are.

        An overflow here forbids any displacement in this step, as one of the direction does.

        Returns:
            The risk of the rows of this process, a scalar, and the gradient for each parameter,
            averaged over processes; row-sparse for sparse tables, None where there is none.
        """
        risk = self.labeled_risk()
        gradients = self._gradients(risk)
        finite = [has_finite_sum(entry_values(g)) for g in gradients if g is not None]
        if finite:
            self.is_finite &= torch.stack(finite).all()
        return risk.detach(), gradients

    def agree(self, values: Tensor) -> Tensor:
        """Averages ``values`` over all processes, so that all of them decide alike."""
        return values if self.context.mean is None else self.context.mean(values)


@torch.no_grad()
def _local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor; any other tensor as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
