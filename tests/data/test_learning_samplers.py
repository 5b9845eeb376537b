"""Samplers that keep what they learn: SRNS and RNS, against naive oracles."""

import numpy as np
import pytest
import torch

from invlightning.data import Draw, ReinforcedSampler, RobustSampler
from invlightning.data.samplers.robust import DEPTH, repeated
from invlightning.types import LabeledBatch
from tests.helpers.hard_distributions import (
    FREE,
    ITEMS,
    KNOWN,
    ROWS,
    SCORES,
    assert_distribution,
    batch_of,
    fit,
    generator,
    score,
)
from tests.helpers.known import facts_of, pairs_of
from tests.reference import hard_samplers as oracle


def many_users(num_users, known_items):
    """A batch of one row for each of many users, who all know the same items."""
    known = np.zeros((num_users, ITEMS), dtype=bool)
    known[:, known_items] = True
    users = torch.arange(num_users)
    batch = LabeledBatch(users, torch.full_like(users, known_items[0]), torch.ones(num_users))
    return pairs_of(known), batch


def user_score(users, items):
    """All users score like user 0."""
    return (
        torch.from_numpy(SCORES[0])
        .float()[items]
        .expand(torch.broadcast_shapes(users.shape, items.shape))
    )


def test_robust_starts_with_the_hardest_of_random_memories():
    known, batch = many_users(ROWS, [1, 4])
    sampler = RobustSampler(memory_size=3, num_fresh=4)
    sampler.start_fit(facts_of(known))
    items = sampler.draw(batch, Draw(1, generator(), user_score, 0))
    expected = oracle.pool_distribution(FREE[0], ITEMS, 3, oracle.highest(SCORES[0], 1))
    assert_distribution(items, expected)


@pytest.mark.parametrize("temperature", [0.5, 10.0])
def test_robust_memories_are_renewed_without_replacement(temperature):
    known, batch = many_users(ROWS, [1, 4])
    sampler = RobustSampler(memory_size=2, num_fresh=3, temperature=temperature)
    sampler.start_fit(facts_of(known))
    sampler.memory.copy_(torch.tensor([5, 2]))
    sampler.draw(batch, Draw(1, generator(), user_score, 0))
    expected = oracle.renewed_memories((2, 5), FREE[0], SCORES[0], 3, temperature)
    table = np.zeros((ITEMS, ITEMS))
    for memory, probability in expected.items():
        table[memory] = probability
    memories = sampler.memory.sort(dim=1).values
    assert_distribution(memories[:, 0] * ITEMS + memories[:, 1], table.flatten())


def test_robust_history_follows_the_items():
    """Over nine epochs and two batches each, the choice and the histories are those of a log."""
    num_users, size, alpha, warmup = 12, 4, 5.0, 6
    known, batch = many_users(num_users, [1, 4])
    batch = LabeledBatch(*(column.repeat(2) for column in batch[:3]))
    sampler = RobustSampler(size, 3, alpha, warmup, temperature=1.0)
    sampler.start_fit(facts_of(known))
    past = {}
    for step in range(18):
        epoch = step // 2
        values = np.random.default_rng(step).normal(size=(num_users, ITEMS)).astype(np.float32)
        before = sampler.memory.tolist()
        scores = lambda u, i, v=values: torch.from_numpy(v)[u, i]  # noqa: E731
        items = sampler.draw(batch, Draw(1, generator(step), scores, epoch))
        assert torch.equal(items[:num_users], items[num_users:])
        for user in range(num_users) if step else ():
            for item in before[user]:
                past[user, item] = past[user, item][: DEPTH if step % 2 else DEPTH - 1]
                past[user, item][: step % 2] = []
                past[user, item].insert(0, float(values[user, item]))
            expected = oracle.robust_choice(
                before[user],
                [past[user, item] for item in before[user]],
                values[user],
                float(values[user, 1]),
                alpha,
                epoch,
                warmup,
            )
            assert int(items[user]) == expected
        kept = {}
        for user, memory in enumerate(sampler.memory.tolist()):
            for place, item in enumerate(memory):
                entered = [float(values[user, item])] * DEPTH
                stayed = step > 0 and item in before[user]
                kept[user, item] = past[user, item] if stayed else entered
                slots = sampler.history[user, place].tolist()
                newest_first = [slots[(epoch - back) % DEPTH] for back in range(DEPTH)]
                assert newest_first == pytest.approx(kept[user, item])
        past = kept


def test_robust_memory_holds_an_item_once():
    """Where there are others, copies of the highest scored do not fill the memory."""
    known, batch = many_users(500, [1, 4])
    sampler = RobustSampler(memory_size=3, num_fresh=5, temperature=0.01)
    sampler.start_fit(facts_of(known))
    for step in range(5):
        sampler.draw(batch, Draw(1, generator(step), user_score, 0))
    ordered = sampler.memory.sort(dim=1).values
    assert (ordered.diff(dim=1) > 0).all()
    copies = repeated(torch.tensor([[3, 1, 3, 1, 2, 3], [0, 0, 1, 2, 3, 4]]))
    assert copies.tolist() == [
        [False, False, True, True, False, True],
        [False, True, False, False, False, False],
    ]


NEGATIVE = np.zeros_like(KNOWN)
NEGATIVE[0, [1, 4]] = True


def make_reinforced(**arguments):
    return fit(ReinforcedSampler(num_candidates=3, embedding_dim=4, **arguments), NEGATIVE)


@pytest.mark.parametrize("temperature", [0.02, 1.0])
def test_reinforced_draws_from_the_policy(temperature):
    """User 0 has two true negatives, user 1 none."""
    sampler = make_reinforced(lr=0.0, temperature=temperature)
    logits = (sampler.user_factors @ sampler.item_factors.T).numpy()
    for user in (0, 1):
        items = sampler.draw(batch_of(user), Draw(2, generator(user), score, 0))
        negatives = np.flatnonzero(NEGATIVE[user]).tolist()
        expected = oracle.policy_distribution(
            FREE[user], negatives, ITEMS, 3, logits[user], temperature
        )
        assert_distribution(items[:, 0], expected)
        assert_distribution(items[:, 1], expected)


def test_reinforced_learns_by_the_policy_gradient():
    """The first step of Adagrad is the gradient of each row over its root mean square."""
    sampler = make_reinforced(lr=0.1, temperature=0.7).double()
    users, candidates = torch.tensor([0, 1, 1]), torch.tensor([[0, 2, 1], [3, 3, 0], [5, 0, 6]])
    columns = torch.tensor([[0, 2], [1, 1], [2, 0]])
    advantages = torch.tensor([[0.4, -1.0], [0.3, 0.2], [-0.5, 0.1]], dtype=torch.float64)
    tables = sampler.user_factors.clone().numpy(), sampler.item_factors.clone().numpy()
    policy = sampler.policy(users, candidates)
    sampler.learn(users, candidates, policy, columns, advantages)
    rest = (users, candidates, columns, advantages.numpy(), 0.7)
    gradients = (
        oracle.numerical_gradient(lambda t: oracle.policy_loss(t, tables[1], *rest), tables[0]),
        oracle.numerical_gradient(lambda t: oracle.policy_loss(tables[0], t, *rest), tables[1]),
    )
    learned = (sampler.user_factors, sampler.item_factors)
    squares = (sampler.user_squares, sampler.item_squares)
    for new, square, old, gradient in zip(learned, squares, tables, gradients, strict=True):
        np.testing.assert_allclose(square.numpy(), (gradient**2).mean(1), atol=1e-8)
        root = np.sqrt((gradient**2).mean(1, keepdims=True))
        step = np.divide(gradient, root, out=np.zeros_like(gradient), where=root > 1e-9)
        np.testing.assert_allclose(new.numpy(), old - 0.1 * step, atol=1e-6)


def test_reinforced_learns_nothing_where_all_draws_earn_the_same():
    sampler = make_reinforced(lr=0.1, exposure_weight=0.0)
    before = sampler.state_dict()["user_factors"].clone()
    zero = lambda users, items: torch.zeros_like(items)  # noqa: E731
    sampler.draw(batch_of(0), Draw(2, generator(), zero, 0))
    assert torch.equal(sampler.user_factors, before)
    sampler.draw(batch_of(0), Draw(2, generator(), score, 0))
    assert not torch.equal(sampler.user_factors, before)


def learned_logits(exposure_weight):
    """What the generator thinks of each item for user 0 after a while."""
    sampler = make_reinforced(lr=0.1, exposure_weight=exposure_weight)
    for step in range(150):
        sampler.draw(batch_of(0, rows=200), Draw(1, generator(step), steep_score, 0))
    return (sampler.user_factors[0] @ sampler.item_factors.T).numpy()


def steep_score(users, items):
    return 5 * score(users, items)


def test_reinforced_learns_what_pays():
    """True negatives where exposure pays, else the highest scored items."""
    logits = learned_logits(exposure_weight=10.0)
    assert logits[[1, 4]].min() > logits[FREE[0]].max() + 1
    assert np.corrcoef(learned_logits(exposure_weight=0.0), np.tanh(SCORES[0]))[0, 1] > 0.8
