"""The conformance suites of losses notice those that break them."""

import pytest
import torch

from invlightning.losses import (
    BinaryCrossEntropy,
    InverseDualLoss,
    NaiveNegativeLoss,
    SampledSoftmaxLoss,
)
from invlightning.testing import JointLossTests, LabeledLossTests, UnlabeledLossTests


class RemembersTheFirstStart(InverseDualLoss):
    def __init__(self):
        super().__init__(prior="labeled")

    def start_fit(self, facts):
        if self.labeled_prior.isnan():
            super().start_fit(facts)


class AddsUpStarts(SampledSoftmaxLoss):
    """Counts the items of all data it ever saw."""

    def __init__(self):
        super().__init__(beta=1.0)
        self.seen = torch.empty(0, dtype=torch.int64)

    def start_fit(self, facts):
        self.seen = torch.cat([self.seen, facts.items])
        super().start_fit(facts._replace(items=self.seen))


class EditsTheFacts(BinaryCrossEntropy):
    def start_fit(self, facts):
        facts.labels.mul_(2).sub_(1)


class SortsTheFacts(SampledSoftmaxLoss):
    def start_fit(self, facts):
        super().start_fit(facts)
        facts.items.copy_(facts.items.sort().values)


class NeverGoesBack(InverseDualLoss):
    """Once it counts, it counts for ever."""

    def __init__(self):
        super().__init__(start_epoch=2)

    def set_epoch(self, epoch):
        self.last = max(epoch, getattr(self, "last", 0))
        super().set_epoch(self.last)


class CountsCalls(NaiveNegativeLoss):
    """Takes the number of calls for the epoch."""

    calls = 0

    def set_epoch(self, epoch):
        self.calls += 1

    def forward(self, logits):
        return super().forward(logits) / self.calls


class WeighsByOrder(BinaryCrossEntropy):
    def forward(self, logits, labels):
        weights = torch.arange(len(logits), device=logits.device)
        return super().forward(logits * weights, labels)


BROKEN = [
    (UnlabeledLossTests, RemembersTheFirstStart, "test_a_second_start_replaces_the_first"),
    (JointLossTests, AddsUpStarts, "test_a_second_start_replaces_the_first"),
    (LabeledLossTests, EditsTheFacts, "test_the_facts_stay_as_they_are"),
    (JointLossTests, SortsTheFacts, "test_the_facts_stay_as_they_are"),
    (UnlabeledLossTests, NeverGoesBack, "test_training_may_start_again"),
    (UnlabeledLossTests, CountsCalls, "test_training_may_start_again"),
    (LabeledLossTests, WeighsByOrder, "test_row_order_does_not_matter"),
]


@pytest.mark.parametrize(
    ("suite", "broken", "test"), BROKEN, ids=[f"{b.__name__}-{test}" for _, b, test in BROKEN]
)
def test_the_suite_notices(suite, broken, test):
    tests = type("Suite", (suite,), {"loss": broken})()
    with pytest.raises(AssertionError):
        getattr(tests, test)()
