"""The conformance suite of samplers notices those that break it, by whichever way they draw."""

import pytest
import torch

from invlightning.data import DynamicSampler, UniformSampler
from invlightning.testing import SamplerTests


class DrawsAnything(UniformSampler):
    def draw(self, batch, draw):
        self.check_request(draw.num_unlabeled)
        shape = (len(batch.users), draw.num_unlabeled)
        return torch.randint(self.num_items, shape, generator=draw.generator)


class DrawsByTheGlobalGenerator(UniformSampler):
    def draw(self, batch, draw):
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        return self.sample(batch.users, draw.num_unlabeled, generator)


class DrawsTwice(UniformSampler):
    """Shifts its draws at every call, by a count that no checkpoint holds."""

    calls = 0

    def draw(self, batch, draw):
        self.calls += 1
        return self.sample(batch.users, draw.num_unlabeled, draw.generator).roll(self.calls, 1)


class DrawsWithoutChecks(DynamicSampler):
    def __init__(self):
        super().__init__(num_candidates=20)

    def draw(self, batch, draw):
        return self.draw_hard(batch, draw._replace(num_unlabeled=max(draw.num_unlabeled, 1)))


class DrawsForNobody(UniformSampler):
    """Gives a user who knows every item some item."""

    def draw(self, batch, draw):
        return super().draw(batch, draw).clamp(min=0)


class EditsTheBatch(UniformSampler):
    def draw(self, batch, draw):
        batch.labels.zero_()
        return super().draw(batch, draw)


class RemembersTheFirstFit(UniformSampler):
    def prepare(self, known, facts):
        if not self.num_items:
            super().prepare(known, facts)


class LooksAtLabelsAlone(UniformSampler):
    def start_fit(self, facts):
        super().start_fit(facts._replace(exposed_users=None, exposed_items=None))


class EditsTheFacts(UniformSampler):
    def start_fit(self, facts):
        super().start_fit(facts)
        facts.labels.zero_()


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (DrawsAnything, "test_draws_unlabeled_items_of_the_right_shape"),
        (DrawsByTheGlobalGenerator, "test_draws_depend_on_the_generator_alone"),
        (DrawsTwice, "test_draws_depend_on_the_generator_alone"),
        (DrawsTwice, "test_what_was_learned_goes_through_a_checkpoint"),
        (DrawsWithoutChecks, "test_refuses_what_it_cannot_draw"),
        (DrawsForNobody, "test_user_who_knows_every_item_draws_none"),
        (EditsTheBatch, "test_drawing_leaves_the_batch_alone"),
        (RemembersTheFirstFit, "test_second_fit_replaces_the_first"),
        (LooksAtLabelsAlone, "test_exposed_pairs_are_known"),
        (EditsTheFacts, "test_the_facts_stay_as_they_are"),
    ],
)
def test_the_suite_notices(broken, test):
    suite = type("Suite", (SamplerTests,), {"sampler": broken})()
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(suite, test)()
