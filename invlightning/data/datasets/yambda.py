"""Yambda: listens, likes, dislikes and their undoing on a music service (Ploshkin et al. 2025)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.reading.files import read_table
from invlightning.data.reading.hub import HubFiles
from invlightning.data.reading.labels import MISSING, NEGATIVE, POSITIVE
from invlightning.data.splits import GivenSplit, Split

HUB = HubFiles("Yambda", "https://huggingface.co/datasets/yandex/yambda/resolve/main")
DAY, GAP = 86_400, 1_800  # seconds
UNDONE = 2
EVENTS = {
    "listens": MISSING,
    "likes": POSITIVE,
    "dislikes": NEGATIVE,
    "unlikes": UNDONE,
    "undislikes": UNDONE,
}


def parts_in_time(times: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The published split: the last day for test, the day before for validation, gaps between.

    Args:
        times: ``(N,)`` seconds.

    Returns:
        ``(N,)`` parts, and ``(N,)`` False for rows in the half hour before a held-out day.
    """
    test_from = times.max() + 1 - DAY
    val_from = test_from - GAP - DAY
    parts = np.zeros(len(times), dtype=np.uint8)
    parts[times >= val_from] = 1
    parts[times >= test_from] = 2
    gap = (times >= test_from - GAP) & (times < test_from)
    gap |= (times >= val_from - GAP) & (times < val_from)
    return parts, ~gap


def standing_verdicts(columns: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Marks listens, and of the other events of a pair and part the last one unless it undoes.

    Args:
        columns: ``users``, ``items``, ``times``, ``parts`` and ``codes``, ``(N,)`` each.

    Returns:
        ``(N,)`` True for rows that stay.
    """
    codes = columns["codes"]
    keep: NDArray[np.bool_] = codes == MISSING
    rows = np.flatnonzero(~keep)
    keys = [columns[name][rows] for name in ("times", "items", "users", "parts")]
    order = np.lexsort(keys)
    grouped = np.stack([key[order] for key in keys[1:]], axis=1)
    last = np.append((grouped[1:] != grouped[:-1]).any(axis=1), True)
    stands = rows[order[last]]
    keep[stands[codes[stands] != UNDONE]] = True
    return keep


@dataclass(eq=False, repr=False, kw_only=True)
class YambdaDataModule(ImplicitDataModule):
    """Yambda: likes are positives, dislikes negatives, other tracks listened to exposed rows.

    A like or dislike that was undone within its part leaves an exposed row at most. The published
    split: the last day for test, the day before for validation, half an hour left out before each.
    Licence: Apache-2.0.

    Args:
        root: Folder that holds the files as the data set lays them out. What is missing is
            downloaded there; its size is told before.
        subset: Which size: ``50m``, ``500m`` or ``5b`` events (37 GB).
    """

    root: str = "data"
    subset: Literal["50m", "500m", "5b"] = "50m"

    def _members(self) -> dict[str, int]:
        return {f"flat/{self.subset}/{name}.parquet": code for name, code in EVENTS.items()}

    @override
    def prepare_data(self) -> None:
        HUB.install(self.root, list(self._members()))
        super().prepare_data()

    @override
    def sources(self) -> list[Path]:
        return [HUB.require(self.root, name) for name in self._members()]

    @override
    def read(self) -> RawTable:
        tables = [read_table(path, "uid", "item_id", None, "timestamp") for path in self.sources()]
        columns: dict[str, NDArray[Any]] = {
            "users": np.concatenate([np.asarray(table.users) for table in tables]),
            "items": np.concatenate([np.asarray(table.items) for table in tables]),
            "times": np.concatenate([np.asarray(table.timestamps) for table in tables]),
            "codes": np.repeat(
                np.array(list(self._members().values()), dtype=np.int8),
                [len(table.users) for table in tables],
            ),
        }
        columns["parts"], outside_gaps = parts_in_time(columns["times"])
        keep = outside_gaps & standing_verdicts(columns)
        users, items, times, codes, parts = (
            columns[name][keep] for name in ("users", "items", "times", "codes", "parts")
        )
        dropped = len(keep) - int(keep.sum())
        note = f"{dropped} events left out: undone, overruled, or in the gaps of the split."
        notes = (note,) if dropped else ()
        return RawTable(users, items, None, times, parts, labels=codes, notes=notes)

    @override
    def default_split(self) -> Split:
        return GivenSplit()
