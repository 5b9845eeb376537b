"""Batches of labeled rows for training: sharded by process and resumable at every batch."""

from collections.abc import Iterator

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.repeated_rows import RepeatedRows
from invlightning.data.resumable_loader import ResumableLoader
from invlightning.data.row_tuples import check_rows, take, widened
from invlightning.data.seeding import batch_seed, mix_seed
from invlightning.data.sharding import EpochOrder
from invlightning.types import ExposedRows, LabeledBatch, LabeledRows

# Salts of orders, beside those of the supervised and the meta part, 0 and 1.
EXPOSED, LABELED = 2, 3


class TrainLoader(ResumableLoader):
    """Yields every labeled row once an epoch, supervised rows first, then meta rows.

    Each part is permuted once an epoch and batches are slices, so no Python runs per row. The
    permutation depends on ``(seed, epoch, part)`` alone and is the same in every process; how they
    share it, :class:`EpochOrder` says. Batches lie on the device of the rows. Exposed rows stand
    beside the labeled ones, pass after pass, whatever the length of an epoch.

    Args:
        rows: The labeled rows: a tuple of tensors ``(N, ...)`` whose names are those of
            :class:`LabeledBatch`. Integers become int64 and fractions float32, batch by batch.
        is_meta: ``(N,)`` booleans, True for the meta rows; None if there are none.
        batch_size: Rows of a batch on one process.
        seed: Seed of the permutations and of the batches.
        rank: This process.
        world_size: Number of processes.
        drop_last: Leave out the batches that are not full.
        shuffle: False keeps the rows in the given order in every epoch.
        exposed: Rows that were seen and judged by nobody; None if there are none.
        num_exposed: Exposed rows beside each labeled row.

    Raises:
        ValueError: If the columns differ in length, there is no batch to yield, or the sharding is
            impossible.
    """

    def __init__(
        self,
        rows: LabeledRows,
        is_meta: Tensor | None,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        shuffle: bool = True,
        exposed: ExposedRows | None = None,
        num_exposed: int = 1,
    ) -> None:
        super().__init__()
        check_rows(rows)
        shape = rows.users.shape
        is_meta = torch.zeros(shape, dtype=torch.bool) if is_meta is None else is_meta.cpu()
        if is_meta.shape != shape:
            raise ValueError(
                f"is_meta has shape {tuple(is_meta.shape)} but there are {shape[0]} rows."
            )
        self.rows, self.batch_size = rows, batch_size
        self.seed, self.rank, self.shuffle = seed, rank, shuffle
        self._parts = [(~is_meta).nonzero().flatten().int(), is_meta.nonzero().flatten().int()]
        self._orders = [
            EpochOrder(part.numel(), batch_size, rank, world_size, drop_last)
            for part in self._parts
        ]
        self._exposed = None
        if exposed is not None:
            order = EpochOrder(len(exposed.users), num_exposed * batch_size, rank, world_size)
            self._exposed = RepeatedRows(exposed, order, seed, EXPOSED, shuffle)
        if not len(self):
            raise ValueError(
                f"{shape[0]} rows give no batch of {batch_size} rows on {world_size} "
                f"processes (drop_last is {drop_last}): add rows or lower batch_size."
            )

    @override
    def __len__(self) -> int:
        return sum(len(order) for order in self._orders)

    @property
    def supervised_batches(self) -> int:
        """Batches of an epoch that come before the meta part."""
        return len(self._orders[0])

    def _share(self, epoch: int, part: int) -> LabeledRows:
        """Returns this process's rows of a part in the order of the epoch."""
        seed = mix_seed(self.seed, epoch, part) if self.shuffle else None
        places = self._orders[part].places(seed)
        return take(self.rows, self._parts[part].index_select(0, places))

    @override
    def batches(self, epoch: int, start: int) -> Iterator[LabeledBatch]:
        before = 0
        for part, order in enumerate(self._orders):
            stop = before + len(order)
            if start < stop:
                share = self._share(epoch, part)
            for index in range(max(start, before), stop):
                batch = LabeledBatch(
                    **widened(take(share, order.batch(index - before)))._asdict(),
                    is_meta=bool(part),
                    seed=batch_seed(self.seed, epoch, index, self.rank, part),
                )
                number = index + epoch * len(self) * self.shuffle
                yield batch if self._exposed is None else beside(batch, self._exposed.batch(number))
            before = stop

    @property
    @override
    def layout(self) -> dict[str, int]:
        supervised, meta = self._orders
        sizes = {
            "supervised rows": supervised.num_rows,
            "meta rows": meta.num_rows,
            "rows a global batch": supervised.global_batch_size,
            "batches": len(self),
        }
        return sizes | (self._exposed.layout if self._exposed is not None else {})


class ExposedEpochLoader(ResumableLoader):
    """Yields every exposed row once an epoch, with labeled rows beside them, pass after pass.

    For data of which few rows are labeled: an epoch over these is no epoch. The order of each kind
    depends on ``(seed, pass)`` alone, and a pass over the labeled rows may end anywhere in an
    epoch.

    Args:
        rows: The labeled rows.
        exposed: The exposed rows.
        batch_size: Labeled rows of a batch on one process.
        num_exposed: Exposed rows beside each labeled row.
        seed: Seed of the permutations and of the batches.
        rank: This process.
        world_size: Number of processes.
        shuffle: False keeps the rows in the given order in every pass.

    Raises:
        ValueError: If there is no batch to yield, or the sharding is impossible.
    """

    def __init__(
        self,
        rows: LabeledRows,
        exposed: ExposedRows,
        batch_size: int,
        num_exposed: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        self.seed, self.rank, self.shuffle = seed, rank, shuffle
        labeled = EpochOrder(len(rows.users), batch_size, rank, world_size)
        self._labeled = RepeatedRows(rows, labeled, seed, LABELED, shuffle)
        order = EpochOrder(len(exposed.users), num_exposed * batch_size, rank, world_size)
        self._exposed = RepeatedRows(exposed, order, seed, EXPOSED, shuffle)

    @override
    def __len__(self) -> int:
        return len(self._exposed.order)

    @override
    def batches(self, epoch: int, start: int) -> Iterator[LabeledBatch]:
        for index in range(start, len(self)):
            number = index + epoch * len(self) * self.shuffle
            seed = batch_seed(self.seed, epoch, index, self.rank)
            batch = LabeledBatch(*self._labeled.batch(number), seed=seed)
            yield beside(batch, self._exposed.batch(number))

    @property
    @override
    def layout(self) -> dict[str, int]:
        order = self._labeled.order
        labeled = {"labeled rows": order.num_rows, "rows a global batch": order.global_batch_size}
        return {**labeled, **self._exposed.layout, "batches": len(self)}


def beside(batch: LabeledBatch, exposed: ExposedRows) -> LabeledBatch:
    """Puts exposed rows beside the labeled ones of a batch."""
    return batch._replace(exposed_users=exposed.users, exposed_items=exposed.items)


def with_exposed(batch: LabeledBatch) -> LabeledBatch:
    """Counts the exposed rows of a batch, if it has some, as rows to draw items beside."""
    if batch.exposed_users is None or batch.exposed_items is None:
        return batch
    return batch._replace(
        users=torch.cat([batch.users, batch.exposed_users]),
        items=torch.cat([batch.items, batch.exposed_items]),
        labels=torch.cat([batch.labels, batch.labels.new_ones(len(batch.exposed_users))]),
    )
