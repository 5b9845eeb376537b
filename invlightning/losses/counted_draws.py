"""What softmax losses over the catalogue have in common: the probabilities of the draws."""

from abc import ABC

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.dislikes import DislikesLoss
from invlightning.types import JointRows, TrainingFacts


class CountedDrawsLoss(DislikesLoss, ABC):
    """A loss that estimates a sum over the catalogue from drawn items and their probabilities Q.

    Q must be that of the sampler: Q_j is proportional to n_j ** beta with n_j the number of labeled
    training rows of item j.

    Args:
        beta: Exponent of the popularity by which items are drawn, 0 or more.
        temperature: Divides the scores, above 0.
        negative_weight: Weight of the mean over the labeled negatives; 0 leaves them out.

    Raises:
        ValueError: If an argument is out of its range.
    """

    log_weights: Tensor | None
    log_rest: Tensor | None

    def __init__(
        self, beta: float = 0.0, temperature: float = 1.0, negative_weight: float = 0.0
    ) -> None:
        super().__init__(negative_weight)
        if not beta >= 0:
            raise ValueError(f"beta is {beta}, expected 0 or more; 0 stands for uniform draws.")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected more than 0.")
        self.beta = beta
        self.temperature = temperature
        # Not in checkpoints: every fit counts them anew from its training rows.
        self.register_buffer("log_weights", None, persistent=False)
        self.register_buffer("log_rest", None, persistent=False)

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Counts the rows of each item, which give the probabilities of the draws.

        Raises:
            ValueError: If there is no positive, or no negative although they have a weight.
        """
        super().start_fit(facts)
        # A sampler never draws items without rows; should one be given, it counts as one row.
        counts = torch.bincount(facts.items, minlength=facts.num_items).clamp(min=1).double()
        weights = counts**self.beta
        self.log_weights = weights.log().float()
        self.log_rest = (weights.sum() - weights).log().float()

    def drawn(self, rows: JointRows) -> tuple[JointRows, Tensor]:
        """The rows without accidental hits, and log Q of what was drawn.

        Args:
            rows: Labeled rows ``(B,)`` and the unlabeled rows ``(B, K)`` of the same users.

        Returns:
            The rows, where items equal to the labeled one are masked, and ``(B, K)`` log Q among
            all other items of the catalogue.

        Raises:
            RuntimeError: If the items were never counted.
        """
        if self.log_weights is None or self.log_rest is None:
            raise RuntimeError(
                "the items were never counted: call start_fit(facts) with the training "
                "rows before the first step."
            )
        no_hit = rows.unlabeled_items != rows.items.unsqueeze(1)
        rows = rows._replace(mask=no_hit if rows.mask is None else no_hit & rows.mask)
        log_q = self.log_weights[rows.unlabeled_items] - self.log_rest[rows.items].unsqueeze(1)
        return rows, log_q
