"""The base of all data modules: from a table of interactions to batches on the device."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from invlightning.data.cache import LEAST_BYTES, cached
from invlightning.data.evaluation_loaders import EvalLoader, RankingLoader
from invlightning.data.interactions import Interactions, RawTable, prepare
from invlightning.data.loader import TrainLoader
from invlightning.data.pairs import pairs_of
from invlightning.data.samplers import (
    KnownPairs,
    NegativeSampler,
    PositiveResampler,
    UniformSampler,
)
from invlightning.data.splits import RandomSplit, Split, meta_rows, thin_labels
from invlightning.modes import evaluation_mode
from invlightning.specs import import_path, to_spec
from invlightning.types import LabeledBatch, RankingBatch

TRAIN, VAL, TEST = 0, 1, 2

# Settings of the base that decide which rows there are; all others act on them later.
_ROW_SETTINGS = {"positive_threshold", "negative_threshold", "min_user_count", "min_item_count"}


@dataclass(eq=False, repr=False, kw_only=True)
class ImplicitDataModule(pl.LightningDataModule, ABC):
    """Implicit feedback with labeled rows and drawn, unlabeled items beside them.

    A subclass says where the table comes from (:meth:`read`). Everything else happens here, in
    this order: labels by threshold, duplicates and rare users and items removed, split, training
    labels thinned, meta part set aside. Unlabeled items are drawn on the device, batch by batch.

    Args:
        positive_threshold: A rating above it is a true positive. None where ratings are 0 or 1
            already, or where the table has none; then every pair is a positive.
        negative_threshold: A rating at or below it is a true negative; ratings between the two
            thresholds are dropped. None means ``positive_threshold``: nothing is dropped.
        min_user_count: Users with fewer rows are removed, repeatedly, together with
            ``min_item_count`` (a k-core). 0 keeps all.
        min_item_count: Items with fewer rows are removed. 0 keeps all.
        split: How rows are divided into training, validation and test. None takes the default of
            the data set, for most a random 80/10/10 split.
        labeled_fraction: Share of the training labels that is kept, in (0, 1]; the other pairs
            become unlabeled. Small values give the extremely sparse regime.
        meta_fraction: Share of the training rows, in [0, 1), that forms the meta part: it comes
            last in an epoch, and an inverse gradient with ``schedule="phased"`` acts on it. Other
            modules train on it as on any row.
        num_unlabeled: Unlabeled items K drawn beside each labeled row, for the same user. 0 draws
            none.
        sampler: Draws the unlabeled items. None means ``UniformSampler()``.
        resampler: Exchanges the labeled positives of training batches for others of their users,
            to denoise them. None keeps them.
        batch_size: Labeled rows B of a training batch, in each process.
        eval_batch_size: Labeled rows of an evaluation batch.
        ranking_batch_size: Users of a full-catalogue ranking batch.
        predict_users: Raw ids of the users to recommend to in ``predict``. None means everyone.
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
    min_user_count: int = 0
    min_item_count: int = 0
    split: Split | None = None
    labeled_fraction: float = 1.0
    meta_fraction: float = 0.1
    num_unlabeled: int = 1
    sampler: NegativeSampler | None = None
    resampler: PositiveResampler | None = None
    batch_size: int = 1024
    eval_batch_size: int = 8192
    ranking_batch_size: int = 256
    predict_users: list[int | str] | None = None
    seed: int = 42
    cache: bool | str = True

    num_users: int | None = field(init=False, default=None)
    num_items: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        super().__init__()
        if not 0 < self.labeled_fraction <= 1:
            raise ValueError(f"labeled_fraction must be in (0, 1], got {self.labeled_fraction}.")
        if not 0 <= self.meta_fraction < 1:
            raise ValueError(f"meta_fraction must be in [0, 1), got {self.meta_fraction}.")
        if self.num_unlabeled < 0:
            raise ValueError(f"num_unlabeled must be at least 0, got {self.num_unlabeled}.")
        if self.resampler is not None and self.num_unlabeled == 0:
            raise ValueError(
                "resampler compares with unlabeled items: num_unlabeled is 0, raise it."
            )
        for name in ("batch_size", "eval_batch_size", "ranking_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        self._interactions: Interactions | None = None
        self._generator: torch.Generator | None = None

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
    def interactions(self) -> Interactions:
        """The prepared rows.

        Raises:
            RuntimeError: Before ``setup``.
        """
        if self._interactions is None:
            raise RuntimeError(f"{type(self).__name__} is not set up yet: call setup() first.")
        return self._interactions

    def setup(self, stage: str | None = None) -> None:
        """Reads, labels, splits and indexes the rows, once for all stages."""
        if self._interactions is not None:
            return
        interactions = self.load_rows()
        self.parts = (self.split or self.default_split())(interactions)
        self._select_training_rows(interactions)
        self.num_users, self.num_items = interactions.num_users, interactions.num_items
        self._fit_sampler(interactions)
        self._interactions = interactions
        for note in (*interactions.notes, self.summary()):
            rank_zero_info(note)

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
        later = {f.name for f in fields(ImplicitDataModule)} - _ROW_SETTINGS
        names = sorted({f.name for f in fields(self)} - later)
        settings = {name: to_spec(getattr(self, name)) for name in names}
        return cached(files, json.dumps([import_path(type(self)), settings]), self._prepare, folder)

    def _prepare(self) -> Interactions:
        return prepare(
            self.read(),
            positive_threshold=self.positive_threshold,
            negative_threshold=self.negative_threshold,
            min_user_count=self.min_user_count,
            min_item_count=self.min_item_count,
        )

    def summary(self) -> str:
        """One sentence on what there is to train on."""
        labels = self.interactions.labels[self.train_rows]
        held_out = [int((self.parts == part).sum()) for part in (VAL, TEST)]
        return (
            f"{type(self).__name__}: {self.num_users} users, {self.num_items} items; "
            f"{len(labels)} labeled training rows ({int(labels.sum())} positive, "
            f"{int(self.meta.sum())} of all in the meta part), {held_out[0]} validation and "
            f"{held_out[1]} test rows."
        )

    def _select_training_rows(self, interactions: Interactions) -> None:
        rows = np.flatnonzero(self.parts == TRAIN)
        if len(rows) == 0:
            raise ValueError(
                f"the split leaves none of the {len(interactions)} rows for training: make the "
                "validation and test fractions smaller or give more data."
            )
        users, items = interactions.users, interactions.items
        kept = thin_labels(users[rows], items[rows], self.labeled_fraction, self.seed)
        self.train_rows: NDArray[np.int64] = rows[kept]
        rows = self.train_rows
        self.meta: NDArray[np.bool_] = meta_rows(
            users[rows], items[rows], self.meta_fraction, self.seed
        )
        if not interactions.labels[rows].any():
            raise ValueError(
                f"none of the {len(rows)} labeled training rows is positive: raise "
                "labeled_fraction or lower positive_threshold."
            )

    def _fit_sampler(self, interactions: Interactions) -> None:
        rows = self.train_rows
        if self.num_unlabeled > interactions.num_items:
            raise ValueError(
                f"num_unlabeled is {self.num_unlabeled}, but there are only "
                f"{interactions.num_items} items to draw from: lower num_unlabeled."
            )
        self.active_sampler = self.sampler if self.sampler is not None else UniformSampler()
        self.active_sampler.fit(pairs_of(interactions, rows))
        positive = interactions.labels[rows] > 0
        self.active_sampler.fit_negatives(pairs_of(interactions, rows[~positive]))
        if self.resampler is not None:
            self.resampler.fit(pairs_of(interactions, rows[positive]))

    # ------------------------------------------------------------------------------ loaders

    def _columns(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        data = self.interactions
        columns = (data.users[rows], data.items[rows], data.labels[rows])
        users, items, labels = (torch.from_numpy(column) for column in columns)
        return users, items, labels

    @property
    def _shard(self) -> tuple[int, int]:
        """This share of the rows and the number of shares: one for each replica of the model."""
        # A model that is itself spread over processes (tensor parallel) is one replica.
        strategy = self.trainer.strategy if self.trainer else None
        shares = getattr(strategy, "distributed_sampler_kwargs", {"rank": 0, "num_replicas": 1})
        return shares["rank"], shares["num_replicas"]

    def train_dataloader(self) -> TrainLoader:
        """Batches of labeled rows: the supervised part, then the meta part."""
        rank, world_size = self._shard
        # overfit_batches means the same rows every epoch; Lightning cannot tell our loader so.
        overfit = self.trainer is not None and self.trainer.overfit_batches != 0  # type: ignore[attr-defined]
        return TrainLoader(
            *self._columns(self.train_rows),
            torch.from_numpy(self.meta),
            batch_size=self.batch_size,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            shuffle=not overfit,
        )

    def val_dataloader(self) -> list[EvalLoader | RankingLoader]:
        """Labeled validation rows, and users whose unseen items are to be ranked."""
        return self._evaluation_loaders(VAL, seen=self.parts == TRAIN)

    def test_dataloader(self) -> list[EvalLoader | RankingLoader]:
        """As :meth:`val_dataloader`, with the test rows; validation rows count as seen."""
        return self._evaluation_loaders(TEST, seen=self.parts != TEST)

    def _evaluation_loaders(
        self, part: int, seen: NDArray[np.bool_]
    ) -> list[EvalLoader | RankingLoader]:
        rows = np.flatnonzero(self.parts == part)
        if len(rows) == 0:
            return []
        users, items, labels = self._columns(rows)
        positive = labels > 0
        rank, world_size = self._shard
        labeled = EvalLoader(users, items, labels, self.eval_batch_size, rank, world_size)
        targets = (users[positive], items[positive])
        return [labeled, self._ranking_loader(torch.unique(users[positive]), seen, targets)]

    def predict_dataloader(self) -> RankingLoader:
        """The users to recommend to, with everything they are known to have interacted with."""
        data = self.interactions
        if self.predict_users is None:
            users = np.arange(data.num_users)
        else:
            users = data.user_ids.encode(self.predict_users, name="user")
        everything = np.ones(len(data), dtype=bool)
        nothing = torch.empty(0, dtype=torch.int64)
        return self._ranking_loader(torch.from_numpy(users), everything, (nothing, nothing))

    def _ranking_loader(
        self, users: Tensor, seen: NDArray[np.bool_], targets: tuple[Tensor, Tensor]
    ) -> RankingLoader:
        data = self.interactions
        rank, world_size = self._shard
        return RankingLoader(
            users,
            pairs_of(data, seen),
            KnownPairs.from_pairs(*targets, data.num_users, data.num_items),
            self.ranking_batch_size,
            rank,
            world_size,
        )

    # --------------------------------------------------------------------- unlabeled items

    def on_after_batch_transfer(
        self, batch: LabeledBatch | RankingBatch, dataloader_idx: int
    ) -> LabeledBatch | RankingBatch:
        """Draws the unlabeled items of a training batch, on its device."""
        training = self.trainer is not None and self.trainer.training
        if not training or self.num_unlabeled == 0 or not isinstance(batch, LabeledBatch):
            return batch
        items = self.draw_unlabeled(batch)
        mask = items >= 0 if self.active_sampler.has_saturated_users else None
        batch = batch._replace(unlabeled_items=items, unlabeled_mask=mask)
        if self.resampler is None or self._generator is None:
            return batch
        resampler = self.resampler.to(items.device)
        return batch._replace(
            items=resampler.draw(batch, self._generator, self._score, self._epoch)
        )

    def draw_unlabeled(self, batch: LabeledBatch) -> Tensor:
        """Draws the unlabeled items of a batch; its seed decides about everything random.

        Args:
            batch: Labeled rows ``(B,)``.

        Returns:
            ``(B, K)`` items, on the device of the batch.
        """
        device = batch.users.device
        if self._generator is None or self._generator.device != device:
            self._generator = torch.Generator(device)
            self.active_sampler.to(device)
        self._generator.manual_seed(batch.seed)
        return self.active_sampler.draw(
            batch, self.num_unlabeled, self._generator, self._score, self._epoch
        )

    @property
    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer else 0

    @torch.no_grad()
    def _score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs with the model in training, for samplers that look at it."""
        if self.trainer is None:
            raise RuntimeError("this sampler scores items with the model: use it in a Trainer.")
        model = self.trainer.lightning_module
        with evaluation_mode(model):
            scores: Tensor = model(users, items)
        return scores

    def state_dict(self) -> dict[str, Tensor]:
        """State of the sampler, for samplers that learn; empty before ``setup``."""
        return dict(self.active_sampler.state_dict()) if self._interactions is not None else {}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Restores what :meth:`state_dict` gave."""
        if self.trainer is None or self.trainer.training:  # evaluation draws nothing
            self.active_sampler.load_state_dict(state_dict)

    def held_out_positives(self) -> KnownPairs:
        """Positive validation and test pairs: drawing one of them is a false negative."""
        data = self.interactions
        rows = np.flatnonzero((self.parts != TRAIN) & (data.labels > 0))
        return pairs_of(data, rows)
