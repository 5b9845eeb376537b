"""Cosines in place of inner products."""

from torch import Tensor
from torch.nn import functional as F


def check_temperature(temperature: float | None) -> None:
    """Refuses a temperature that divides nothing.

    Raises:
        ValueError: If it is neither None nor positive.
    """
    if temperature is not None and not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a positive number or None.")


def cosine_vectors(
    users: Tensor, items: Tensor, temperature: float | None
) -> tuple[Tensor, Tensor]:
    """Vectors whose inner product is a cosine divided by a temperature.

    Args:
        users: ``(U, d)`` vectors.
        items: ``(I, d)`` vectors.
        temperature: None leaves the vectors, and so their inner product, as they are.
    """
    if temperature is None:
        return users, items
    return F.normalize(users, dim=1) / temperature, F.normalize(items, dim=1)
