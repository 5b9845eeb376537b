"""What users are known to have met, so that it is not recommended again."""

from typing import Any

import pytorch_lightning as pl
import torch

from invlightning.compat import trainer_of
from invlightning.data.known_pairs import KnownPairs
from invlightning.data.module import ImplicitDataModule
from invlightning.data.rows import TEST
from invlightning.modules.trainer_data import implicit_data

KEY = "history"


def history_of(data: ImplicitDataModule) -> KnownPairs:
    """Everything that the users of a data module are known to have met, of all its parts.

    Exposed rows count unless ``exposed_seen`` of the data module says otherwise.
    """
    return data.interactions.pairs(data.rows.seen(TEST + 1, data.exposed_seen))


def history_in_memory(module: pl.LightningModule) -> KnownPairs | None:
    """The history in the data that a module was trained with and still has; None without any."""
    trainer = trainer_of(module)
    data = implicit_data(trainer) if trainer is not None else None
    return history_of(data) if data is not None and data.is_set_up else None


def history_state(history: KnownPairs) -> dict[str, torch.Tensor]:
    """A history as tensors, 4 bytes a pair and 8 a user, so that a checkpoint loads safely."""
    return {"indptr": history.indptr, "items": history.items}


def stored_history(checkpoint: dict[str, Any], num_users: int, num_items: int) -> KnownPairs | None:
    """The history that a checkpoint keeps; None if it keeps none.

    Raises:
        ValueError: If it does not fit the sizes of the model.
    """
    state = checkpoint.get(KEY)
    if state is None:
        return None
    indptr, items = state["indptr"].cpu(), state["items"].cpu()
    fits = len(indptr) == num_users + 1 and int(indptr[-1]) == len(items)
    if not fits or (len(items) and not 0 <= int(items.min()) <= int(items.max()) < num_items):
        raise ValueError(
            f"the history in the checkpoint is not one of {num_users} users and {num_items} "
            "items: give another copy of the checkpoint."
        )
    return KnownPairs(indptr, items, num_users, num_items)
