"""What lies around a step: other processes, gradient scaling, sharded parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepContext:
    """What a training framework adds around a step; the defaults are those of a bare loop.

    Attributes:
        mean: Averages a tensor over all processes; None in a single process.
        gather: Stacks equally shaped tensors of all P processes to ``(P, ...)``.
        row_sparse: The ``id`` of every parameter whose gradient is row-sparse, the same parameters
            on all processes. Of these only touched rows travel, if ``gather`` is given.
        scaler: The gradient scaler in use with float16 autocast, if any.
        moved: Called after every in-place edit of the parameters, for example to drop copies.
    """

    mean: Callable[[Tensor], Tensor] | None = None
    gather: Callable[[Tensor], Tensor] | None = None
    row_sparse: frozenset[int] = frozenset()
    scaler: "torch.amp.GradScaler | None" = None
    moved: Callable[[], None] | None = None

    def scale(self, device: torch.device) -> Tensor:
        """The factor that the scaler puts on losses, a scalar; it stays on the device."""
        one = torch.ones((), device=device)
        return one if self.scaler is None else self.scaler.scale(one)

    def back_off(self, is_finite: Tensor) -> None:
        """Lowers the scale at once if a gradient overflowed.

        The scaler itself sees the gradients of the outer step only. Without this a scale that is
        too high for the inner step alone would switch it off for ever. A scale of 1 is not to
        blame for an overflow and stays.

        Args:
            is_finite: Boolean scalar, the same on all processes.
        """
        if self.scaler is None:
            return
        scale = self.scale(is_finite.device)
        lower = (scale * self.scaler.get_backoff_factor()).clamp(min=1)
        self.scaler.update(torch.where(is_finite | (scale <= 1), scale, lower))
