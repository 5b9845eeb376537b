"""What is recommended to users who were not in training."""

from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.vocabulary import Vocabulary
from invlightning.modules.vocabularies import RawIds

Unknown = Literal["error", "popular", "skip"]


def check_unknown(unknown: str) -> None:
    """Refuses another word.

    Raises:
        ValueError: If it is none of ``error``, ``popular`` and ``skip``.
    """
    if unknown not in ("error", "popular", "skip"):
        raise ValueError(f"unknown is {unknown!r}, expected 'error', 'popular' or 'skip'.")


def parted(users: RawIds, vocabulary: Vocabulary) -> tuple[list[int | str], list[int | str]]:
    """Raw ids that are known and those that are not, each in their order and once.

    Raises:
        ValueError: If ids are missing or fractions.
    """
    ids = list(users)
    is_known = vocabulary.find(ids) >= 0 if ids else np.zeros(0, dtype=bool)
    known = [one for one, there in zip(ids, is_known, strict=True) if there]
    others = [one for one, there in zip(ids, is_known, strict=True) if not there]
    return known, list(dict.fromkeys(others))


def most_met(history: KnownPairs | None, allowed: Tensor | None, k: int) -> Tensor:
    """Items that most users have met, the lower index first among equal ones.

    Args:
        history: What users have met; None where nobody kept it.
        allowed: ``(I,)`` booleans, or None for all items.
        k: Number of items.

    Returns:
        ``(min(k, n),)`` items, where n are allowed.

    Raises:
        ValueError: If there is no history.
    """
    if history is None:
        raise ValueError(
            "unknown='popular' counts what users have met, but the checkpoint keeps no history: "
            "train with il.callbacks.KeepHistory(), or use unknown='skip'."
        )
    counts = torch.bincount(history.items.long(), minlength=history.num_items)
    if allowed is not None:
        counts = counts.masked_fill(~allowed.cpu(), -1)
    order = counts.argsort(descending=True, stable=True)
    return order[: min(k, int((counts >= 0).sum()))]


def popular_table(
    users: list[int | str], best: Tensor, item_ids: Vocabulary | None
) -> pd.DataFrame:
    """The same items for every user; the model gives no score.

    Args:
        users: Raw ids of the users.
        best: ``(k,)`` items, the best first.
        item_ids: Their raw ids; None leaves the indices.

    Returns:
        Columns user, item, rank (from 1) and score (nan).
    """
    items = best.numpy() if item_ids is None else item_ids.decode(best)
    return pd.DataFrame(
        {
            "user": np.repeat(np.array(users, dtype=object), len(items)),
            "item": np.tile(items, len(users)),
            "rank": np.tile(np.arange(1, len(items) + 1), len(users)),
            "score": np.full(len(users) * len(items), np.nan, dtype=np.float32),
        }
    ).infer_objects()
