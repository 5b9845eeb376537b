"""What users liked before a moment, in order of time."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.backbones.layers.grouping import group
from invlightning.compat import TravelingTensors
from invlightning.types import TrainingFacts


class Histories(TravelingTensors):
    """Positive training items of each user in order of time, cut off at any moment.

    A moment of a user is told by the number of positives before it. Labeled training pairs have a
    moment: their own time. Only the positives before it may predict them.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        max_len: Items L that a history has at most; earlier ones are left out.
    """

    def __init__(self, num_users: int, num_items: int, max_len: int) -> None:
        super().__init__()
        self.num_users, self.num_items, self.max_len = num_users, num_items, max_len
        self._start(torch.empty(3, 0, dtype=torch.int64))

    def start(self, facts: TrainingFacts, name: str) -> None:
        """Takes the training rows; of a user's rows of equal time a hash of the pair decides.

        Args:
            facts: Labeled training rows with timestamps.
            name: Who asks, for the message.

        Raises:
            ValueError: If there are no timestamps.
        """
        if facts.timestamps is None:
            raise ValueError(
                f"{name} learns from the order of time, but the data has no timestamps: name the "
                "timestamp column of the data module, or use another backbone."
            )
        # Neither the numbering of the items nor the order of the file may be learned.
        by_hash = _mix(facts.users.long() * self.num_items + facts.items).argsort(stable=True)
        by_time = by_hash[facts.timestamps[by_hash].argsort(stable=True)]
        order = by_time[facts.users[by_time].argsort(stable=True)]
        columns = (facts.users, facts.items, (facts.labels > 0).long())
        rows = torch.stack([column[order] for column in columns])
        self._start(rows.to(self.rows.device))

    def _start(self, rows: Tensor) -> None:
        """Takes users, items and labels ``(3, N)``, sorted by user and then by time."""
        users, items, labels = rows
        positive = labels > 0
        self.rows = rows.int()
        self.offsets, self.items = group(users[positive], items[positive], self.num_users)
        keys = users * self.num_items + items
        self.keys, order = keys.sort()
        # No longer than any user needs; known beforehand, so that no step waits for it.
        longest = int(self.offsets.diff().max())
        self.steps = torch.arange(min(self.max_len, longest), device=rows.device)
        before = labels.cumsum(0) - labels - self.offsets[users]
        self.row_offsets, self.moments = group(users[order], before[order], self.num_users)

    @override
    def get_extra_state(self) -> Tensor:
        """Users, items and labels of the rows, ``(3, N)``, for the checkpoint."""
        return self.rows

    @override
    def set_extra_state(self, state: Tensor) -> None:
        """Takes the rows that :meth:`get_extra_state` gave."""
        self._start(state.to(self.rows.device, torch.int64))

    def check_started(self, name: str) -> None:
        """Refuses to go on without rows.

        Raises:
            RuntimeError: If no rows were given.
        """
        if self.rows.shape[1] == 0:
            raise RuntimeError(
                f"{name} does not know the training rows: train it in a Trainer with a data module "
                "of invlightning, or call its start_fit with TrainingFacts."
            )

    def now(self, users: Tensor) -> Tensor:
        """The moment after all training rows, for each user."""
        return self.offsets[users + 1] - self.offsets[users]

    def moment(self, users: Tensor, items: Tensor) -> Tensor:
        """The moment as of which a pair is scored in training.

        A training pair has its own. Any other pair has that of one of the user's training rows,
        chosen by a hash of the pair: so the length of a history tells nothing about the label.

        Args:
            users: ``(n,)`` user indices.
            items: ``(n,)`` item indices.

        Returns:
            ``(n,)`` numbers of positives before.
        """
        keys = users * self.num_items + items
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        first = self.row_offsets[users]
        count = self.row_offsets[users + 1] - first
        drawn = first + _mix(keys).remainder(count.clamp(min=1))
        row = torch.where(self.keys[place] == keys, place, drawn)
        moments = self.moments[row.clamp(max=len(self.keys) - 1)]
        return torch.where(count > 0, moments, 0)

    def until(self, users: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
        """The latest positives before a moment.

        Args:
            users: ``(n,)`` user indices.
            moments: ``(n,)`` numbers of positives before the moment.

        Returns:
            Items ``(n, L)``, oldest first and filled up with 0, and how many there are ``(n,)``.
        """
        lengths = moments.clamp(max=len(self.steps)).long()
        start = self.offsets[users] + moments - lengths
        index = (start.unsqueeze(1) + self.steps).clamp(max=len(self.items) - 1)
        return self.items[index].long().where(self.steps < lengths.unsqueeze(1), 0), lengths


def _mix(keys: Tensor) -> Tensor:
    """Scrambles 64-bit integers to non-negative ones (after SplitMix64)."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        keys = (keys ^ (keys >> shift)) * factor
    return (keys ^ (keys >> 31)) & 0x7FFFFFFFFFFFFFFF
