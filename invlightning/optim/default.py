"""The optimizer of those who name none."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.distributed.tensor import DTensor

_FUSED = {"cpu", "cuda"}  # devices on which every torch that is supported has a fused Adam


def default_adam(
    parameters: Sequence[nn.Parameter], lr: float = 1e-3, scaled: bool = False
) -> torch.optim.Adam:
    """Builds Adam, as one fused kernel for all parameters where torch has it for them.

    Args:
        parameters: What is trained, where it will be trained.
        lr: Learning rate.
        scaled: Whether gradients are scaled, as in float16. A fused Adam would unscale them by
            itself, when they have been clipped already.
    """
    plain = all(p.device.type in _FUSED and not isinstance(p, DTensor) for p in parameters)
    return torch.optim.Adam(parameters, lr=lr, fused=True if plain and not scaled else None)
