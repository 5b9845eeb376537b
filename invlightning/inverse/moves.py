"""Displacements of parameters that can be placed, changed and taken back exactly."""

from collections.abc import Callable

import torch
from torch import Tensor

from invlightning.inverse.row_sparse import row_totals, write_rows


class Move:
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
        # Infinities and nan show in the sum; looking at each number takes thirty times as long.
        precision = torch.promote_types(gradient.dtype, torch.float32)
        self.is_finite = gradient.sum(dtype=precision).isfinite()
        # A direction that overflowed must not turn "0 times direction" into nan.
        self.direction = rule(gradient).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        origin = parameter.detach()
        self.origin = origin.clone() if self.rows is None else origin.index_select(0, self.rows)

    @torch.no_grad()
    def place(self, coefficient: Tensor) -> None:
        """Sets the parameter to ``origin + coefficient * direction``.

        Args:
            coefficient: Scalar on the device of the parameter.
        """
        coefficient = coefficient.to(self.origin.dtype)
        if self.rows is None:
            torch.addcmul(self.origin, self.direction, coefficient, out=self.parameter)
        else:
            values = torch.addcmul(self.origin, self.direction, coefficient)
            write_rows(self.parameter, self.rows, values)
