"""What losses that annotate unlabeled pairs have in common."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import UnlabeledLoss
from invlightning.losses.functional import as_float, cross_entropy
from invlightning.types import TrainingFacts

Prior = float | Literal["labeled"] | None


class PseudoLabelLoss(UnlabeledLoss, ABC):
    """Cross entropy of unlabeled pairs towards soft labels; :meth:`weights` says which.

    Args:
        weight: Weight of this loss relative to the labeled loss. Both are means over their rows,
            so with K unlabeled items beside every labeled row, ``weight=K`` gives an unlabeled row
            the weight of a labeled one.
        start_epoch: First epoch, from 0, in which the loss counts; before it the loss is 0.
        prior: Share of positives among the pairs, strictly between 0 and 1. ``labeled`` takes the
            share among the labeled training rows. None where there is none. Each process matches it
            on the rows of its own batch.

    Raises:
        ValueError: If an argument is out of its range.
    """

    labeled_prior: Tensor

    def __init__(self, weight: float = 1.0, start_epoch: int = 0, prior: Prior = None) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"weight is {weight}, expected 0 or more, for example weight=0.3.")
        if start_epoch < 0:
            raise ValueError(f"start_epoch is {start_epoch}, expected 0 or more.")
        if prior not in (None, "labeled") and (isinstance(prior, str) or not 0 < prior < 1):
            raise ValueError(
                f"prior is {prior!r}, expected a number between 0 and 1 (both excluded), 'labeled' "
                "or None."
            )
        self.weight = weight
        self.start_epoch = start_epoch
        self.prior = prior
        self._counts = start_epoch == 0
        self._has_prior = prior != "labeled"
        if prior == "labeled":
            # A buffer, so that a checkpoint keeps it; not a number until start_fit.
            self.register_buffer("labeled_prior", torch.tensor(float("nan")))

    @abstractmethod
    def weights(self, logits: Tensor) -> Tensor:
        """Returns the annotations w+ that the loss uses.

        Args:
            logits: Scores of unlabeled pairs, any shape.

        Returns:
            Detached weights in [0, 1] of the same shape; float32 for half precision.

        Raises:
            RuntimeError: If the prior is ``labeled`` and was never estimated.
        """

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        """Estimates the prior where it is ``labeled``.

        Raises:
            ValueError: If the prior is ``labeled`` and all labels are equal or there are none.
        """
        if self.prior != "labeled":
            return
        labels = facts.labels
        share = float(labels.float().mean()) if len(labels) else float("nan")
        if not 0 < share < 1:
            raise ValueError(
                "prior='labeled' needs labeled positives and labeled negatives, but the share of "
                f"positives among the {len(labels)} training labels is {share}. Give the prior as "
                "a number, for example prior=0.1."
            )
        self.labeled_prior.fill_(share)
        self._has_prior = True

    @override
    def set_epoch(self, epoch: int) -> None:
        self._counts = epoch >= self.start_epoch

    @override
    def forward(self, logits: Tensor) -> Tensor:
        """Returns the weighted mean of the loss, 0 before the first epoch of it.

        Args:
            logits: Scores of unlabeled pairs, any shape.

        Returns:
            A scalar; float32 for half precision, else of the dtype of ``logits``.

        Raises:
            RuntimeError: If the prior is ``labeled`` and was never estimated.
        """
        if not self._counts:
            return (0.0 * as_float(logits)).sum()  # keeps the graph, so that backward works
        return self.weight * cross_entropy(logits, self.weights(logits))

    def row_losses(self, logits: Tensor) -> Tensor:
        """Returns the loss of each row, of which :meth:`forward` is the mean.

        With a prior it may depend on the other rows too, so it is not the loss of the row alone. A
        subclass with a ``forward`` of its own needs a ``row_losses`` of its own.

        Args:
            logits: Scores of unlabeled pairs, any shape.

        Returns:
            The shape of ``logits``; float32 for half precision.
        """
        if not self._counts:
            return 0.0 * as_float(logits)
        return self.weight * cross_entropy(logits, self.weights(logits), reduction="none")

    def estimated_prior(self) -> float | Tensor | None:
        """The prior as a number, a 0-dim tensor or None.

        Raises:
            RuntimeError: If it is ``labeled`` and was never estimated.
        """
        if not isinstance(self.prior, str):
            return self.prior
        if not self._has_prior:  # read once at most, so that steps do not wait for the device
            if bool(self.labeled_prior.isnan()):
                raise RuntimeError(
                    "prior='labeled' was never estimated: call start_fit(facts) with the "
                    "training rows before the first step, or give the prior as a number."
                )
            self._has_prior = True
        return self.labeled_prior
