"""Tables that stand under their name only when they are whole."""

import contextlib
import os
from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

_WRITERS = {".csv": pacsv.CSVWriter, ".parquet": pq.ParquetWriter}


class TableWriter:
    """Writes a table piece by piece, as CSV or Parquet by the name of its file.

    Use it in a ``with`` statement. The pieces go to a hidden file beside it, which takes the name
    at the end and is removed if anything fails.

    Args:
        path: The file, ``.csv`` or ``.parquet``; one that stands there is replaced at the end.
        schema: Names and types of the columns.

    Raises:
        ValueError: If the name has another ending.
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, path: str | Path, schema: pa.Schema) -> None:
        self.path, self.schema = Path(path), schema
        if self.path.suffix not in _WRITERS:
            raise ValueError(f"output is {str(path)!r}: give a name that ends in .csv or .parquet.")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"there is no folder {str(self.path.parent)!r} for the output: make it first."
            )
        self._partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        self._file = self._partial.open("wb")
        self._writer = _WRITERS[self.path.suffix](self._file, schema)

    def write(self, table: pd.DataFrame) -> None:
        """Adds rows."""
        self._writer.write_table(pa.Table.from_pandas(table, self.schema, preserve_index=False))

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._writer.close()
                self._file.close()
                self._partial.replace(self.path)
        finally:
            # Where that failed, closing fails for the same reason, which is told already.
            with contextlib.suppress(OSError, ValueError):
                self._writer.close()
            with contextlib.suppress(OSError):
                self._file.close()
            self._partial.unlink(missing_ok=True)
