"""The rows behind a data module: where the table comes from, and settings for what follows."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from typing_extensions import override

from invlightning.data.interactions import Interactions, RawTable
from invlightning.data.preparation import prepare
from invlightning.data.reading.cache import LEAST_BYTES, cached
from invlightning.data.rows import SplitRows, check_shares, split_rows
from invlightning.data.splits import RandomSplit, Split
from invlightning.specs import import_path, to_spec


@dataclass(eq=False, repr=False, kw_only=True)
class RowsDataModule(pl.LightningDataModule, ABC):
    """The rows of a data set: read, labeled, cleaned, split.

    A subclass says where the table comes from (:meth:`read`). The rest happens here, in this
    order: labels by threshold, duplicates and rare users and items removed, split, training
    labels thinned, meta part set aside.

    Args:
        positive_threshold: A rating above it is a true positive. None where ratings are 0 or 1
            already, or where the table has none; then every pair is a positive.
        negative_threshold: A rating at or below it is a true negative; rows rated between the two
            thresholds are exposed rows. None means ``positive_threshold``: nothing lies between.
        drop_between: Drops the rows between the thresholds instead.
        min_user_count: Users with fewer rows are removed, repeatedly, together with
            ``min_item_count`` (a k-core). 0 keeps all.
        min_item_count: Items with fewer rows are removed. 0 keeps all.
        split: How rows are divided into training, validation and test. None takes the default of
            the data set, for most a random 80/10/10 split.
        labeled_fraction: Share of the training labels that is kept, in (0, 1]; the others are
            hidden. Small values give the extremely sparse regime.
        hidden: What becomes of the rows whose label is hidden: ``exposed`` rows, seen and judged by
            nobody, or ``unseen`` pairs, as if nobody had met them.
        meta_fraction: Share of the training rows, in [0, 1), that forms the meta part: it comes
            last in an epoch, and an inverse gradient with ``schedule="phased"`` acts on it. Other
            modules train on it as on any row.
        seed: Seed of the split, the order of rows and the drawn items.
        cache: Whether prepared rows of large files are kept on disk, so that the next start is
            instant: True beside the files, a path in that folder, False not at all.

    Attributes:
        num_users: Number of users U, known after ``setup``.
        num_items: Number of items I, known after ``setup``.

    Raises:
        ValueError: If an argument is out of its range.
    """

    positive_threshold: float | None = None
    negative_threshold: float | None = None
    drop_between: bool = False
    min_user_count: int = 0
    min_item_count: int = 0
    split: Split | None = None
    labeled_fraction: float = 1.0
    hidden: Literal["exposed", "unseen"] = "exposed"
    meta_fraction: float = 0.1
    seed: int = 42
    cache: bool | str = True

    num_users: int | None = field(init=False, default=None)
    num_items: int | None = field(init=False, default=None)

    # Settings that act on prepared rows; all others decide which rows there are.
    _later: ClassVar[frozenset[str]] = frozenset(
        {
            "split",
            "labeled_fraction",
            "hidden",
            "meta_fraction",
            "seed",
            "cache",
            "num_users",
            "num_items",
        }
    )

    def __post_init__(self) -> None:
        super().__init__()
        check_shares(self.labeled_fraction, self.meta_fraction)
        if self.hidden not in ("exposed", "unseen"):
            raise ValueError(f"hidden must be 'exposed' or 'unseen', got {self.hidden!r}.")
        self._rows: SplitRows | None = None

    @abstractmethod
    def read(self) -> RawTable:
        """Returns the interactions as the source has them."""

    def sources(self) -> list[Path]:
        """The files that :meth:`read` reads and nothing else; none means that nothing is cached."""
        return []

    def default_split(self) -> Split:
        """The split that is used where none is given."""
        return RandomSplit(seed=self.seed)

    def truth(self, users: Tensor, items: Tensor) -> Tensor | None:
        """The true label of any pairs, where the data set knows it.

        Args:
            users: User indices, any shape.
            items: Item indices, same shape.

        Returns:
            True for true positives, same shape; None where the truth is unknown.
        """
        return None

    def side_features(self) -> tuple[Tensor | None, Tensor | None]:
        """Features of users ``(U, Fu)`` and of items ``(I, Fi)``; None where there are none."""
        return None, None

    @property
    def is_set_up(self) -> bool:
        """True after ``setup``, when there are rows."""
        return self._rows is not None

    @property
    def rows(self) -> SplitRows:
        """The prepared rows, divided into parts.

        Raises:
            RuntimeError: Before ``setup``.
        """
        if self._rows is None:
            raise RuntimeError(f"{type(self).__name__} is not set up yet: call setup() first.")
        return self._rows

    @property
    def interactions(self) -> Interactions:
        """The prepared rows of all parts.

        Raises:
            RuntimeError: Before ``setup``.
        """
        return self.rows.interactions

    @override
    def setup(self, stage: str | None = None) -> None:
        """Reads, labels and splits the rows, once for all stages."""
        if self.is_set_up:
            return
        rows = split_rows(
            self.load_rows(),
            self.split or self.default_split(),
            labeled_fraction=self.labeled_fraction,
            hidden=self.hidden,
            meta_fraction=self.meta_fraction,
            seed=self.seed,
        )
        self.num_users, self.num_items = rows.interactions.num_users, rows.interactions.num_items
        self._rows = rows
        for note in (*rows.interactions.notes, self.summary()):
            rank_zero_info(note)

    @override
    def prepare_data(self) -> None:
        """Fills the cache, where there are several processes to read from it."""
        if self.trainer is not None and self.trainer.world_size > 1 and self.cache:
            self.load_rows()

    def load_rows(self) -> Interactions:
        """The prepared rows, from the cache where there is one."""
        files = [file for file in self.sources() if file.is_file()]
        if not self.cache or sum(file.stat().st_size for file in files) < LEAST_BYTES:
            return self._prepare()
        folder = None if self.cache is True else self.cache
        names = sorted({f.name for f in fields(self)} - self._later)
        settings = {name: to_spec(getattr(self, name)) for name in names}
        return cached(files, json.dumps([import_path(type(self)), settings]), self._prepare, folder)

    def _prepare(self) -> Interactions:
        return prepare(
            self.read(),
            positive_threshold=self.positive_threshold,
            negative_threshold=self.negative_threshold,
            drop_between=self.drop_between,
            min_user_count=self.min_user_count,
            min_item_count=self.min_item_count,
        )

    def summary(self) -> str:
        """One sentence on what there is to train on."""
        return f"{type(self).__name__}: {self.rows.summary()}"
