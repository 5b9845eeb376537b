"""Inner rules: from the gradient of the unlabeled loss to the direction of the inner step.

Every rule is odd (``rule(-g) == -rule(g)``), so that one direction serves the direct and the
inverse step, maps zero to zero, so that rows without gradient stay where they are, and returns a
new tensor.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

DirectionName = Literal["adam", "sgd", "sign"]


def sgd(gradient: Tensor) -> Tensor:
    """The gradient itself: a step of plain gradient descent."""
    return gradient.clone()


def sign(gradient: Tensor) -> Tensor:
    """The sign of every coordinate."""
    return gradient.sign()


def adam(gradient: Tensor) -> Tensor:
    """The first step of a fresh Adam, ``g / (|g| + 1e-8)``, as in the reference implementation.

    With bias correction both moments of a fresh Adam reduce to ``g`` and ``g ** 2``.
    """
    denominator = gradient.abs().add_(1e-8)
    return torch.div(gradient, denominator, out=denominator)


DIRECTIONS: dict[str, Callable[[Tensor], Tensor]] = {"adam": adam, "sgd": sgd, "sign": sign}
