"""Decisions: how much of the direction that unlabeled rows propose is followed."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.inverse.step import InnerStep
from invlightning.specs import Specified

NONE, INVERSE, DIRECT = 0, 1, 2


class StepRecord(NamedTuple):
    """What one inverse gradient step did; tensors stay on the device.

    Attributes:
        shares: ``(3,)`` shares of rows that took no step, the inverse and the direct step. One
            choice for the whole batch is a 1 and two zeros.
        risks: ``(3,)`` labeled risk without a step, after the inverse and after the direct step;
            nan where it was not measured.
        loss: The labeled risk of the chosen candidate with its graph, if it was kept.
    """

    shares: Tensor
    risks: Tensor
    loss: Tensor | None = None

    @property
    def choice(self) -> Tensor:
        """``()`` int64: 0 if most rows took no step, 1 the inverse step, 2 the direct step."""
        return self.shares.argmax()


class Decision(Specified, ABC):
    """Judges the inner step by the labeled risk and carries it out.

    A decision that learns keeps its tensors out of the module, so that neither the inner nor the
    outer step moves them, keeps them equal on all processes, and says by :meth:`state_dict` what
    a checkpoint has to hold.

    Attributes:
        looks_at_rows: True if ``decide`` uses ``step.rows``, the unlabeled rows one by one.
    """

    looks_at_rows: ClassVar[bool] = False

    @abstractmethod
    def decide(self, step: InnerStep) -> StepRecord:
        """Moves the parameters to where the next outer step starts.

        Args:
            step: The inner step in progress: ``step.propose()`` computes the direction,
                ``step.risk()`` measures the labeled risk there and ``step.risk(c)`` at
                ``origin + c * direction``, ``step.agree(values)`` averages over processes,
                ``step.settle(c)`` goes there.
        """

    def state_dict(self) -> dict[str, Any]:
        """What the decision has learned, as tensors and plain values; empty if nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` returned.

        Raises:
            ValueError: If this decision does not learn, but the state is that of one that does.
        """
        if state:
            raise ValueError(
                f"the checkpoint holds {sorted(state)} of a decision that learns, but "
                f"{type(self).__name__} does not: go on with the decision it was trained with."
            )


class BatchSign(Decision):
    """One choice a batch among the direct step, the inverse step and none.

    The candidate with the lowest labeled risk wins; in a tie no step comes before the inverse
    step, and the inverse before the direct one, as in the reference implementation. A risk that
    is not a number never wins.

    Reference: Lin et al., Inverse Learning with Extremely Sparse Feedback for Recommendation,
    WSDM 2024, Inverse Gradient.
    """

    @override
    def decide(self, step: InnerStep) -> StepRecord:
        step.propose()
        candidates = torch.arange(3, device=step.device)
        signs = (candidates == INVERSE).to(step.dtype) - (candidates == DIRECT).to(step.dtype)
        coefficients = step.inner_lr * signs
        found = [step.risk(), step.risk(coefficients[INVERSE]), step.risk(coefficients[DIRECT])]
        risks = step.agree(torch.stack(found))
        choice = risks.argmin()  # the first minimum wins
        step.settle(coefficients.take(choice))  # an index that is a tensor would be waited for
        return StepRecord((candidates == choice).to(step.dtype), risks, step.lowest)
