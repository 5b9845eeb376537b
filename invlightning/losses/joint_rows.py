"""What joint losses ask of their rows."""

import torch
from torch import Tensor

from invlightning.types import JointRows


def all_rows(rows: JointRows) -> tuple[Tensor, Tensor, Tensor | None]:
    """Joins labeled and unlabeled rows, the unlabeled ones with label 0.

    Args:
        rows: Labeled rows ``(B,)`` and unlabeled rows ``(B, K)``.

    Returns:
        Logits, labels and mask, each ``(B + B K,)``; the mask is None if every row exists.
    """
    logits = torch.cat([rows.logits, rows.unlabeled_logits.flatten()])
    labels = torch.cat([rows.labels, rows.labels.new_zeros(rows.unlabeled_logits.numel())])
    if rows.mask is None:
        return logits, labels, None
    exists = torch.ones_like(rows.labels, dtype=torch.bool)
    return logits, labels, torch.cat([exists, rows.mask.flatten()])


def users_of(rows: JointRows, name: str) -> Tensor:
    """Users ``(B,)`` of the labeled rows.

    Args:
        rows: The rows.
        name: Who asks, for the message.

    Raises:
        ValueError: If the rows do not tell them.
    """
    if rows.users is None:
        raise ValueError(f"{name} compares rows of a user, but the rows have no users: pass users.")
    return rows.users


def compared_rows(rows: JointRows) -> Tensor:
    """Positives that have an unlabeled item to be compared with, ``(B,)`` booleans."""
    positive = rows.labels > 0.5
    return positive if rows.mask is None else positive & rows.mask.any(1)


def disliked_rows(rows: JointRows) -> Tensor:
    """Labeled negatives that have an unlabeled item to be compared with, ``(B,)`` booleans."""
    negative = rows.labels <= 0.5
    return negative if rows.mask is None else negative & rows.mask.any(1)
