"""The conformance suite over the decisions of the package, and over ones that break it."""

import pytest
import torch

from invlightning.inverse import (
    BatchSign,
    Decision,
    MetaWeightNet,
    PerExampleReweight,
    PerExampleSign,
    StepRecord,
)
from invlightning.testing import DecisionTests


class TestBatchSign(DecisionTests):
    decision = BatchSign


class TestPerExampleSign(DecisionTests):
    decision = PerExampleSign


class TestPerExampleReweight(DecisionTests):
    decision = PerExampleReweight


class TestMetaWeightNet(DecisionTests):
    decision = MetaWeightNet


class AlwaysDirect(Decision):
    """Follows the rows whatever happens."""

    def decide(self, step):
        risk = step.risk()
        step.propose()
        step.settle(torch.full((), -step.inner_lr, dtype=step.dtype, device=step.device))
        shares = (torch.arange(3, device=step.device) == 2).to(step.dtype)
        return StepRecord(shares, torch.stack([risk, risk, risk]))


class NeverMoves(Decision):
    def decide(self, step):
        shares = (torch.arange(3, device=step.device) == 0).to(step.dtype)
        return StepRecord(shares, torch.full_like(shares, torch.nan))


class Reads(BatchSign):
    def decide(self, step):
        assert float(step.risk()) is not None
        return super().decide(step)


class Backward(BatchSign):
    def decide(self, step):
        step.labeled_risk().backward()
        return super().decide(step)


class Decays(BatchSign):
    """Shrinks what no row touched."""

    def decide(self, step):
        record = super().decide(step)
        with torch.no_grad():
            for parameter in step.parameters:
                parameter.mul_(0.9)
        return record


class Alone(BatchSign):
    """Decides without the other processes."""

    def decide(self, step):
        step.agree = lambda values: values
        step.context = type(step.context)(scaler=step.context.scaler)
        return super().decide(step)


class Forgets(MetaWeightNet):
    def state_dict(self):
        return {}


class LearnsTooEarly(MetaWeightNet):
    """Keeps what it learned of a step that then failed."""

    def _learn(self, net, gradient):
        self._net = super()._learn(net, gradient)
        return self._net


class SharesOfTwo(BatchSign):
    def decide(self, step):
        record = super().decide(step)
        return record._replace(shares=2 * record.shares)


class Shuffles(BatchSign):
    """Depends on the global generator."""

    def decide(self, step):
        step.inner_lr *= float(torch.rand(())) + 0.1
        return super().decide(step)


class HidesItsArguments(BatchSign):
    def __init__(self, size=3):
        self.size = size
        self.init_args = {"size": object()}


BROKEN = [
    (AlwaysDirect, "test_nothing_that_overflows_moves"),
    (AlwaysDirect, "test_a_gradient_scaler_leaves_no_trace"),
    (AlwaysDirect, "test_steps_that_are_not_taken_leave_no_trace"),
    (NeverMoves, "test_moves_somewhere"),
    (NeverMoves, "test_processes_with_equal_rows_step_as_one"),
    (Reads, "test_nothing_leaves_the_device"),
    (Backward, "test_gradients_of_parameters_are_left_alone"),
    (Decays, "test_only_what_the_unlabeled_rows_touch_moves"),
    (Decays, "test_steps_that_are_not_taken_leave_no_trace"),
    (Alone, "test_processes_with_equal_rows_step_as_one"),
    (Forgets, "test_state_goes_through_a_checkpoint"),
    (LearnsTooEarly, "test_a_failure_puts_the_parameters_back"),
    (SharesOfTwo, "test_record"),
    (Shuffles, "test_equal_states_give_equal_steps"),
    (HidesItsArguments, "test_spec_leads_back_to_the_class"),
]


@pytest.mark.parametrize(
    ("broken", "test"), BROKEN, ids=[f"{cls.__name__}-{test}" for cls, test in BROKEN]
)
def test_the_suite_notices(broken, test):
    suite = type("Suite", (DecisionTests,), {"decision": broken})()
    with pytest.raises((AssertionError, RuntimeError, TypeError, ValueError)):
        getattr(suite, test)()
