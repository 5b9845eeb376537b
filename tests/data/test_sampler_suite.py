"""The conformance suite of samplers notices those that break it, by whichever way they draw."""

import pytest
import torch

from invlightning.data import DynamicSampler, UniformSampler
from invlightning.testing import SamplerTests


class DrawsAnything(UniformSampler):
    def draw(self, batch, num_unlabeled, generator, score, epoch):
        self.check_request(num_unlabeled)
        shape = (len(batch.users), num_unlabeled)
        return torch.randint(self.num_items, shape, generator=generator)


class DrawsByTheGlobalGenerator(UniformSampler):
    def draw(self, batch, num_unlabeled, generator, score, epoch):
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        return self.sample(batch.users, num_unlabeled, generator)


class DrawsTwice(UniformSampler):
    """Shifts its draws at every call, by a count that no checkpoint holds."""

    calls = 0

    def draw(self, batch, num_unlabeled, generator, score, epoch):
        self.calls += 1
        return self.sample(batch.users, num_unlabeled, generator).roll(self.calls, 1)


class DrawsWithoutChecks(DynamicSampler):
    def __init__(self):
        super().__init__(num_candidates=20)

    def draw(self, batch, num_unlabeled, generator, score, epoch):
        return self.draw_hard(batch, max(num_unlabeled, 1), generator, score, epoch)


class DrawsForNobody(UniformSampler):
    """Gives a user who knows every item some item."""

    def draw(self, batch, num_unlabeled, generator, score, epoch):
        return super().draw(batch, num_unlabeled, generator, score, epoch).clamp(min=0)


class EditsTheBatch(UniformSampler):
    def draw(self, batch, num_unlabeled, generator, score, epoch):
        batch.labels.zero_()
        return super().draw(batch, num_unlabeled, generator, score, epoch)


class RemembersTheFirstFit(UniformSampler):
    def fit(self, known):
        if not self.num_items:
            super().fit(known)


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
    ],
)
def test_the_suite_notices(broken, test):
    suite = type("Suite", (SamplerTests,), {"make_sampler": lambda self: broken()})()
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(suite, test)()
