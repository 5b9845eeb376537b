"""Displacements of parameters that can be placed, changed and taken back exactly."""

from collections.abc import Callable

import torch
from torch import Tensor

from invlightning.sparse import row_totals, write_rows


def is_on_host(tensor: Tensor) -> bool:
    """Whether values of a tensor can be read without waiting for a device."""
    return tensor.device.type == "cpu"


def has_finite_sum(gradient: Tensor) -> Tensor:
    """Whether no number overflowed, a scalar; also False where the sum of them does.

    Infinities and nan show in the sum; looking at each number takes thirty times as long.
    """
    precision = torch.promote_types(gradient.dtype, torch.float32)
    return torch.sum(gradient, dtype=precision).isfinite()


class Displacement:
    """One parameter, or the rows of it that a batch touched, with a direction to move along.

    Every placement starts from a saved copy of the touched values, so nothing drifts however
    often the parameter is moved, and coefficient zero restores it exactly.

    Args:
        parameter: The parameter that is edited in place.
        gradient: Its gradient, dense or row-sparse (as ``nn.Embedding(sparse=True)`` makes it).
        rule: Maps gradient values to a direction, elementwise, in a new tensor.

    Attributes:
        is_finite: Boolean scalar, False if the gradient, or the sum of it, overflowed.
    """

    def __init__(
        self, parameter: Tensor, gradient: Tensor, rule: Callable[[Tensor], Tensor]
    ) -> None:
        self.parameter = parameter
        self.rows: Tensor | None = None
        if gradient.is_sparse:
            self.rows, gradient = row_totals(gradient)
        self.is_finite = has_finite_sum(gradient)
        self.direction = rule(gradient)
        if not (is_on_host(parameter) and self.is_finite):
            # A direction that overflowed must not turn "0 times direction" into nan.
            self.direction.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        origin = parameter.detach()
        self.origin = origin.clone() if self.rows is None else origin.index_select(0, self.rows)
        self._placed: float | None = 0.0  # coefficient, where it can be read without waiting

    @torch.no_grad()
    def place(self, coefficient: Tensor) -> None:
        """Sets the parameter to ``origin + coefficient * direction``.

        A graph that was made before does not see this edit: a backward pass through it is right
        where the parameter is back at what it was then.

        Args:
            coefficient: Scalar on the device of the parameter.
        """
        target = float(coefficient) if is_on_host(coefficient) else None
        if target is not None and target == self._placed:
            return
        self._placed = None  # until all of it is written
        # An edit of the data leaves the graphs of other candidates usable.
        data, coefficient = self.parameter.data, coefficient.to(self.origin.dtype)
        if self.rows is not None:
            write_rows(data, self.rows, torch.addcmul(self.origin, self.direction, coefficient))
        elif target == 0:
            data.copy_(self.origin)
        else:
            torch.addcmul(self.origin, self.direction, coefficient, out=data)
        self._placed = target
