"""From a table as found to compact, labeled, indexed rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from invlightning.data.filters import core_mask, last_rows, own_part_rows, pair_keys
from invlightning.data.interactions import Interactions, RawTable
from invlightning.data.reading.columns import (
    Column,
    as_arrow,
    as_ids,
    as_ratings,
    as_timestamps,
    refuse,
)
from invlightning.data.reading.labels import MISSING, NEGATIVE, POSITIVE, Labels, label
from invlightning.data.vocabulary import Vocabulary

POSITIVES_ONLY = (
    "Every labeled row is a true positive: without true negatives AUC and log loss of labeled rows "
    "are undefined, and the labeled loss alone cannot tell items apart; unlabeled rows are needed."
)


def prepare(
    table: RawTable,
    *,
    positive_threshold: float | None = None,
    negative_threshold: float | None = None,
    drop_between: bool = False,
    min_user_count: int = 0,
    min_item_count: int = 0,
) -> Interactions:
    """Checks a table, merges repeated pairs, labels, filters and indexes its rows.

    Args:
        table: The columns as found; they are not changed.
        positive_threshold: Ratings above it are true positives. None for ratings that are 0 or 1
            already and for tables without ratings.
        negative_threshold: Ratings at or below it are true negatives; those between the two are
            exposed rows. None means ``positive_threshold``.
        drop_between: Drops the rows between the thresholds instead, when repeated pairs are merged.
        min_user_count: Rows that a user needs to stay, after all other filters.
        min_item_count: Rows that an item needs to stay.

    Returns:
        The rows that stay, in their order.

    Raises:
        ValueError: If a column is malformed, a threshold does not fit the
            ratings, or fewer than two users, two items or one positive remain.
    """
    user_ids, users = _index(table.users, table.num_users, "user")
    item_ids, items = _index(table.items, table.num_items, "item")
    times = None if table.timestamps is None else as_timestamps(table.timestamps)
    labels = _labels(table, positive_threshold, negative_threshold)
    between = _between(table.ratings, labels) if drop_between else None
    rows = Interactions(users, items, labels, times, table.parts, user_ids, item_ids, table.notes)
    fixed = (table.num_users is not None, table.num_items is not None)
    # What is not needed any more goes before more is made; pyarrow holds on to memory by itself.
    del table, users, items, labels, times
    pa.default_memory_pool().release_unused()
    rows = _drop_repeated(rows, between)
    rows = _drop_rare(rows, min_user_count, min_item_count)
    rows = _drop_absent(rows, *fixed)
    _check_enough(rows)
    return replace(rows, notes=(*rows.notes, *_told(rows.labels)))


def _labels(table: RawTable, positive: float | None, negative: float | None) -> Labels:
    if table.labels is None:
        return label(table.ratings, len(table.users), positive, negative)
    if positive is not None or negative is not None:
        raise ValueError(
            f"positive_threshold is {positive} and negative_threshold {negative}, but the rows are "
            "labeled by signals, not by ratings: leave the thresholds out."
        )
    if (table.labels == MISSING).all():
        raise ValueError(
            f"none of the {len(table.users)} rows carries a positive or negative signal: exposed "
            "rows alone teach nobody's taste; name other columns."
        )
    return table.labels


def _between(ratings: Column | None, labels: Labels) -> NDArray[np.bool_] | None:
    """Rows that have a rating and no label."""
    return None if ratings is None else (labels == MISSING) & ~np.isnan(as_ratings(ratings))


def _told(labels: Labels) -> list[str]:
    """What is to be said about the labels."""
    exposed = int((labels == MISSING).sum())
    notes = []
    if exposed:
        notes.append(
            f"{exposed} of {len(labels)} rows carry no label: they are exposed rows, seen and "
            "judged by nobody."
        )
    if not (labels == NEGATIVE).any():
        notes.append(POSITIVES_ONLY)
    return notes


def _index(column: Column, size: int | None, name: str) -> tuple[Vocabulary, NDArray[np.int32]]:
    if size is None:
        return Vocabulary.fit(column, name)
    ids = as_ids(column, name)
    if not isinstance(ids, np.ndarray):
        raise ValueError(
            f"num_{name}s is given, so {name} ids must be indices 0..{size - 1}, but they are "
            f"text: leave num_{name}s out."
        )
    outside = (ids < 0) | (ids >= size)
    mend = f"correct them, raise num_{name}s, or leave it out to index arbitrary ids"
    refuse(outside, f"{name} indices are outside 0..{size - 1} (num_{name}s is {size})", mend)
    return Vocabulary.identity(size), ids.astype(np.int32)


def _keep(rows: Interactions, mask: NDArray[np.bool_], note: str) -> Interactions:
    """Selects rows; where some are dropped, ``note`` tells it with ``{dropped}`` filled in."""
    dropped = len(mask) - int(np.count_nonzero(mask))
    if dropped == 0:
        return rows
    names = ("users", "items", "labels", "timestamps", "parts")
    columns: dict[str, Any] = {
        name: column[mask] for name in names if (column := getattr(rows, name)) is not None
    }
    return replace(rows, **columns, notes=(*rows.notes, note.format(dropped=dropped)))


def _drop_repeated(rows: Interactions, between: NDArray[np.bool_] | None) -> Interactions:
    keys = pair_keys(rows.users, rows.items, rows.num_items)
    # A rating between the thresholds that is to be dropped was a verdict: it may be the last one.
    judged = rows.is_labeled if between is None else rows.is_labeled | between
    if rows.parts is not None:
        own = own_part_rows(keys, rows.parts, judged)
        between = None if between is None else between[own]
        keys, judged = keys[own], judged[own]
        rows = _keep(rows, own, "{dropped} rows dropped: their pair also occurs in a later part.")
    last = last_rows(keys, rows.timestamps, judged)
    del keys
    order = "in the table" if rows.timestamps is None else "by time"
    which = "last" if judged.all() else "last labeled"
    rows = _keep(
        rows, last, f"{{dropped}} repeated rows dropped: the {which} {order} of a pair stays."
    )
    if between is None:
        return rows
    return _keep(rows, ~between[last], "{dropped} rows dropped: rated between the two thresholds.")


def _drop_rare(rows: Interactions, min_user_count: int, min_item_count: int) -> Interactions:
    mask = core_mask(rows.users, rows.items, min_user_count, min_item_count)
    counts = f"min_user_count {min_user_count} and min_item_count {min_item_count}"
    if not mask.any():
        raise ValueError(
            f"{counts} leave none of {len(rows)} rows: lower them or widen the thresholds."
        )
    return _keep(rows, mask, f"{{dropped}} rows dropped: {counts}.")


def _drop_absent(rows: Interactions, keeps_users: bool, keeps_items: bool) -> Interactions:
    """Removes users and items without a row from the vocabularies, unless sizes are fixed."""
    if not keeps_users:
        users, user_ids = _renumber(rows.users, rows.user_ids)
        rows = replace(rows, users=users, user_ids=user_ids)
    if not keeps_items:
        items, item_ids = _renumber(rows.items, rows.item_ids)
        rows = replace(rows, items=items, item_ids=item_ids)
    return rows


def _renumber(indices: NDArray[np.int32], ids: Vocabulary) -> tuple[NDArray[np.int32], Vocabulary]:
    present = np.bincount(indices, minlength=len(ids)) > 0
    if present.all():
        return indices, ids
    ranks = np.cumsum(present, dtype=np.int32) - np.int32(1)
    return ranks[indices], ids.take(np.flatnonzero(present))


def _check_enough(rows: Interactions) -> None:
    for name, indices in (("user", rows.users), ("item", rows.items)):
        if len(indices) == 0 or (indices == indices[0]).all():
            raise ValueError(
                f"the {len(rows)} rows that remain hold fewer than two {name}s: check the "
                f"{name} column and the filters."
            )
    if not (rows.labels == POSITIVE).any():
        raise ValueError(
            f"none of the {len(rows)} rows that remain is a positive: lower positive_threshold "
            "or check the rating column or the columns of positive signals."
        )


def concatenate(tables: Sequence[RawTable], parts: Sequence[int]) -> RawTable:
    """Joins the tables of a given split.

    Args:
        tables: One table for each file, all with the same columns.
        parts: What each file is: 0 training, 1 validation, 2 test.

    Returns:
        One table with ``parts``.

    Raises:
        ValueError: If only some of the tables have ratings or timestamps.
    """
    first = tables[0]
    columns: dict[str, Any] = {}
    for name in ("users", "items", "ratings", "labels", "timestamps"):
        pieces = [getattr(table, name) for table in tables]
        present = [piece is not None for piece in pieces]
        if any(present) and not all(present):
            raise ValueError(f"only {sum(present)} of {len(tables)} files have {name}.")
        columns[name] = _join(pieces, name) if present[0] else None
    sizes = [len(table.users) for table in tables]
    codes = np.repeat(np.asarray(parts, dtype=np.uint8), sizes)
    notes = tuple(note for table in tables for note in table.notes)
    return replace(first, **columns, parts=codes, notes=notes)


def _join(pieces: Sequence[Column], name: str) -> Column:
    kinds = {piece.dtype.kind if isinstance(piece, np.ndarray) else "O" for piece in pieces}
    if kinds <= set("iuf") or kinds == {"M"}:
        return np.concatenate([np.asarray(piece) for piece in pieces])
    if "M" in kinds:
        raise ValueError(
            "the timestamps are dates in some files and numbers in others: write them alike, so "
            "that their order is known."
        )
    # One file may hold text where another holds only whole numbers, which are written in one way.
    chunks = [as_arrow(piece, name).cast(pa.large_string()) for piece in pieces]
    return pa.chunked_array([chunk for column in chunks for chunk in column.chunks])
