"""A constant soft label."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import as_float
from invlightning.losses.pseudo_label import Prior, PseudoLabelLoss


class SoftLabel(PseudoLabelLoss):
    """Gives every unlabeled pair the same soft label, the share of positives.

    The control of :class:`~invlightning.losses.InverseDualLoss` with a prior: the same mean, and
    nothing that tells one pair from another.

    Args:
        prior: The label of every pair, strictly between 0 and 1. ``labeled`` takes the share of
            positives among the labeled training rows.
        weight: Weight of this loss relative to the labeled loss; both are means over their rows.
        start_epoch: First epoch, from 0, in which the loss counts; before it the loss is 0.

    Raises:
        ValueError: If an argument is out of its range, or there is no prior.
    """

    def __init__(self, prior: Prior = "labeled", weight: float = 1.0, start_epoch: int = 0) -> None:
        super().__init__(weight, start_epoch, prior)
        if prior is None:
            raise ValueError("SoftLabel needs a prior: a number between 0 and 1, or 'labeled'.")

    @override
    def weights(self, logits: Tensor) -> Tensor:
        prior = self.estimated_prior()
        like = as_float(logits.detach())
        return torch.zeros_like(like) + (0.0 if prior is None else prior)
