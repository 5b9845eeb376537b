"""Raw ids of users or items and their indices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from invlightning.data.reading.columns import CANONICAL, Column, as_ids


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A sorted list of raw ids; the index of an id is its place in the list.

    Args:
        ids: ``(n,)`` distinct ids in rising order: int64, or text as an object array of ``str``.
    """

    ids: NDArray[Any]

    @classmethod
    def identity(cls, size: int) -> "Vocabulary":
        """The vocabulary whose ids are their own indices, ``0 .. size-1``."""
        return cls(np.arange(size, dtype=np.int64))

    @classmethod
    def fit(cls, raw: Column, name: str = "user") -> "tuple[Vocabulary, NDArray[np.int32]]":
        """Collects the distinct ids of a column; the order of rows plays no role.

        Args:
            raw: ``(N,)`` integer or text ids.
            name: ``"user"`` or ``"item"``, for messages.

        Returns:
            The vocabulary and ``(N,)`` indices into it.

        Raises:
            ValueError: If ids are missing.
        """
        ids = as_ids(raw, name)
        column = pa.chunked_array([pa.array(ids)]) if isinstance(ids, np.ndarray) else ids
        encoded = column.dictionary_encode().unify_dictionaries()
        found = encoded.chunk(0).dictionary
        # pyarrow numbers ids by first appearance; ranks make the numbers free of row order.
        order = pc.sort_indices(found).to_numpy()
        ranks = np.empty(len(order), dtype=np.int32)
        ranks[order] = np.arange(len(order), dtype=np.int32)
        indices = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
        return cls(found.to_numpy(zero_copy_only=False)[order]), ranks[indices]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_text(self) -> bool:
        """True if the ids are text."""
        return self.ids.dtype.kind in "OU"

    def encode(self, raw: ArrayLike, name: str = "user") -> NDArray[np.int64]:
        """Returns the indices of raw ids.

        Integers written as text, as a command line gives them, are found among integer ids, and
        integers among text ids; text with leading zeros or a sign is another id.

        Args:
            raw: ``(m,)`` ids or a single one.
            name: ``"user"`` or ``"item"``, for the message.

        Returns:
            ``(m,)`` indices.

        Raises:
            ValueError: If ids are unknown; names up to three of them and one that is known.
        """
        found = self.find(raw, name)
        if (found < 0).any():
            self._report_unknown(np.atleast_1d(np.asarray(raw)), found < 0, name)
        return found

    def find(self, raw: ArrayLike, name: str = "user") -> NDArray[np.int64]:
        """As :meth:`encode`, with -1 for ids that are unknown.

        Args:
            raw: ``(m,)`` ids or a single one.
            name: ``"user"`` or ``"item"``, for messages.

        Returns:
            ``(m,)`` indices.

        Raises:
            ValueError: If ids are missing or fractions.
        """
        wanted = as_ids(np.atleast_1d(np.asarray(raw)), name)
        known = pa.array(self.ids)
        column = pa.chunked_array([pa.array(wanted)]) if isinstance(wanted, np.ndarray) else wanted
        if column.type != known.type:
            if not self.is_text:
                whole = pc.match_substring_regex(column, CANONICAL)
                column = pc.if_else(whole, column, None)
            column = column.cast(known.type)
        found = pc.index_in(column, value_set=known).fill_null(-1)
        indices: NDArray[np.int64] = found.to_numpy().astype(np.int64)
        return indices

    def _report_unknown(self, wanted: Any, missing: NDArray[np.bool_], name: str) -> None:
        unknown = np.asarray(wanted)[missing].tolist()
        more = ", ..." if len(unknown) > 3 else ""
        known = f", for example {self.ids[:1].tolist()[0]!r}" if len(self) else ""
        raise ValueError(
            f"{len(unknown)} of {len(missing)} {name} ids are unknown "
            f"({', '.join(map(repr, unknown[:3]))}{more}): {len(self)} {name}s are known{known}; "
            "ask for ids that occur in the data."
        )

    def decode(self, indices: ArrayLike | Tensor) -> NDArray[Any]:
        """Returns the raw ids of indices, in their shape.

        Raises:
            IndexError: If an index lies outside ``0 .. n-1``.
        """
        places = np.asarray(indices)
        if places.size and not 0 <= places.min() <= places.max() < len(self):
            raise IndexError(
                f"indices must lie in 0..{len(self) - 1}, found {places.min()}..{places.max()}."
            )
        raw: NDArray[Any] = self.ids[places]
        return raw

    def take(self, indices: NDArray[Any]) -> "Vocabulary":
        """The vocabulary of a rising selection of indices."""
        return Vocabulary(self.ids[indices])

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the ids as tensors only, so that checkpoints load under ``weights_only=True``.

        Returns:
            ``ids`` (n,) int64; or, for text, its UTF-8 bytes ``characters`` uint8 and the
            ``offsets`` (n + 1,) int64 where each id starts.
        """
        if not self.is_text:
            return {"ids": torch.from_numpy(self.ids.astype(np.int64))}
        _, offsets, characters = pa.array(self.ids, pa.large_string()).buffers()
        starts = np.frombuffer(offsets, dtype=np.int64, count=len(self) + 1)
        text = np.frombuffer(characters or b"", dtype=np.uint8, count=starts[-1])
        return {
            "characters": torch.from_numpy(text.copy()),
            "offsets": torch.from_numpy(starts.copy()),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor]) -> "Vocabulary":
        """Rebuilds a vocabulary from :meth:`state_dict`."""
        if "ids" in state:
            return cls(state["ids"].cpu().numpy())
        buffers = [pa.py_buffer(state[key].cpu().numpy()) for key in ("offsets", "characters")]
        size = len(state["offsets"]) - 1
        text = pa.LargeStringArray.from_buffers(size, *buffers)
        return cls(text.to_numpy(zero_copy_only=False))
