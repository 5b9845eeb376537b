"""Draw many items, score them, keep the ones that teach most."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import Draw
from invlightning.data.samplers.hard import HardSampler, check_at_least, score_blocks
from invlightning.types import LabeledBatch, TrainingFacts


class Candidates(NamedTuple):
    """Scored candidates of the rows of a batch.

    Attributes:
        items: ``(B, N)`` uniform draws with replacement; -1 throughout a row without any.
        scores: ``(B, N)`` float32 scores by the model.
        labeled_scores: ``(B,)`` float32 scores of the labeled pairs.
        labels: ``(B,)`` 0.0 or 1.0.
    """

    items: Tensor
    scores: Tensor
    labeled_scores: Tensor
    labels: Tensor


class CandidateSampler(HardSampler, ABC):
    """Draws N uniform candidates for each row, scores them once and chooses K of them.

    Subclasses say :meth:`choose`. Cost: N + 1 scores a row. No state.

    Args:
        pool_size: Candidates of a row, N.
        start_epoch: First epoch of such draws; uniform before.

    Raises:
        ValueError: If ``pool_size`` is below 1 or ``start_epoch`` negative.
    """

    def __init__(self, pool_size: int, start_epoch: int = 0) -> None:
        super().__init__(start_epoch)
        check_at_least("num_candidates", pool_size, 1)
        self.pool_size = pool_size

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares the uniform draws.

        Raises:
            ValueError: If there are fewer items than candidates.
        """
        super().prepare(known, facts)
        self.check_pool(self.pool_size)

    @override
    def draw_hard(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        items = self.uniform.sample(batch.users, self.pool_size, draw.generator)
        scored = torch.cat([items, batch.items.unsqueeze(1)], dim=1)
        scores = score_blocks(draw.score, batch.users.unsqueeze(1), scored)
        candidates = Candidates(items, scores[:, :-1], scores[:, -1], batch.labels)
        return items.gather(1, self.choose(candidates, draw.num_unlabeled, draw.generator))

    @abstractmethod
    def choose(
        self, candidates: Candidates, num_unlabeled: int, generator: torch.Generator
    ) -> Tensor:
        """Chooses among the candidates.

        Args:
            candidates: N scored candidates of each row.
            num_unlabeled: Items to choose, K.
            generator: The only source of randomness.

        Returns:
            ``(B, K)`` int64 columns of the candidates.

        Raises:
            ValueError: If K is more than there is to choose from.
        """


def best_columns(preferences: Tensor, labels: Tensor, num_unlabeled: int) -> Tensor:
    """Chooses the most preferred columns in positive rows and the first, random, ones in others.

    For methods that compare an unlabeled item with the positive of its row: in a row with a true
    negative there is none, and candidates in the order of their draw are uniform.

    Args:
        preferences: ``(B, N)``; larger is preferred.
        labels: ``(B,)`` 0.0 or 1.0.
        num_unlabeled: Columns to choose, K.

    Returns:
        ``(B, K)`` int64 columns.
    """
    best = preferences.topk(num_unlabeled, dim=1).indices
    first = torch.arange(num_unlabeled, device=best.device)
    return torch.where(labels.unsqueeze(1) > 0, best, first)
