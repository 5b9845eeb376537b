"""Truncated cross entropy, T-CE."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import JointLoss
from invlightning.losses.functional import cross_entropy, mean_where, truncated_cross_entropy
from invlightning.losses.joint_rows import all_rows
from invlightning.types import JointRows


class TruncatedLoss(JointLoss):
    """Drops the positives of largest loss, more of them as training goes on (T-CE).

    Unlabeled rows are negatives. In training step t the rate is
    ``drop_rate * min(1, t / num_gradual) ** exponent``, and that share of *all* rows of the batch,
    labeled and unlabeled, is dropped among its positives. With K unlabeled items beside every
    labeled row and a share q of positives among the labels, the positives thus lose the share
    ``rate * (1 + K) / q``: 40 % of them at a rate of 0.2, K = 1 and positives alone, and all of
    them at K = 4. Choose ``drop_rate`` accordingly.

    Source: Wang et al., WSDM 2021, arXiv 2006.04153; defaults of the released code, whose logs use
    drop rates of 0.05 to 0.2 and ramps of 1,000 or 30,000 steps. Departures: for an ``exponent``
    other than 1 the released ramp ends at ``drop_rate ** exponent`` and then jumps to
    ``drop_rate``, ours ends where it stays; only positives are ever dropped, never negatives once
    the positives are used up; in evaluation mode the loss is plain cross entropy, since a
    truncated one would make later models look better.

    Args:
        drop_rate: Share of the rows to drop after the ramp, in [0, 1).
        num_gradual: Training steps of the ramp, 1 or more. A step is a call in training mode.
        exponent: Shape of the ramp, above 0; 1 is linear, larger values start slower.

    Raises:
        ValueError: If an argument is out of its range.
    """

    steps: Tensor

    def __init__(
        self, drop_rate: float = 0.2, num_gradual: int = 30_000, exponent: float = 1.0
    ) -> None:
        super().__init__()
        if not 0 <= drop_rate < 1:
            raise ValueError(f"drop_rate is {drop_rate}, expected 0 or more and below 1.")
        if num_gradual < 1:
            raise ValueError(f"num_gradual is {num_gradual}, expected 1 or more steps.")
        if not exponent > 0:
            raise ValueError(f"exponent is {exponent}, expected more than 0, usually 1.")
        self.drop_rate = drop_rate
        self.num_gradual = num_gradual
        self.exponent = exponent
        # A buffer, so that a checkpoint keeps it and the rate never leaves the device.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def rate(self) -> Tensor:
        """Returns the share of rows that the next training step drops, a 0-dim tensor."""
        ramp = (self.steps / self.num_gradual).clamp(max=1)
        return self.drop_rate * ramp**self.exponent

    @override
    def forward(self, rows: JointRows) -> Tensor:
        logits, labels, mask = all_rows(rows)
        if not self.training:
            return mean_where(cross_entropy(logits, labels, reduction="none"), mask)
        loss = truncated_cross_entropy(logits, labels, self.rate(), mask)
        self.steps.add_(1)
        return loss
