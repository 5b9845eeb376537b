"""Batches of labeled rows for training: sharded by process and resumable at every batch."""

from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from invlightning.data.row_tuples import check_rows, take, widened
from invlightning.data.seeding import batch_seed, mix_seed
from invlightning.data.sharding import EpochOrder
from invlightning.types import LabeledBatch, LabeledRows


class TrainLoader:
    """Yields every labeled row once an epoch, supervised rows first, then meta rows.

    Each part is permuted once an epoch and batches are slices, so no Python runs per row. The
    permutation depends on ``(seed, epoch, part)`` alone and is the same in every process; how they
    share it, :class:`EpochOrder` says. Batches lie on the device of the rows.

    Lightning calls :meth:`set_epoch` through :attr:`sampler` and keeps :meth:`state_dict` in its
    checkpoints. A loader that got a state back goes on with the batch after the last one that was
    fetched. Without a call of :meth:`set_epoch` every pass has the order of the same epoch.

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
    ) -> None:
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
        self._epoch = self._position = self._start = 0
        if not len(self):
            raise ValueError(
                f"{shape[0]} rows give no batch of {batch_size} rows on {world_size} "
                f"processes (drop_last is {drop_last}): add rows or lower batch_size."
            )

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""
        return sum(len(order) for order in self._orders)

    def _share(self, part: int) -> LabeledRows:
        """Returns this process's rows of a part in the order of the epoch."""
        seed = mix_seed(self.seed, self._epoch, part) if self.shuffle else None
        places = self._orders[part].places(seed)
        return take(self.rows, self._parts[part].index_select(0, places))

    def __iter__(self) -> Iterator[LabeledBatch]:
        """Yields the batches of the epoch, after a resume the remaining ones."""
        start, self._start = self._start, 0
        before = 0
        for part, order in enumerate(self._orders):
            stop = before + len(order)
            if start < stop:
                share = self._share(part)
            for index in range(max(start, before), stop):
                self._position = index + 1
                yield LabeledBatch(
                    **widened(take(share, order.batch(index - before)))._asdict(),
                    is_meta=bool(part),
                    seed=batch_seed(self.seed, self._epoch, index, self.rank, part),
                )
            before = stop

    @property
    def sampler(self) -> "TrainLoader":
        """The loader itself: Lightning looks for ``set_epoch`` here."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the permutation of the next pass.

        Args:
            epoch: Epoch, counted from 0. Another epoch than that of a loaded state starts at its
                first batch.
        """
        if epoch != self._epoch:
            self._epoch, self._position, self._start = epoch, 0, 0

    @property
    def _layout(self) -> list[int]:
        """What a position counts in: rows of the parts, rows of a global batch, batches."""
        sizes = [order.num_rows for order in self._orders]
        return [*sizes, self._orders[0].global_batch_size, len(self)]

    def state_dict(self) -> dict[str, Any]:
        """Returns the epoch and how many of its batches were fetched."""
        return {"epoch": self._epoch, "position": self._position, "layout": self._layout}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the next pass go on after the last fetched batch.

        A state at the end of an epoch starts a fresh pass. So does, with a warning, one of other
        batches: changed data, batch size or number of processes.

        Args:
            state: What :meth:`state_dict` returned.
        """
        self._epoch, position = state["epoch"], state["position"]
        if list(state["layout"]) != self._layout:
            rank_zero_warn(
                f"The checkpoint was written after batch {position} of epoch {self._epoch} with "
                "[supervised rows, meta rows, rows a global batch, batches] = "
                f"{list(state['layout'])}, now {self._layout}: the order of that epoch cannot be "
                "continued and starts anew. Keep data and batch_size * processes to resume exactly."
            )
            position = 0
        self._start = self._position = position % len(self)
