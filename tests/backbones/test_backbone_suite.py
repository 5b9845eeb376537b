"""The conformance suite of backbones notices those that break it."""

import pytest
import torch

from invlightning.backbones import GMF, Backbone, LightGCN
from invlightning.testing import BackboneTests


class SwapsTheSizes(GMF):
    def __init__(self, num_users, num_items):
        super().__init__(num_users, num_items)
        self.num_users, self.num_items = num_items, num_users


class KeepsTheFirstPairs(LightGCN):
    """Does not notice that training starts again."""

    def start_fit(self, facts):
        if len(self.pairs.user_items) == 0:
            super().start_fit(facts)


class EditsTheFacts(LightGCN):
    def start_fit(self, facts):
        super().start_fit(facts)
        facts.items.copy_(facts.items.sort().values)


class KeepsFactsToItself(GMF):
    """What it took of the data is in no checkpoint."""

    popularity = None

    def start_fit(self, facts):
        self.popularity = torch.bincount(facts.items, minlength=facts.num_items).double()

    def forward(self, users, items):
        logits = super().forward(users, items)
        return logits if self.popularity is None else logits + self.popularity[items]


class AllocatesInVain(GMF):
    def __init__(self, num_users, num_items):
        super().__init__(num_users, num_items)
        self.unused = torch.nn.Parameter(torch.zeros(3))


BROKEN = [
    (SwapsTheSizes, "test_one_logit_a_pair"),
    (KeepsTheFirstPairs, "test_a_second_start_replaces_the_first"),
    (EditsTheFacts, "test_the_facts_stay_as_they_are"),
    (KeepsFactsToItself, "test_state_holds_what_was_learned_of_the_data"),
    (AllocatesInVain, "test_gradients_reach_every_parameter"),
]


@pytest.mark.parametrize(
    ("broken", "test"), BROKEN, ids=[f"{b.__name__}-{test}" for b, test in BROKEN]
)
def test_the_suite_notices(broken, test):
    suite = type("Suite", (BackboneTests,), {"backbone": broken})()
    with pytest.raises(AssertionError):
        getattr(suite, test)()


class CallsNoConstructor(Backbone):
    def __init__(self, num_users, num_items):
        self.table = torch.nn.Embedding(num_users, 2)

    def forward(self, users, items):
        return users + items


def test_a_constructor_that_calls_no_other_is_told_so():
    """By torch itself, at the first layer."""
    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        CallsNoConstructor(3, 4)
