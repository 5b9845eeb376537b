"""Raw ids of users and items, carried by the module so that predictions speak them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from invlightning.data.vocabulary import Vocabulary

RawIds = Sequence[int | str]
Seen = tuple[RawIds, RawIds] | Mapping[int | str, RawIds] | pd.DataFrame


def two_columns(seen: Seen) -> tuple[list[int | str], list[int | str]]:
    """Users and, beside them, the items that they know.

    Args:
        seen: The two columns, a table with columns ``user`` and ``item``, or a mapping from each
            user to items.

    Raises:
        ValueError: If it is none of them.
    """
    if isinstance(seen, pd.DataFrame):
        if not {"user", "item"} <= set(seen.columns):
            raise ValueError(
                f"seen is a table with the columns {', '.join(map(str, seen.columns))}: name those "
                "of users and items user and item."
            )
        return seen["user"].tolist(), seen["item"].tolist()
    if isinstance(seen, Mapping):
        pairs = [(user, item) for user, items in seen.items() for item in items]
        return [user for user, _ in pairs], [item for _, item in pairs]
    if len(seen) != 2 or isinstance(seen, str) or len(seen[0]) != len(seen[1]):
        raise ValueError(
            f"seen is a {type(seen).__name__} of length {len(seen)}: pass two columns of one "
            "length, users and beside them the items that they know, or a mapping from users to "
            "items."
        )
    return list(seen[0]), list(seen[1])


class Vocabularies:
    """The raw ids a model was trained with; empty until a data module or checkpoint gives them.

    Attributes:
        users: Raw ids of users, by index.
        items: Raw ids of items, by index.
    """

    def __init__(self) -> None:
        self.users: Vocabulary | None = None
        self.items: Vocabulary | None = None

    def adopt(self, data: Any) -> None:
        """Takes the ids of a data module; see :meth:`merge`."""
        found = Vocabularies()
        found.users, found.items = data.interactions.user_ids, data.interactions.item_ids
        self.merge(found)

    def merge(self, other: "Vocabularies") -> None:
        """Takes the ids of ``other``.

        Raises:
            ValueError: If both are known and differ: an index would mean another user or item.
        """
        for name in ("users", "items"):
            own, found = getattr(self, name), getattr(other, name)
            if own is not None and found is not None and not np.array_equal(own.ids, found.ids):
                raise ValueError(
                    f"the {name} of the data are not those that the checkpoint was trained with "
                    f"({len(own.ids)} and {len(found.ids)}, or other ids): give the same table, "
                    "thresholds and filters as in training."
                )
            setattr(self, name, own if own is not None else found)

    def encode(self, name: str, raw: Sequence[int | str]) -> Tensor:
        """Turns raw ids of ``users`` or ``items`` into indices ``(n,)``.

        Raises:
            ValueError: If an id is unknown.
            RuntimeError: If the model carries no ids.
        """
        vocabulary = getattr(self, name)
        if vocabulary is None:
            raise RuntimeError(
                f"the model carries no raw ids of {name}: train it with a data module of "
                "invlightning first."
            )
        return torch.from_numpy(vocabulary.encode(list(raw), name=name[:-1]))

    def encode_seen(self, users: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
        """Seen pairs of some users as rows of ``users`` and item indices.

        Args:
            users: ``(B,)`` distinct user indices; each defines a row.
            seen: What is known of whom; pairs of other users are ignored.

        Returns:
            Rows ``(S,)`` and items ``(S,)``.

        Raises:
            ValueError: If ``seen`` is neither a mapping nor two columns of one length, or an item
                is unknown.
        """
        assert self.users is not None  # the users were encoded before
        # Through the vocabulary: 7, 7.0 and "7" are the same user where ids are integers.
        owners, items = two_columns(seen)
        known = self.users.find(owners, "user") if owners else np.empty(0, dtype=np.int64)
        pairs = pd.DataFrame({"user": known, "item": items})
        rows = pd.DataFrame({"user": users.numpy(), "row": range(len(users))})
        found = rows.merge(pairs, on="user")
        encoded = self.encode("items", found["item"].tolist()) if len(found) else users.new_empty(0)
        return torch.tensor(found["row"].tolist(), dtype=torch.int64), encoded

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Tensors only, so that a checkpoint loads safely."""
        known = {"users": self.users, "items": self.items}
        return {name: ids.state_dict() for name, ids in known.items() if ids is not None}

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Restores what :meth:`state_dict` gave."""
        for name, ids in state.items():
            setattr(self, name, Vocabulary.from_state_dict(ids))

    def table(self, users: Tensor, items: Tensor, scores: Tensor) -> pd.DataFrame:
        """A table of recommendations with raw ids.

        Args:
            users: ``(B,)`` user indices.
            items: ``(B, k)`` item indices, best first; -1 where there is no item.
            scores: ``(B, k)`` logits.

        Returns:
            Columns user, item, rank (from 1) and score.
        """
        index = users.cpu().numpy()
        raw = index if self.users is None else self.users.decode(index)
        return ranked_table(raw, self.items, items, scores)


def ranked_table(
    users: NDArray[Any], item_ids: Vocabulary | None, items: Tensor, scores: Tensor
) -> pd.DataFrame:
    """A table of ranked items.

    Args:
        users: ``(B,)`` raw ids of users.
        item_ids: Raw ids of items; None takes their indices.
        items: ``(B, k)`` item indices, best first; -1 where there is no item.
        scores: ``(B, k)`` logits.

    Returns:
        Columns user, item, rank (from 1) and score.
    """
    rows, ranks = (places.cpu() for places in torch.nonzero(items >= 0, as_tuple=True))
    index = items.cpu()[rows, ranks].numpy()
    return pd.DataFrame(
        {
            "user": users[rows.numpy()],
            "item": index if item_ids is None else item_ids.decode(index),
            "rank": (ranks + 1).numpy(),
            "score": scores.float().cpu()[rows, ranks].numpy(),
        }
    )
