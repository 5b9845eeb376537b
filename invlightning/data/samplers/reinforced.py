"""Reinforced sampling: a small generator learns which items to show the model."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import Draw, draw_below
from invlightning.data.samplers.hard import (
    HardSampler,
    check_at_least,
    check_positive,
    score_blocks,
)
from invlightning.types import LabeledBatch, TrainingFacts

_INITIAL_SCALE = 0.1
_EPSILON = 1e-10


class ReinforcedSampler(HardSampler):
    """Draws from a learned policy over uniform items and one true negative of the user.

    Ding et al., "Reinforced Negative Sampling for Recommendation with Exposure Data" (RNS), IJCAI
    2019. A generator with factors of its own draws one of N candidates, N - 1 uniform unlabeled
    items and an item that the user was shown and did not like, with ``softmax(p_u . q_j / T)``.
    A draw j is rewarded for being hard, ``-sigmoid(-s_uj)`` with s the score by the model, and for
    having been shown, ``exposure_weight * 1[j was shown]``. The policy gradient descends
    ``-log policy(j) (reward - baseline)``.

    Departures: no reward by feature matching (MMD), the baseline is the mean reward of the batch,
    and the generator learns by Adagrad with one rate a row, starting from fixed random factors,
    not from a trained generator. True negatives are known pairs: this is the one sampler that
    draws some of them. Known positives are never drawn. A user without true negatives gets N
    uniform candidates.

    Cost: N scores by the generator, one gradient of them and K scores by the model a row. State:
    ``4 (embedding_dim + 1)`` bytes for each user and item. Needs labeled negatives.

    Args:
        num_candidates: Candidates of a row, N, at least 2.
        embedding_dim: Dimension of the generator's factors.
        lr: Learning rate of the generator.
        exposure_weight: Reward for a true negative.
        temperature: Temperature T of the policy.
        start_epoch: First epoch of such draws; uniform before.

    Raises:
        ValueError: If an argument is out of its range.
    """

    user_factors: Tensor
    item_factors: Tensor
    user_squares: Tensor
    item_squares: Tensor
    negative_indptr: Tensor
    negative_items: Tensor

    def __init__(
        self,
        num_candidates: int = 30,
        embedding_dim: int = 32,
        lr: float = 0.05,
        exposure_weight: float = 2.5,
        temperature: float = 1.0,
        start_epoch: int = 0,
    ) -> None:
        super().__init__(start_epoch)
        check_at_least("num_candidates", num_candidates, 2)
        check_at_least("embedding_dim", embedding_dim, 1)
        check_at_least("lr", lr, 0)
        check_at_least("exposure_weight", exposure_weight, 0)
        check_positive("temperature", temperature)
        self.num_candidates, self.embedding_dim, self.lr = num_candidates, embedding_dim, lr
        self.exposure_weight, self.temperature = exposure_weight, temperature

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares the uniform draws and a new generator.

        Raises:
            ValueError: If there are fewer items than candidates, or no true negatives.
        """
        super().prepare(known, facts)
        self.check_pool(self.num_candidates)
        generator = torch.Generator().manual_seed(0)
        for side, size in (("user", known.num_users), ("item", known.num_items)):
            factors = torch.randn(size, self.embedding_dim, generator=generator)
            self.register_buffer(f"{side}_factors", _INITIAL_SCALE * factors)
            self.register_buffer(f"{side}_squares", torch.zeros(size))
        self._learn_negatives(facts)

    def _learn_negatives(self, facts: TrainingFacts) -> None:
        sizes = facts.num_users, facts.num_items
        negatives = KnownPairs.from_pairs(*facts.negatives(), *sizes)
        if not negatives.items.numel():
            raise ValueError(
                "ReinforcedSampler draws true negatives but no training row is labeled negative: "
                "set positive_threshold, or use data with ratings or exposure."
            )
        self.register_buffer("negative_indptr", negatives.indptr, persistent=False)
        self.register_buffer("negative_items", negatives.items, persistent=False)

    @override
    def draw_hard(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        candidates, shown = self.candidates(batch.users, draw.generator)
        policy = self.policy(batch.users, candidates)
        columns = torch.multinomial(
            policy, draw.num_unlabeled, replacement=True, generator=draw.generator
        )
        items = candidates.gather(1, columns)
        scores = score_blocks(draw.score, batch.users.unsqueeze(1), items)
        rewards = self.exposure_weight * shown.gather(1, columns) - torch.sigmoid(-scores)
        exists = items >= 0
        mean = (rewards * exists).sum() / exists.sum().clamp(min=1)
        advantages = (rewards - mean) * exists / exists.sum().clamp(min=1)
        self.learn(batch.users, candidates, policy, columns, advantages)
        return items

    def candidates(self, users: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws candidates.

        Args:
            users: ``(B,)`` user indices.
            generator: The only source of randomness.

        Returns:
            ``(B, N)`` items, -1 throughout the row of a user who knows all, and ``(B, N)``
            booleans, True for the true negative, which stands last.
        """
        items = self.uniform.sample(users, self.num_candidates, generator)
        start = self.negative_indptr[users]
        counts = self.negative_indptr[users + 1] - start
        places = start + draw_below(counts, 1, generator).squeeze(1)
        negatives = self.negative_items[places.clamp(max=len(self.negative_items) - 1)].long()
        shown = torch.zeros_like(items, dtype=torch.bool)
        shown[:, -1] = (counts > 0) & (items[:, -1] >= 0)
        return torch.where(shown, negatives.unsqueeze(1), items), shown

    def policy(self, users: Tensor, candidates: Tensor) -> Tensor:
        """Returns ``(B, N)`` probabilities of the candidates.

        Args:
            users: ``(B,)`` user indices.
            candidates: ``(B, N)`` items; -1 is read as 0.
        """
        factors = self.item_factors[candidates.clamp(min=0)]
        logits = (self.user_factors[users].unsqueeze(1) * factors).sum(2)
        return torch.softmax(logits / self.temperature, dim=1)

    def learn(
        self,
        users: Tensor,
        candidates: Tensor,
        policy: Tensor,
        columns: Tensor,
        advantages: Tensor,
    ) -> None:
        """Descends the sum of ``-advantage * log policy(column)`` by one step, in closed form.

        Args:
            users: ``(B,)`` user indices.
            candidates: ``(B, N)`` items; -1 is read as 0.
            policy: ``(B, N)`` probabilities of the candidates.
            columns: ``(B, K)`` columns that were drawn.
            advantages: ``(B, K)`` what each draw earned beyond the baseline.
        """
        logits_gradient = policy * advantages.sum(1, keepdim=True)
        logits_gradient = logits_gradient.scatter_add(1, columns, -advantages) / self.temperature
        items = candidates.clamp(min=0)
        user_factors, item_factors = self.user_factors[users], self.item_factors[items]
        user_gradient = (logits_gradient.unsqueeze(2) * item_factors).sum(1)
        item_gradient = logits_gradient.unsqueeze(2) * user_factors.unsqueeze(1)
        _descend(self.user_factors, self.user_squares, users, user_gradient, self.lr)
        item_rows = item_gradient.flatten(0, 1)
        _descend(self.item_factors, self.item_squares, items.flatten(), item_rows, self.lr)


def _descend(table: Tensor, squares: Tensor, rows: Tensor, gradients: Tensor, lr: float) -> None:
    """One step of Adagrad on the rows of a table, with one rate a row; rows may repeat."""
    rows, places = torch.unique(rows, return_inverse=True)
    total = gradients.new_zeros(len(rows), gradients.shape[1]).index_add_(0, places, gradients)
    squares[rows] += total.square().mean(dim=1)
    table[rows] -= lr * total / (squares[rows].sqrt() + _EPSILON).unsqueeze(1)
