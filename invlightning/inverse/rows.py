"""Unlabeled rows one by one: what decisions about each row need to know of a module."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


class UnlabeledRows:
    """The logits of the unlabeled rows of a batch, as a function of the parameters.

    Args:
        module: The module whose parameters move.
        method: Name of its method that returns the logits of the unlabeled rows of a batch.
        batch: The batch.
        loss: Mean loss of logits, separable: the sum over rows of a function of each logit.
    """

    def __init__(
        self, module: nn.Module, method: str, batch: Any, loss: Callable[[Tensor], Tensor]
    ) -> None:
        self.module = module
        self.method = method
        self.batch = batch
        self.loss = loss

    def logits(self) -> Tensor:
        """Logits of the unlabeled rows, any shape, with a graph."""
        logits: Tensor = getattr(self.module, self.method)(self.batch)
        return logits

    def tangent(self, parameters: Sequence[Tensor], displacement: Sequence[Tensor]) -> Tensor:
        """Derivative of every logit along a displacement of the parameters.

        One forward-mode pass, whatever the number of rows.

        Args:
            parameters: Parameters of the module.
            displacement: A tensor for each of them, of its shape.

        Returns:
            The derivatives, in the shape of the logits.
        """
        names = {id(p): name for name, p in self.module.named_parameters()}
        with forward_ad.dual_level(), torch.no_grad():
            duals = {
                f"module.{names[id(p)]}": forward_ad.make_dual(p.detach(), v)  # type: ignore[no-untyped-call]
                for p, v in zip(parameters, displacement, strict=True)
            }
            call = _Call(self.module, self.method)
            logits = torch.func.functional_call(call, duals, (self.batch,))
            derivative = forward_ad.unpack_dual(logits).tangent  # type: ignore[no-untyped-call]
        return torch.zeros_like(logits) if derivative is None else derivative


class _Call(nn.Module):
    """Makes a method of a module the forward of another, as ``functional_call`` wants it."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, batch: Any) -> Tensor:
        logits: Tensor = getattr(self.module, self.method)(batch)
        return logits
