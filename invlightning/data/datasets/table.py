"""Any table of one's own."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.preparation import concatenate
from invlightning.data.reading.features import align_features, read_features
from invlightning.data.reading.files import read_table
from invlightning.data.splits import GivenSplit, Split


@dataclass(eq=False, repr=False, kw_only=True)
class TableDataModule(ImplicitDataModule):
    """Interactions in CSV, TSV, ``::`` separated, RecBole ``.inter`` or Parquet files.

    Args:
        path: The table, or its training part where the others are given.
        user_column: Name of the column of user ids, integers or text.
        item_column: Name of the column of item ids.
        rating_column: Name of the column of ratings; a row without one is an exposed row, seen and
            judged by nobody. None takes every row as a positive.
        positive_columns: Names of columns that tell a positive by 1, instead of ratings, such as
            ``[is_like, is_follow]``.
        negative_columns: Names of columns that tell a negative by 1, such as ``[is_hate]``. A row
            with neither signal is an exposed row; one with both is a negative.
        timestamp_column: Name of the column of times; needed for splits by time.
        val_path: A file with the validation part, with the same columns.
        test_path: A file with the test part. With either file given, the files are the split, and
            without ``val_path`` a tenth of the training file becomes the validation part.
        separator: What stands between columns of text files. None finds out.
        column_names: Names of all columns, for text files without a header line.
        encoding: How text files are written, such as ``latin-1``.
        user_features: A table of side features of users, for backbones that take them: ids in the
            first column, numbers in the others.
        item_features: A table of side features of items, likewise.
    """

    path: str
    user_column: str = "user"
    item_column: str = "item"
    rating_column: str | None = None
    positive_columns: list[str] | None = None
    negative_columns: list[str] | None = None
    timestamp_column: str | None = None
    val_path: str | None = None
    test_path: str | None = None
    separator: str | None = None
    column_names: list[str] | None = None
    encoding: str = "utf8"
    user_features: str | None = None
    item_features: str | None = None

    def _read_file(self, path: str) -> RawTable:
        return read_table(
            path,
            self.user_column,
            self.item_column,
            self.rating_column,
            self.timestamp_column,
            positive_columns=self.positive_columns or (),
            negative_columns=self.negative_columns or (),
            separator=self.separator,
            column_names=self.column_names,
            encoding=self.encoding,
        )

    @override
    def sources(self) -> list[Path]:
        given = (self.path, self.val_path, self.test_path)
        return [Path(path) for path in given if path is not None]

    @override
    def read(self) -> RawTable:
        given = enumerate((self.path, self.val_path, self.test_path))
        files = {part: path for part, path in given if path is not None}
        tables = [self._read_file(path) for path in files.values()]
        return tables[0] if len(tables) == 1 else concatenate(tables, list(files))

    @override
    def side_features(self) -> tuple[Tensor | None, Tensor | None]:
        found = self.interactions
        sides = (
            ("user", self.user_features, found.user_ids),
            ("item", self.item_features, found.item_ids),
        )
        users, items = (
            None if path is None else align_features(read_features(path), ids, name, False)
            for name, path, ids in sides
        )
        return users, items

    @override
    def default_split(self) -> Split:
        """The files where several are given, else as the base."""
        if self.val_path is None and self.test_path is None:
            return super().default_split()
        return GivenSplit(val=0.1, seed=self.seed)
