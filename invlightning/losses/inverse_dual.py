"""Inverse Dual Loss."""

from typing import Literal

import torch
from torch import Tensor

from invlightning.losses.base import UnlabeledLoss
from invlightning.losses.functional import (
    Reduction,
    as_float,
    inverse_dual_loss,
    inverse_dual_weights,
)
from invlightning.types import TrainingFacts


class InverseDualLoss(UnlabeledLoss):
    """Lets the model annotate unlabeled pairs by their losses towards both labels.

    Each pair gets the soft label w+ of :func:`~invlightning.losses.functional.inverse_dual_weights`
    and cross entropy towards it; the likely label is pushed and the unlikely one held back (Lin et
    al., WSDM 2024, arXiv 2311.08302).

    Nothing in the formula anchors the share of positives: the labeled rows decide where the
    annotations drift. With labeled positives alone every pair ends as a positive, so such data
    needs a ``prior``; with labeled negatives too, a prior near the true share still helps, and a
    later ``start_epoch`` or a smaller ``weight`` lets the labeled rows speak first.

    Args:
        weight: Weight of this loss relative to the labeled loss. Both are means over their rows,
            so with K unlabeled items beside every labeled row, ``weight=K`` gives an unlabeled row
            the weight of a labeled one.
        start_epoch: First epoch, from 0, in which the loss counts; before it the loss is 0.
        temperature: Sharpness of the annotations; 2 is the published form.
        prior: Share of positives that the annotations of a batch have in the mean, strictly between
            0 and 1. ``labeled`` takes the share among the labeled training rows, which is right
            only where unlabeled pairs are alike; None leaves the annotations as they are.

    Raises:
        ValueError: If an argument is out of its range.
    """

    labeled_prior: Tensor

    def __init__(
        self,
        weight: float = 1.0,
        start_epoch: int = 0,
        temperature: float = 2.0,
        prior: float | Literal["labeled"] | None = None,
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"weight is {weight}, expected 0 or more, for example weight=0.3.")
        if start_epoch < 0:
            raise ValueError(f"start_epoch is {start_epoch}, expected 0 or more.")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected more than 0, usually 2.")
        if prior not in (None, "labeled") and (isinstance(prior, str) or not 0 < prior < 1):
            raise ValueError(
                f"prior is {prior!r}, expected a number between 0 and 1 (both excluded), 'labeled' "
                "or None."
            )
        self.weight = weight
        self.temperature = temperature
        self.prior = prior
        self.start_epoch = start_epoch
        self._epoch = 0
        self._has_prior = prior != "labeled"
        if prior == "labeled":
            # A buffer, so that a checkpoint keeps it; not a number until start_fit.
            self.register_buffer("labeled_prior", torch.tensor(float("nan")))

    def start_fit(self, facts: TrainingFacts) -> None:
        """Estimates the prior where it is ``labeled``.

        Args:
            facts: The training rows.

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

    def set_epoch(self, epoch: int) -> None:
        """Notes the epoch, which decides whether the loss counts already.

        Args:
            epoch: Number of the epoch that starts, from 0.
        """
        self._epoch = epoch

    def weights(self, logits: Tensor) -> Tensor:
        """Returns the annotations w+ that the loss uses.

        Args:
            logits: Scores of unlabeled pairs, any shape.

        Returns:
            Detached weights in [0, 1] of the same shape; float32 for half precision.

        Raises:
            RuntimeError: If the prior is ``labeled`` and was never estimated.
        """
        return inverse_dual_weights(logits, self.temperature, self._prior())

    def forward(self, logits: Tensor) -> Tensor:
        """Returns the weighted mean of the Inverse Dual Loss, 0 before the first epoch of it.

        Args:
            logits: Scores of unlabeled pairs, any shape.

        Returns:
            A scalar; float32 for half precision, else of the dtype of ``logits``.

        Raises:
            RuntimeError: If the prior is ``labeled`` and was never estimated.
        """
        if self._epoch < self.start_epoch:
            return (0.0 * as_float(logits)).sum()  # keeps the graph, so that backward works
        return self.weight * self._loss(logits, "mean")

    def row_losses(self, logits: Tensor) -> Tensor:
        """Returns the loss of each row, of which :meth:`forward` is the mean.

        With a prior it depends on the other rows too, so it is not the loss of the row alone. A
        subclass with a ``forward`` of its own needs a ``row_losses`` of its own.

        Args:
            logits: Scores of unlabeled pairs, any shape.

        Returns:
            The shape of ``logits``; float32 for half precision.
        """
        if self._epoch < self.start_epoch:
            return 0.0 * as_float(logits)
        return self.weight * self._loss(logits, "none")

    def _loss(self, logits: Tensor, reduction: Reduction) -> Tensor:
        return inverse_dual_loss(logits, self.temperature, self._prior(), reduction=reduction)

    def _prior(self) -> float | Tensor | None:
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
