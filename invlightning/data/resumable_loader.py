"""What the training loaders share: an epoch, a position in it, and going on from there."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from pytorch_lightning.utilities import rank_zero_warn

from invlightning.types import LabeledBatch


class ResumableLoader(ABC):
    """Yields the batches of an epoch, each determined by epoch and number alone.

    Lightning calls :meth:`set_epoch` through :attr:`sampler` and keeps :meth:`state_dict` in its
    checkpoints. A loader that got a state back goes on with the batch after the last one that was
    fetched. Without a call of :meth:`set_epoch` every pass has the order of the same epoch.
    """

    def __init__(self) -> None:
        self._epoch = self._position = self._start = 0

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""

    @abstractmethod
    def batches(self, epoch: int, start: int) -> Iterator[LabeledBatch]:
        """Yields the batches of an epoch from one on.

        Args:
            epoch: Epoch, counted from 0.
            start: First batch, counted from 0.
        """

    @property
    @abstractmethod
    def layout(self) -> dict[str, int]:
        """What a position counts in, by name; a state of another layout cannot be continued."""

    def __iter__(self) -> Iterator[LabeledBatch]:
        """Yields the batches of the epoch, after a resume the remaining ones."""
        start, self._start = self._start, 0
        for index, batch in enumerate(self.batches(self._epoch, start), start):
            self._position = index + 1
            yield batch

    @property
    def sampler(self) -> "ResumableLoader":
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

    def state_dict(self) -> dict[str, Any]:
        """Returns the epoch and how many of its batches were fetched."""
        return {"epoch": self._epoch, "position": self._position, "layout": self.layout}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the next pass go on after the last fetched batch.

        A state at the end of an epoch starts a fresh pass. So does, with a warning, one of other
        batches: changed data, batch size or number of processes.

        Args:
            state: What :meth:`state_dict` returned.
        """
        self._epoch, position = state["epoch"], state["position"]
        if state["layout"] != self.layout:
            rank_zero_warn(
                f"The checkpoint was written after batch {position} of epoch {self._epoch} with "
                f"{_words(state['layout'])}, now there are {_words(self.layout)}: the order of "
                "that epoch cannot be continued and starts anew. Keep data and batch_size * "
                "processes to resume exactly."
            )
            position = 0
        self._start = self._position = position % len(self)


def _words(layout: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in layout.items())
