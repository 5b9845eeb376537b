"""Adaptive hardness: the better the positive already scores, the easier its negative."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.samplers.candidates import Candidates, CandidateSampler, best_columns
from invlightning.data.samplers.hard import check_choice, check_positive


class AdaptiveHardnessSampler(CandidateSampler):
    """Chooses the candidates whose score is nearest to b (s + a) ** (p + 1), s the positive's.

    Lai et al., "Adaptive Hardness Negative Sampling for Collaborative Filtering" (AHNS), AAAI
    2024, with exponent p below -1. Where s + a is not positive, which the paper
    leaves open, the target is its limit, plus infinity: the highest scored candidate. A row whose
    label is a true negative has no positive to adapt to and draws uniformly.

    The rule reads absolute scores and suits losses that leave them near 0, such as BPR. Where a
    loss shifts all logits far below 0, it becomes :class:`DynamicSampler`.

    Cost: N + 1 scores a row. State: none.

    Args:
        num_candidates: Candidates of a row, N; drawn with replacement.
        alpha: Shift a of the positive's score.
        beta: Scale b of the target, above 0.
        power: Exponent p, below -1.
        start_epoch: First epoch of such draws; uniform before.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        num_candidates: int = 16,
        alpha: float = 0.1,
        beta: float = 0.4,
        power: float = -2.0,
        start_epoch: int = 0,
    ) -> None:
        super().__init__(num_candidates, start_epoch)
        check_positive("beta", beta)
        if not power < -1:
            raise ValueError(f"power must be below -1, found {power}.")
        self.alpha, self.beta, self.power = alpha, beta, power

    @override
    def choose(
        self, candidates: Candidates, num_unlabeled: int, generator: torch.Generator
    ) -> Tensor:
        check_choice(num_unlabeled, "num_candidates", self.pool_size)
        base = (candidates.labeled_scores + self.alpha).clamp(min=0)
        # Above the highest score all targets choose alike; the cut keeps an infinite one finite.
        target = torch.minimum(self.beta * base.pow(self.power + 1), candidates.scores.amax(1))
        distances = (candidates.scores - target.unsqueeze(1)).abs()
        return best_columns(-distances, candidates.labels, num_unlabeled)
