"""The control of all decisions: the step is always taken."""

import torch
from typing_extensions import override

from invlightning.inverse.decisions import DIRECT, Decision, StepRecord
from invlightning.inverse.step import InnerStep


class Direct(Decision):
    """Always follows what the unlabeled rows propose, and measures no risk.

    The control that tells what the choice of :class:`BatchSign` is worth: the same step, never
    inverted and never left out, unless the direction overflowed.
    """

    @override
    def decide(self, step: InnerStep) -> StepRecord:
        step.propose()
        followed = step.is_finite.to(step.dtype)
        step.settle(-step.inner_lr * followed)
        shares = (torch.arange(3, device=step.device) == DIRECT) * followed
        shares[0] = 1 - followed
        return StepRecord(shares, torch.full_like(shares, torch.nan))
