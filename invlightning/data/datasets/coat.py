"""Coat: ratings of coats, with a uniformly drawn test part (Schnabel et al., ICML 2016)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.reading.download import Archive
from invlightning.data.splits import GivenSplit, Split

ARCHIVE = Archive(
    "Coat",
    "https://www.cs.cornell.edu/~schnabts/mnar/coat.zip",
    ("coat",),
    ("train.ascii", "test.ascii"),
    sha256="6073d0b515ed1f6e830e4fead66dc76ad7991a7553eaa58e228b234a9d19daed",
)

# Training and test file as published, and under the names that repositories use for triples.
FILE_PAIRS = (("train.ascii", "test.ascii"), ("train.csv", "test.csv"), ("user.txt", "random.txt"))


def find_coat(root: str | Path) -> tuple[Path, Path] | None:
    """Looks for a training and a test file in one of the layouts."""
    for names in FILE_PAIRS:
        train, test = (ARCHIVE.find(root, name) for name in names)
        if train is not None and test is not None:
            return train, test
    return None


def _read_numbers(path: Path) -> NDArray[Any]:
    text = path.read_text(encoding="utf-8").replace(",", " ")
    try:
        return np.loadtxt(text.splitlines(), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is not a table of numbers: {error}") from error


def read_coat(train_path: Path, test_path: Path) -> RawTable:
    """Reads both files.

    Either file is a matrix of users by items with 0 for missing ratings, or has rows of three
    numbers, user, item and rating, with indices from 0 or from 1.

    Args:
        train_path: Ratings of coats that the users chose themselves.
        test_path: Ratings of coats drawn uniformly.

    Returns:
        Indices from 0 and ratings from 1 to 5; part 0 is the training file, 2 the test file.

    Raises:
        ValueError: If the files are malformed or their shapes differ.
    """
    tables = [_read_numbers(path) for path in (train_path, test_path)]
    shapes = {table.shape for table in tables}
    if all(table.shape[1] == 3 for table in tables):
        columns = [table.T for table in tables]
        first = int(min(triple[:2].min() for triple in columns))
        if first not in (0, 1):
            raise ValueError(f"{train_path}: indices must start at 0 or 1, found {first}.")
        num_users, num_items = (int(max(t[k].max() for t in columns)) - first + 1 for k in (0, 1))
    elif len(shapes) == 1:
        first, (num_users, num_items) = 0, tables[0].shape
        columns = [np.stack([*np.nonzero(table), table[table != 0]]) for table in tables]
    else:
        raise ValueError(
            f"{train_path} and {test_path} must be two matrices of one shape or two lists of "
            f"triples, found the shapes {tables[0].shape} and {tables[1].shape}."
        )
    users, items, ratings = np.concatenate(columns, axis=1)
    return RawTable(
        users=users.astype(np.int64) - first,
        items=items.astype(np.int64) - first,
        ratings=ratings.astype(np.float32),
        parts=np.repeat(np.array([0, 2], dtype=np.uint8), [part.shape[1] for part in columns]),
        num_users=num_users,
        num_items=num_items,
    )


@dataclass(eq=False, repr=False, kw_only=True)
class CoatDataModule(ImplicitDataModule):
    """Coat; its test part is drawn uniformly and so free of selection bias.

    A rating above 3 is a positive. By default a tenth of the training file becomes the validation
    part. Pairs that occur in both files are taken out of training.

    Args:
        root: Folder that holds the files, ``coat/`` with the files, or the zip. What is missing
            is downloaded there.
        positive_threshold: A rating above it is a true positive.
    """

    root: str = "data"
    positive_threshold: float | None = 3.0

    @override
    def prepare_data(self) -> None:
        """Downloads and unpacks the ratings if they are not there."""
        if find_coat(self.root) is None:
            ARCHIVE.install(self.root)

    @override
    def read(self) -> RawTable:
        found = find_coat(self.root)
        names = ARCHIVE.members
        return read_coat(*(found or [ARCHIVE.require(self.root, name) for name in names]))

    @override
    def default_split(self) -> Split:
        """The given test part, and a tenth of the training file for validation."""
        return GivenSplit(val=0.1, seed=self.seed)
