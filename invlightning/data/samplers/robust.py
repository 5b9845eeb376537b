"""Robust sampling: a memory of hard items for each user, and a bonus for varying scores."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import Draw
from invlightning.data.samplers.hard import (
    HardSampler,
    check_at_least,
    check_choice,
    check_positive,
    score_blocks,
)
from invlightning.types import LabeledBatch, TrainingFacts

# Epochs over which the variation of a score is measured.
DEPTH = 5


class RobustSampler(HardSampler):
    """Chooses from a small memory of each user the hard items whose scores vary.

    Ding et al., "Simplify and Robustify Negative Sampling for Implicit Collaborative Filtering"
    (SRNS), NeurIPS 2020: false negatives score high all along, true ones come and go. Beside the
    positive i in epoch t, the memory M_u of user u gives the items k of largest

        sigmoid(s_uk - s_ui) + alpha min(1, t / T0) std_k,

    std_k being the standard deviation over the last five epochs of sigmoid(s_uk - s_ui). After
    the choice, M_u and S2 fresh uniform items compete for the S1 places of the memory, without
    replacement and with weights exp(s_uk / temperature), once a user and batch.

    Departures: only items in the memory have a history, which starts with the score at which they
    entered; s_ui in std_k is that of now for all epochs. The paper follows 3000 items of each
    user through all epochs. A row whose label is a true negative draws uniformly.

    Cost: S1 + S2 scores a user of the batch and one a row. State: 24 bytes for each of
    the S1 items of each user.

    Args:
        memory_size: Items in the memory of a user, S1.
        num_fresh: Fresh items that compete for the memory, S2.
        alpha: Weight of the standard deviation.
        warmup_epochs: Epochs until that weight is reached, T0.
        temperature: Temperature of the competition; large values forget at random.
        start_epoch: First epoch of such draws; uniform before.

    Raises:
        ValueError: If an argument is out of its range.
    """

    memory: Tensor
    history: Tensor

    def __init__(
        self,
        memory_size: int = 8,
        num_fresh: int = 64,
        alpha: float = 5.0,
        warmup_epochs: int = 50,
        temperature: float = 10.0,
        start_epoch: int = 0,
    ) -> None:
        super().__init__(start_epoch)
        check_at_least("memory_size", memory_size, 1)
        check_at_least("num_fresh", num_fresh, 1)
        check_at_least("alpha", alpha, 0)
        check_at_least("warmup_epochs", warmup_epochs, 1)
        check_positive("temperature", temperature)
        self.memory_size, self.num_fresh = memory_size, num_fresh
        self.alpha, self.warmup_epochs, self.temperature = alpha, warmup_epochs, temperature

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares empty memories.

        Raises:
            ValueError: If there are fewer items than a memory and its fresh items.
        """
        super().prepare(known, facts)
        self.check_pool(self.memory_size + self.num_fresh)
        shape = (known.num_users, self.memory_size)
        self.register_buffer("memory", torch.full(shape, -1, dtype=torch.int32))
        self.register_buffer("history", torch.zeros(*shape, DEPTH))

    @override
    def draw_hard(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        check_choice(draw.num_unlabeled, "memory_size", self.memory_size)
        users, rows = torch.unique(batch.users, return_inverse=True)
        pool = self._pool(users, draw.generator)
        scores = score_blocks(draw.score, users.unsqueeze(1), pool)
        labeled_scores = score_blocks(draw.score, batch.users, batch.items)
        history = self._history(users, scores, draw.epoch)
        fitness = self._fitness(history[:, : self.memory_size][rows], labeled_scores, draw.epoch)
        chosen = pool[rows].gather(1, fitness.topk(draw.num_unlabeled, dim=1).indices)
        self._renew(users, pool, scores, history, draw.generator)
        uniform = self.sample(batch.users, draw.num_unlabeled, draw.generator)
        return torch.where(batch.labels.unsqueeze(1) > 0, chosen, uniform)

    def _pool(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """The memories of distinct users, filled where empty, and their fresh items."""
        size = self.memory_size
        memory = self.memory[users].long()
        fresh = self.uniform.sample(users, size + self.num_fresh, generator)
        return torch.cat([torch.where(memory < 0, fresh[:, :size], memory), fresh[:, size:]], dim=1)

    def _history(self, users: Tensor, scores: Tensor, epoch: int) -> Tensor:
        """Scores of the pool in the last epochs, ``(M, S1 + S2, DEPTH)``, one slot an epoch."""
        entered = (self.memory[users] < 0).unsqueeze(2)
        current = scores.unsqueeze(2).expand(-1, -1, DEPTH)
        known = current[:, : self.memory_size].where(entered, self.history[users])
        history = torch.cat([known, current[:, self.memory_size :]], dim=1)
        history[:, :, epoch % DEPTH] = scores
        return history

    def _fitness(self, history: Tensor, labeled_scores: Tensor, epoch: int) -> Tensor:
        """Hardness of the items in the memory plus the bonus, ``(B, S1)``."""
        values = torch.sigmoid(history - labeled_scores.view(-1, 1, 1))
        weight = self.alpha * min(1.0, epoch / self.warmup_epochs)
        return values[:, :, epoch % DEPTH] + weight * values.std(dim=2, correction=0)

    def _renew(
        self,
        users: Tensor,
        pool: Tensor,
        scores: Tensor,
        history: Tensor,
        generator: torch.Generator,
    ) -> None:
        """Draws the next memories from the pools; copies of an item come last."""
        noise = torch.empty_like(scores).exponential_(generator=generator)
        # The S1 largest of log weight + Gumbel noise are a weighted draw without replacement.
        keys = (scores / self.temperature - noise.log()).masked_fill_(repeated(pool), -torch.inf)
        kept = keys.topk(self.memory_size, dim=1).indices
        self.memory[users] = pool.gather(1, kept).int()
        self.history[users] = history.gather(1, kept.unsqueeze(2).expand(-1, -1, DEPTH))


def repeated(items: Tensor) -> Tensor:
    """Finds copies.

    Args:
        items: ``(M, S)`` integers.

    Returns:
        ``(M, S)`` booleans, True where an item stands further left in its row as well.
    """
    ordered, order = items.sort(dim=1, stable=True)
    copies = torch.zeros_like(items, dtype=torch.bool)
    copies[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(copies).scatter_(1, order, copies)
