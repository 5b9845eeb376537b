"""Bayesian negative sampling: hard items that are probably true negatives."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.candidates import Candidates, CandidateSampler, best_columns
from invlightning.data.samplers.hard import check_at_least, check_choice
from invlightning.types import TrainingFacts


class BayesianSampler(CandidateSampler):
    """Chooses the candidates of least Bayesian risk, which weighs hardness by being a negative.

    Liu and Wang, "Bayesian Negative Sampling for Recommendation" (BNS), ICDE 2023. For a candidate
    j beside the positive i of user u, with F_j the share of u's unlabeled items that score no
    higher than j and P_j the prior of a false negative, the share of j in all positive pairs::

        unbias_j = (1 - F_j) (1 - P_j) / (1 - F_j - P_j + 2 F_j P_j)
        risk_j = (1 - sigmoid(s_ui - s_uj)) (1 - (1 + weight) unbias_j)

    and the least risk is chosen. The paper takes F over all unlabeled items; here it is counted
    over ``num_references`` uniform ones, with half a count added on both sides so that it never is
    0 or 1. A row whose label is a true negative has no positive to compare with and draws
    uniformly.

    Cost: C + R + 1 scores a row for C candidates and R references. State: none.

    Args:
        num_candidates: Candidates of a row, C; drawn with replacement.
        num_references: Unlabeled items of a row that estimate F, R.
        weight: What a true negative counts beside a false one.
        start_epoch: First epoch of such draws; uniform before.

    Raises:
        ValueError: If an argument is out of its range.
    """

    item_counts: Tensor

    def __init__(
        self,
        num_candidates: int = 5,
        num_references: int = 100,
        weight: float = 5.0,
        start_epoch: int = 0,
    ) -> None:
        check_at_least("num_candidates", num_candidates, 1)
        check_at_least("num_references", num_references, 1)
        check_at_least("weight", weight, 0)
        super().__init__(num_candidates + num_references, start_epoch)
        self.num_candidates, self.weight = num_candidates, weight

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares the uniform draws and the popularity of the items among positives.

        Raises:
            ValueError: If there are fewer items than candidates and references.
        """
        super().prepare(known, facts)
        positives = KnownPairs.from_pairs(*facts.positives(), facts.num_users, facts.num_items)
        self.register_buffer("item_counts", positives.item_counts.float(), persistent=False)

    @override
    def choose(
        self, candidates: Candidates, num_unlabeled: int, generator: torch.Generator
    ) -> Tensor:
        check_choice(num_unlabeled, "num_candidates", self.num_candidates)
        scores = candidates.scores[:, : self.num_candidates].contiguous()
        references = candidates.scores[:, self.num_candidates :].sort(dim=1).values
        counts = torch.searchsorted(references, scores, right=True)
        below = (counts + 0.5) / (references.shape[1] + 1)
        items = candidates.items[:, : self.num_candidates].clamp(min=0)
        prior = self.item_counts[items] / self.item_counts.sum()
        truly_negative = (1 - below) * (1 - prior)
        unbias = truly_negative / (truly_negative + below * prior)
        hardness = torch.sigmoid(scores - candidates.labeled_scores.unsqueeze(1))
        risk = hardness * (1 - (1 + self.weight) * unbias)
        return best_columns(-risk, candidates.labels, num_unlabeled)
