"""Exposure matrix factorization as a backbone."""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.backbones.exposure_em import UNLABELED, fit_exposure_mf
from invlightning.backbones.layers.embedding import check_sizes
from invlightning.compat import TravelingTensors
from invlightning.types import TrainingFacts


class FittedFactors(TravelingTensors):
    """Factors that are fitted, not trained; there are none before.

    Args:
        num_users: Number of users U.
        embedding_dim: Length of the factors.
    """

    def __init__(self, num_users: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_users = num_users
        self.vectors = torch.empty(0, embedding_dim)

    @override
    def get_extra_state(self) -> Tensor:
        """Factors of users, then of items, ``(U + I, d)``, for the checkpoint."""
        return self.vectors

    @override
    def set_extra_state(self, state: Tensor) -> None:
        """Takes the factors that :meth:`get_extra_state` gave."""
        self.vectors = state.to(self.vectors, copy=True)

    @override
    def forward(self) -> tuple[Tensor, Tensor]:
        """Returns the factors of users ``(U, d)`` and of items ``(I, d)``.

        Raises:
            RuntimeError: If they are not fitted.
        """
        if len(self.vectors) == 0:
            raise RuntimeError(
                "ExposureMF is not fitted: train it in a Trainer with a data module of "
                "invlightning, or call its start_fit with TrainingFacts."
            )
        return self.vectors[: self.num_users], self.vectors[self.num_users :]


class ExposureMF(Backbone):
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
        self.factors = FittedFactors(num_users, embedding_dim)
        self.log_scale = nn.Parameter(torch.full((1,), math.log(4)))
        self.offset = nn.Parameter(torch.full((1,), -2.0))

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
        self.factors.vectors = torch.cat((users, items)).to(self.offset)

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        p, q = self.factors()
        products = nn.functional.embedding(users, p) * nn.functional.embedding(items, q)
        return self._logits(products.sum(-1))

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        p, q = self.factors()
        return self._logits(nn.functional.embedding(users, p) @ q[start:stop].T)

    def _logits(self, predictions: Tensor) -> Tensor:
        return predictions * self.log_scale.exp() + self.offset
