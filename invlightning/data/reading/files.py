"""Reading tables of interactions from CSV, TSV, RecBole, ``::`` separated and Parquet files."""

import codecs
import csv
import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from invlightning.data.interactions import RawTable
from invlightning.data.reading.columns import Column, as_ids, as_ratings, as_times
from invlightning.data.reading.labels import label_by_signals

_RECBOLE_TYPE = re.compile(r":(token|float)(_seq)?$")
_SEPARATORS = ("\t", "::", ",", ";", "|", " ")
POSITIVE_SIGNAL, NEGATIVE_SIGNAL = "positive signal ", "negative signal "
_BLOCK_BYTES = 2**24  # smaller pieces leave holes in memory when columns are freed one by one


def read_table(
    path: str | Path,
    user_column: str = "user",
    item_column: str = "item",
    rating_column: str | None = None,
    timestamp_column: str | None = None,
    *,
    positive_columns: Sequence[str] = (),
    negative_columns: Sequence[str] = (),
    separator: str | None = None,
    column_names: Sequence[str] | None = None,
    encoding: str = "utf8",
) -> RawTable:
    """Reads the columns of interactions from one file.

    Parquet is told by the suffix ``.parquet``; everything else is text, packed as ``.gz`` or not.
    Ids that are all written as integers usually are become int64; otherwise they stay text, so that
    ``007`` and ``7`` are two. The type suffixes of RecBole headers (``user_id:token``) are left
    out.

    Args:
        path: The file.
        user_column: Name of the column of user ids.
        item_column: Name of the column of item ids.
        rating_column: Name of the column of ratings; rows without one are exposed rows. None takes
            every row as a positive.
        timestamp_column: Name of the column of times. None reads none.
        positive_columns: Names of columns that tell a positive by 1, instead of ratings.
        negative_columns: Names of columns that tell a negative by 1. Rows with neither signal are
            exposed rows, rows with both negatives.
        separator: What stands between columns, one character or ``"::"``. None finds it in the
            first line.
        column_names: Names of all columns, for text without a header line. None takes them from
            the first line.
        encoding: How text is written, such as ``latin-1``.

    Returns:
        The columns: ids int64 or text, ratings float32 or labels int8, timestamps
        int64, float64 or datetime64 in nanoseconds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty or malformed, a column is missing, ids are missing, or
            ratings or timestamps are not numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {str(path)!r} (looked in {str(Path.cwd())!r}): pass the path of a "
            "CSV, TSV, .inter, .dat or Parquet file."
        )
    wanted = {
        "users": user_column,
        "items": item_column,
        "ratings": rating_column,
        "timestamps": timestamp_column,
    }
    names = {key: name for key, name in wanted.items() if name is not None}
    signals = _signal_columns(rating_column, positive_columns, negative_columns)
    names |= signals
    if path.suffix == ".parquet":
        columns = _read_parquet(path, names)
    else:
        columns = _read_text(path, names, separator, column_names, encoding)
    try:
        return _to_table(columns, signals)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _convert(columns: dict[str, Any], key: str, function: Callable[[Column], Any]) -> Any:
    """Converts a column and frees what was read of it; None if there is no such column."""
    if key not in columns:
        return None
    converted = function(columns.pop(key))
    # Otherwise the allocator of pyarrow would keep the memory to itself.
    pa.default_memory_pool().release_unused()
    return converted


def _signal_columns(
    rating: str | None, positives: Sequence[str], negatives: Sequence[str]
) -> dict[str, str]:
    """Keys of the columns of signals and their names."""
    if negatives and not positives:
        raise ValueError(
            f"negative_columns is {list(negatives)} without positive_columns: name the columns "
            "that tell a positive, such as is_like."
        )
    if positives and rating is not None:
        raise ValueError(
            f"rating_column is {rating!r} beside positive_columns {list(positives)}: rows are "
            "labeled by one of them; leave the other out."
        )
    found = {f"{POSITIVE_SIGNAL}{name}": name for name in positives}
    return found | {f"{NEGATIVE_SIGNAL}{name}": name for name in negatives}


def _to_table(columns: dict[str, Any], signals: dict[str, str]) -> RawTable:
    if len(columns["users"]) == 0:
        raise ValueError("the table is empty: it has a header but no rows.")
    users = _convert(columns, "users", lambda column: as_ids(column, "user"))
    items = _convert(columns, "items", lambda column: as_ids(column, "item"))
    ratings = _convert(columns, "ratings", as_ratings)
    times = _convert(columns, "timestamps", as_times)
    if not signals:
        return RawTable(users, items, ratings, times)
    positives, negatives = (
        {name: columns[key] for key, name in signals.items() if key.startswith(kind)}
        for kind in (POSITIVE_SIGNAL, NEGATIVE_SIGNAL)
    )
    labels, notes = label_by_signals(positives, negatives)
    return RawTable(users, items, None, times, labels=labels, notes=notes)


def _find_columns(names: dict[str, str], found: Sequence[str], path: Path) -> dict[str, int]:
    """Returns the position of every wanted column."""
    plain = [_RECBOLE_TYPE.sub("", name.strip()) for name in found]
    positions: dict[str, int] = {}
    for key, name in names.items():
        name = _RECBOLE_TYPE.sub("", name)
        if name not in plain:
            close = difflib.get_close_matches(name, plain, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
            raise ValueError(
                f"{path} has no column {name!r}; its columns are {', '.join(map(repr, plain))}: "
                f"{hint}Name the column of {key}."
            )
        positions[key] = plain.index(name)
    return positions


def _read_parquet(path: Path, names: dict[str, str]) -> dict[str, Any]:
    try:
        found = pq.read_schema(path).names
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from error
    positions = _find_columns(names, found, path)
    table = pq.read_table(path, columns=sorted({found[place] for place in positions.values()}))
    return {key: table.column(found[place]) for key, place in positions.items()}


def _first_line(path: Path, encoding: str) -> str:
    with pa.input_stream(str(path), compression="detect") as stream:
        head: bytes = stream.read(2**16)
    try:
        codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    except LookupError as error:
        raise ValueError(
            f"encoding is {encoding!r}, which Python does not know: name one such as utf8, latin-1 "
            "or cp1252."
        ) from error
    lines = head.decode(codec, errors="replace").splitlines()
    if not lines or not lines[0].strip():
        raise ValueError(f"{path} is empty or begins with an empty line: give it rows.")
    return lines[0]


def _read_text(
    path: Path,
    names: dict[str, str],
    separator: str | None,
    column_names: Sequence[str] | None,
    encoding: str,
) -> dict[str, Any]:
    line = _first_line(path, encoding)
    if separator is None:
        separator = next((mark for mark in _SEPARATORS if mark in line), ",")
    if separator != "::" and len(separator) != 1:
        raise ValueError(f"separator must be one character or '::', got {separator!r}.")
    if column_names is not None:
        found = list(column_names)
    elif separator == "::":
        found = line.split("::")
    else:
        found = next(csv.reader([line], delimiter=separator))
    positions = _find_columns(names, found, path)
    if separator == "::":  # pyarrow splits at one character: every second column is empty
        labels = [str(place // 2) if place % 2 == 0 else "" for place in range(2 * len(found) - 1)]
    else:
        labels = [str(place) for place in range(len(found))]
    read = pacsv.ReadOptions(
        column_names=labels,
        skip_rows=int(column_names is None),
        block_size=_BLOCK_BYTES,
        encoding=encoding,
    )
    table = _parse(path, read, separator, positions)
    return {key: table.column(str(place)) for key, place in positions.items()}


def _parse(
    path: Path, read: pacsv.ReadOptions, separator: str, positions: dict[str, int]
) -> pa.Table:
    parse = pacsv.ParseOptions(
        delimiter=separator[0], quote_char=False if separator == "::" else '"'
    )
    ids = (str(positions[key]) for key in ("users", "items"))
    convert = pacsv.ConvertOptions(
        include_columns=sorted({str(place) for place in positions.values()}),
        # As text, so that 007 stays 007; a dictionary takes less memory than the numbers would.
        column_types={name: pa.dictionary(pa.int32(), pa.string()) for name in ids},
        strings_can_be_null=True,
        null_values=[""],  # NA may be an id; elsewhere it is missing, which the columns know
    )
    try:
        table = _stream(path, read, parse, convert)
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise ValueError(
                f"{path} is not written in UTF-8: say how it is, for example encoding='latin-1'."
            ) from error
        raise ValueError(
            f"{path} is not a table separated by {separator!r}: {error}. Set the separator, and "
            "give column_names if there is no header line."
        ) from error
    return table


def _stream(
    path: Path,
    read: pacsv.ReadOptions,
    parse: pacsv.ParseOptions,
    convert: pacsv.ConvertOptions,
) -> pa.Table:
    """Reads block by block, which takes less memory than reading at once."""
    try:
        with pacsv.open_csv(str(path), read, parse, convert) as batches:
            return pa.Table.from_batches(list(batches), batches.schema)
    except pa.ArrowInvalid:
        # A type guessed from the first block may not fit a later one; this guesses from all, and
        # says what is wrong where the file is malformed.
        return pacsv.read_csv(str(path), read, parse, convert)
