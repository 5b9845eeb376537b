"""Positive re-sampling: positives that are probably noise make way for others of their user."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import Draw, draw_below
from invlightning.data.samplers.hard import check_at_least, check_positive, score_blocks
from invlightning.specs import Specified
from invlightning.types import LabeledBatch, TrainingFacts


class PositiveResampler(Specified, nn.Module):
    """Exchanges the item of each positive row for one of k positives of the user, drawn by loss.

    PLD of Zhang et al., "Personalized Denoising Implicit Feedback for Robust Recommender System",
    WWW 2025. With j the first unlabeled item of the row, positive i is drawn with probability
    proportional to ``exp(-softplus(s_uj - s_ui) / temperature)`` among the k: within a user, noisy
    positives have the larger losses. Rows with true negatives, meta rows and users without an
    unlabeled item stay as they are.

    Departure: the rows of an epoch decide how often a user comes up, not a uniform draw of users.

    Cost: k + 1 scores a row. State: none.

    Args:
        num_candidates: Positives to draw from, k; drawn uniformly with replacement.
        temperature: Temperature of the second draw.
        start_epoch: First epoch of such draws; before it, rows stay as they are.

    Raises:
        ValueError: If an argument is out of its range.
    """

    indptr: Tensor
    items: Tensor

    def __init__(
        self, num_candidates: int = 5, temperature: float = 0.1, start_epoch: int = 5
    ) -> None:
        super().__init__()
        check_at_least("num_candidates", num_candidates, 1)
        check_positive("temperature", temperature)
        check_at_least("start_epoch", start_epoch, 0)
        self.num_candidates, self.temperature = num_candidates, temperature
        self.start_epoch = start_epoch

    def start_fit(self, facts: TrainingFacts) -> None:
        """Learns the positives of each user.

        Args:
            facts: The training rows.
        """
        positives = KnownPairs.from_pairs(*facts.positives(), facts.num_users, facts.num_items)
        self.register_buffer("indptr", positives.indptr, persistent=False)
        self.register_buffer("items", positives.items, persistent=False)

    def draw(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        """Draws the labeled items of a batch anew.

        Args:
            batch: Labeled rows ``(B,)`` and their unlabeled items.
            draw: Generator, scores and epoch to draw with.

        Returns:
            ``(B,)`` int64 items.

        Raises:
            ValueError: If the batch has no unlabeled items.
        """
        if draw.epoch < self.start_epoch or batch.is_meta:
            return batch.items
        if batch.unlabeled_items is None:
            raise ValueError(
                "PositiveResampler compares positives with an unlabeled item, but none are drawn: "
                "set num_unlabeled of the data module to 1 or more."
            )
        start = self.indptr[batch.users]
        counts = self.indptr[batch.users + 1] - start
        places = start.unsqueeze(1) + draw_below(counts, self.num_candidates, draw.generator)
        candidates = self.items[places.clamp_(max=len(self.items) - 1)].long()
        unlabeled = batch.unlabeled_items[:, :1]
        items = torch.cat([candidates, unlabeled], dim=1)
        scores = score_blocks(draw.score, batch.users.unsqueeze(1), items)
        losses = F.softplus(scores[:, -1:] - scores[:, :-1])
        weights = torch.softmax(-losses / self.temperature, dim=1)
        drawn = candidates.gather(1, weights.multinomial(1, generator=draw.generator)).squeeze(1)
        stays = (batch.labels <= 0) | (unlabeled.squeeze(1) < 0)
        return torch.where(stays, batch.items, drawn)
