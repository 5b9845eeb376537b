"""Exposure matrix factorization as a backbone."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.exposure_em import UNLABELED, fit_exposure_mf
from invlightning.backbones.layers.embedding import check_sizes
from invlightning.backbones.layers.fitted import FittedBackbone, FittedTable
from invlightning.types import TrainingFacts


class ExposureMF(FittedBackbone):
    """Exposure matrix factorization, a reference for small data: the logit is a p_u . q_i + b.

    Liang et al., "Modeling user exposure in recommendation", WWW 2016, sections 3.2 and 3.3: a
    user is exposed to an item with probability mu_i, and consumes it, if exposed, by
    N(p_u . q_i, 1/precision). When training starts, all factors are found by expectation
    maximization on all U x I pairs (:func:`invlightning.backbones.exposure_em.fit_exposure_mf`),
    in time O(U I d^2) an iteration; gradients never touch them. What an optimizer trains is the
    scale a > 0 and the offset b, which make a logit of the prediction and leave rankings as they
    are. Departure: labeled negatives are pairs that are known to be exposed. Factors start at
    N(0, 0.01^2), a at 4 and b at -2.

    Needs the labeled training rows, from a data module.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length of the factors.
        num_iterations: Iterations of expectation maximization.
        regularization: Precision of the factors under their prior. The released code has 1e-5,
            which learns small data by heart.
        precision: Precision of consumption given exposure.
        exposure: Exposure mu of all items at the start.

    Raises:
        ValueError: If a size is below one, a precision is not positive or the exposure not in
            (0, 1).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 8,
        num_iterations: int = 10,
        regularization: float = 1.0,
        precision: float = 1.0,
        exposure: float = 0.01,
    ) -> None:
        super().__init__(num_users, num_items)
        check_sizes(num_users, num_items, embedding_dim)
        if num_iterations < 1:
            raise ValueError(f"num_iterations is {num_iterations}, expected at least 1.")
        if not (regularization > 0 and precision > 0):
            raise ValueError(
                f"regularization is {regularization} and precision {precision}, expected positive "
                "numbers."
            )
        if not 0 < exposure < 1:
            raise ValueError(f"exposure is {exposure}, expected a number in (0, 1).")
        self.embedding_dim, self.num_iterations = embedding_dim, num_iterations
        self.regularization, self.precision = regularization, precision
        self.exposure = exposure
        self.factors = FittedTable("ExposureMF")  # those of users, then of items, (U + I, d)

    @torch.no_grad()
    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Fits the factors."""
        shape = (self.num_users, self.num_items)
        labels = torch.full(shape, UNLABELED, dtype=torch.int8, device=self.offset.device)
        labels[facts.users, facts.items] = facts.labels.to(labels)
        size = (sum(shape), self.embedding_dim)
        start = torch.empty(size, dtype=torch.float64).normal_(0, 0.01).to(labels.device)
        users, items, _ = fit_exposure_mf(
            labels,
            start[: self.num_users],
            start[self.num_users :],
            self.num_iterations,
            self.regularization,
            self.precision,
            self.exposure,
        )
        self.factors.values = torch.cat((users, items)).to(self.offset)

    @override
    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        p, q = self._vectors()
        products = nn.functional.embedding(users, p) * nn.functional.embedding(items, q)
        return products.sum(-1)

    @override
    def range_scores(self, users: Tensor, start: int, stop: int) -> Tensor:
        p, q = self._vectors()
        return nn.functional.embedding(users, p) @ q[start:stop].T

    def _vectors(self) -> tuple[Tensor, Tensor]:
        vectors = self.factors.fitted()
        return vectors[: self.num_users], vectors[self.num_users :]
