"""Dynamic negative sampling: the items that the model scores highest."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.samplers.candidates import Candidates, CandidateSampler
from invlightning.data.samplers.hard import check_choice


class DynamicSampler(CandidateSampler):
    """Chooses the K highest scored of N uniform candidates (DNS), or K of the M highest.

    DNS is that of Zhang et al., "Optimizing Top-N Collaborative Filtering via Dynamic
    Negative Item Sampling", SIGIR 2013. With ``top`` it is DNS(M, N) of Shi et al., "On the
    Theories Behind Hard Negative Sampling for Recommendation", WWW 2023: a larger M softens the
    choice. They sum the loss over all M; ``num_unlabeled`` equal to ``top`` does the same, fewer
    are distinct columns drawn uniformly among the M.

    Cost: N + 1 scores a row. State: none.

    Args:
        num_candidates: Candidates of a row, N; drawn with replacement.
        top: Highest scored candidates to draw from, M. None means ``num_unlabeled``: exactly the
            highest.
        start_epoch: First epoch of dynamic draws; uniform before.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self, num_candidates: int = 50, top: int | None = None, start_epoch: int = 0
    ) -> None:
        super().__init__(num_candidates, start_epoch)
        if top is not None and not 1 <= top <= num_candidates:
            raise ValueError(f"top must be in 1..num_candidates ({num_candidates}), found {top}.")
        self.top = top

    @override
    def choose(
        self, candidates: Candidates, num_unlabeled: int, generator: torch.Generator
    ) -> Tensor:
        check_choice(num_unlabeled, "num_candidates", self.pool_size)
        if self.top is None:
            return candidates.scores.topk(num_unlabeled, dim=1).indices
        check_choice(num_unlabeled, "top", self.top)
        highest = candidates.scores.topk(self.top, dim=1).indices
        keys = torch.rand(highest.shape, generator=generator, device=highest.device)
        return highest.gather(1, keys.topk(num_unlabeled, dim=1).indices)
