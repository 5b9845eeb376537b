"""Adaptive oversampling: items at a geometrically distributed rank of the model's scores."""

import math

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.samplers.candidates import Candidates, CandidateSampler
from invlightning.data.samplers.hard import check_positive


class AdaptiveOversampler(CandidateSampler):
    """Draws the item at rank r of the user's scores with probability proportional to exp(-r/l).

    The adaptive, context-dependent distribution of Rendle and Freudenthaler, "Improving Pairwise
    Learning for Item Recommendation from Implicit Feedback", WSDM 2014. They rank the
    whole catalogue and make that affordable by a mixture over the factors of a dot product, which
    depends on the basis of the factors and fits no other network. Here the ranks are those among
    N uniform candidates, by the scores themselves, for any backbone. One rank among N stands for
    I / N ranks of the catalogue, so the scale l is given as a share of the ranks. K items are
    independent draws from one pool.

    Cost: N + 1 scores and a sort of N a row. State: none.

    Args:
        num_candidates: Candidates of a row, N; drawn with replacement.
        rank_share: Scale l of the ranks as a share of them all. Small values oversample the
            highest scored items, large ones are uniform.
        start_epoch: First epoch of adaptive draws; uniform before.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self, num_candidates: int = 100, rank_share: float = 0.05, start_epoch: int = 0
    ) -> None:
        super().__init__(num_candidates, start_epoch)
        check_positive("rank_share", rank_share)
        self.rank_share = rank_share

    @override
    def choose(
        self, candidates: Candidates, num_unlabeled: int, generator: torch.Generator
    ) -> Tensor:
        order = candidates.scores.argsort(dim=1, descending=True)
        shape = (len(order), num_unlabeled)
        uniform = torch.rand(shape, dtype=torch.float64, generator=generator, device=order.device)
        # The floor of a truncated exponential variable, by the inverse of its distribution.
        shares = torch.log1p(uniform * math.expm1(-1 / self.rank_share)) * -self.rank_share
        ranks = (shares * self.pool_size).long().clamp_(max=self.pool_size - 1)
        return order.gather(1, ranks)
