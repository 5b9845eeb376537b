"""Scores and recommendations by raw ids, without a trainer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from invlightning.backbones.layers.sequence import SequenceBackbone
from invlightning.data.known_pairs import KnownPairs
from invlightning.evaluation_mode import evaluation_mode, fixed_parameters
from invlightning.metrics.functional import top_unseen
from invlightning.modules.evaluation import EvaluatedModule
from invlightning.modules.history import history_in_memory, stored_history
from invlightning.modules.unknown_users import (
    Unknown,
    check_unknown,
    most_met,
    parted,
    popular_table,
)
from invlightning.modules.vocabularies import RawIds, Seen, ranked_table

_BATCH = 512  # users whose scores are in memory at once


class ServedModule(EvaluatedModule):
    """A module that answers questions in raw ids: scores of pairs, and the best items of users.

    Attributes:
        history: What users are known to have met, where the checkpoint keeps it; see
            :class:`invlightning.callbacks.KeepHistory`.
    """

    history: KnownPairs | None = None

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if hasattr(self, "backbone"):
            sizes = self.backbone.num_users, self.backbone.num_items
            self.history = stored_history(checkpoint, *sizes)

    @torch.no_grad()
    def score(self, users: RawIds, items: RawIds) -> Tensor:
        """Logits of pairs, those of ``forward`` in evaluation mode.

        Args:
            users: Raw ids of B users.
            items: Raw ids of B items beside them.

        Returns:
            ``(B,)`` logits, on the processor.

        Raises:
            ValueError: If an id is unknown, or the columns differ in length.
        """
        for name, ids in (("users", users), ("items", items)):
            check_list(ids, name)
        if len(users) != len(items):
            raise ValueError(
                f"score got {len(users)} users and {len(items)} items: give two columns of one "
                "length, a user and beside it an item."
            )
        user_index = self.vocabularies.encode("users", users).to(self.device)
        item_index = self.vocabularies.encode("items", items).to(self.device)
        with evaluation_mode(self), fixed_parameters(self):
            logits: Tensor = self(user_index, item_index)
        return logits.float().cpu()

    def recommend(
        self,
        users: RawIds,
        seen: Seen | None = None,
        k: int | None = None,
        candidates: RawIds | None = None,
        unknown: Unknown = "error",
    ) -> pd.DataFrame:
        """Recommends to some users, without a trainer.

        Args:
            users: Raw ids of the users; one that comes twice is answered once.
            seen: What the users already know, which is left out: two columns of raw ids, users and
                beside them items, a table with columns ``user`` and ``item``, or a mapping from
                users to items. None leaves out what the data of the training or the checkpoint
                (:class:`invlightning.callbacks.KeepHistory`) say; where neither is there, a
                warning says that nothing is left out. ``{}`` means that nothing is.
            k: Number of items a user. None means ``top_k``.
            candidates: Raw ids of the items to choose from. None means all.
            unknown: What becomes of users who were not in training: ``error``, ``skip`` leaves them
                out, and ``popular`` gives them, behind the others and without a score, what most
                users have met, as far as the data of the training or the checkpoint say.

        Returns:
            Columns user, item, rank (from 1) and score (logit), at most ``k`` rows a user; fewer
            where less is left.

        Raises:
            ValueError: If an id is unknown, ``users`` is a text, ``k`` is more than there are, or
                nobody knows what is popular.
        """
        check_unknown(unknown)
        check_list(users, "users")
        strangers: list[int | str] = []
        if unknown != "error" and self.vocabularies.users is not None:
            users, strangers = parted(users, self.vocabularies.users)
        index = self.encode_users(users)
        known = self.known(index, seen)
        allowed = self.candidate_mask(candidates)
        tables = []
        for batch in index.split(_BATCH) or (index,):
            scores, items = self.top_items(batch, known, self.checked_k(k, allowed), allowed)
            tables.append(self.vocabularies.table(batch, items, scores))
        if strangers and unknown == "popular":
            history = history_in_memory(self) or self.history
            best = most_met(history, allowed, self.checked_k(k, allowed))
            tables = [table for table in tables if len(table)]
            tables.append(popular_table(strangers, best, self.vocabularies.items))
        return pd.concat(tables, ignore_index=True)

    @torch.no_grad()
    def recommend_from(
        self,
        histories: Mapping[Any, RawIds],
        k: int | None = None,
        candidates: RawIds | None = None,
    ) -> pd.DataFrame:
        """Recommends for given histories, also of users who were not in training.

        Args:
            histories: From any name of a user to raw ids of the items that the user liked, the
                earliest first. They are left out of the recommendations.
            k: Number of items a user. None means ``top_k``.
            candidates: Raw ids of the items to choose from. None means all.

        Returns:
            As :meth:`recommend`, with the names as users.

        Raises:
            ValueError: If an item is unknown, or the backbone reads no histories.
        """
        lists = [self.vocabularies.encode("items", ids) for ids in histories.values()]
        allowed = self.candidate_mask(candidates)
        k, names = self.checked_k(k, allowed), np.array(list(histories), dtype=object)
        tables = []
        with evaluation_mode(self), fixed_parameters(self):
            for start in range(0, len(lists), _BATCH):
                part, users = lists[start : start + _BATCH], names[start : start + _BATCH]
                scores, items = self._top_of_histories(part, k, allowed)
                tables.append(ranked_table(users, self.vocabularies.items, items, scores))
        if not tables:
            raise ValueError("histories is empty: give at least one user with items.")
        return pd.concat(tables, ignore_index=True)

    def _top_of_histories(
        self, histories: list[Tensor], k: int, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor([len(history) for history in histories])
        return top_unseen(
            lambda a, b: offered(self.score_histories(histories, a, b), allowed, a, b),
            self.backbone.num_items,
            k,
            torch.arange(len(histories)).repeat_interleave(lengths).to(self.device),
            torch.cat(histories).to(self.device),
            self.item_chunk,
        )

    def score_histories(self, histories: list[Tensor], start: int, stop: int) -> Tensor:
        """Scores by which the catalogue is ranked for given histories.

        Args:
            histories: B lists of item indices, the earliest first.
            start: First item.
            stop: One past the last item.

        Returns:
            ``(B, stop - start)`` scores.

        Raises:
            ValueError: If the backbone reads no histories.
        """
        return sequence_of(self.backbone).score_histories(histories, start, stop)

    # ---------------------------------------------------------------------------- its parts

    def encode_users(self, users: RawIds) -> Tensor:
        """Distinct indices ``(B,)`` of raw ids, in their order."""
        check_list(users, "users")
        index = self.vocabularies.encode("users", users)
        return torch.from_numpy(pd.unique(index.numpy()))  # 7 and "7" are one user

    def known(self, users: Tensor, seen: Seen | None) -> KnownPairs | None:
        """What some users have met; see ``seen`` of :meth:`recommend`. None is nothing."""
        if seen is None:
            found = history_in_memory(self) or self.history
            if found is None:
                rank_zero_warn(
                    "nothing is left out of these recommendations, as the checkpoint keeps no "
                    "history: give what users have seen, or {} to mean that, or train with "
                    "il.callbacks.KeepHistory()."
                )
            return found
        rows, items = self.vocabularies.encode_seen(users, seen)
        sizes = self.backbone.num_users, self.backbone.num_items
        return KnownPairs.from_pairs(users[rows], items, *sizes) if len(rows) else None

    def candidate_mask(self, candidates: RawIds | None) -> Tensor | None:
        """``(I,)`` booleans, True for the items to choose from; None for all.

        Raises:
            ValueError: If there is none, or one is unknown.
        """
        if candidates is None:
            return None
        check_list(candidates, "candidates")
        if not len(candidates):
            raise ValueError("candidates is empty: give at least one item, or leave it out.")
        mask = torch.zeros(self.backbone.num_items, dtype=torch.bool)
        mask[self.vocabularies.encode("items", candidates)] = True
        return mask.to(self.device)

    def checked_k(self, k: int | None, allowed: Tensor | None) -> int:
        """The length of the lists.

        Raises:
            ValueError: If ``k`` is below 1 or more than there are items to choose from.
        """
        if k is None:
            return self.top_k
        available = self.backbone.num_items if allowed is None else int(allowed.sum())
        if not 1 <= k <= available:
            raise ValueError(f"k is {k}: give a number from 1 to {available}, the items there are.")
        return k

    @torch.no_grad()
    def top_items(
        self,
        users: Tensor,
        known: KnownPairs | None,
        k: int,
        allowed: Tensor | None,
        item_chunk: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The best items of users, of those allowed and not known.

        Args:
            users: ``(B,)`` user indices.
            known: What they have met; None leaves nothing out.
            k: Length of the lists.
            allowed: ``(I,)`` booleans, or None for all items.
            item_chunk: Items scored at a time. None means that of the module.

        Returns:
            ``(B, min(k, I))`` scores and items; -inf and -1 where nothing is left.
        """
        rows, items = (users.new_empty(0),) * 2 if known is None else known.gather(users)
        users, rows, items = (column.to(self.device) for column in (users, rows, items))
        with evaluation_mode(self), fixed_parameters(self):
            return top_unseen(
                lambda a, b: offered(self.score_range(users, a, b), allowed, a, b),
                self.backbone.num_items,
                k,
                rows,
                items,
                self.item_chunk if item_chunk is None else item_chunk,
            )


def check_list(ids: RawIds, name: str) -> None:
    """Refuses a text where a list of ids is meant.

    Raises:
        ValueError: If it is one.
    """
    if isinstance(ids, str):
        raise ValueError(f"{name} is the text {ids!r}: pass a list of ids, such as [{ids!r}].")


def offered(scores: Tensor, allowed: Tensor | None, start: int, stop: int) -> Tensor:
    """Scores ``(B, stop - start)`` with -inf for the items that are not allowed."""
    return scores if allowed is None else scores.masked_fill(~allowed[start:stop], -torch.inf)


def sequence_of(backbone: object) -> SequenceBackbone:
    """The backbone, if it reads histories.

    Raises:
        ValueError: If it does not.
    """
    if not isinstance(backbone, SequenceBackbone):
        raise ValueError(
            f"{type(backbone).__name__} knows users by rows of a table and reads no histories: "
            "train a sequence backbone such as SASRec for that, or recommend to known users."
        )
    return backbone
