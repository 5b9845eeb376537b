"""Gradient clipping that takes row-sparse gradients too, which ``torch.nn.utils`` refuses."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor


@torch.no_grad()
def clip_gradients(
    parameters: Iterable[Tensor], limit: float, algorithm: Literal["norm", "value"] = "norm"
) -> None:
    """Clips gradients in place, dense and row-sparse ones together.

    Entries of a row-sparse gradient are summed by row first, so the result is that of the dense
    gradient. On an accelerator this waits for the number of rows.

    Args:
        parameters: Parameters whose ``grad`` is clipped.
        limit: Largest allowed 2-norm of all gradients together, or largest allowed size of every
            coordinate.
        algorithm: ``norm`` scales all gradients by one factor, ``value`` cuts coordinates off.

    Raises:
        ValueError: If the algorithm is unknown.
    """
    if algorithm not in ("norm", "value"):
        raise ValueError(f"algorithm must be 'norm' or 'value', got {algorithm!r}.")
    values: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad._values())
        else:
            values.append(parameter.grad)
    if algorithm == "value":
        for value in values:
            value.clamp_(-limit, limit)
    elif values:
        factor = (limit / (torch.nn.utils.get_total_norm(values) + 1e-6)).clamp(max=1.0)
        for value in values:
            value.mul_(factor)
