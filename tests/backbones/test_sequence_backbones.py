"""GRU4Rec and SASRec: formulas, and that no item is predicted from itself or from later ones."""

from functools import partial

import pytest
import torch

from invlightning.backbones import GRU4Rec, SASRec, TrainingFacts
from invlightning.backbones.layers.histories import Histories
from invlightning.evaluation_mode import evaluation_mode
from invlightning.testing import BackboneTests
from tests.helpers.facts import ITEMS, USERS, all_pairs, awake, make_facts, rows_of, state_of
from tests.reference import sequence_backbones as oracle

LENGTH = 4
GRU = partial(GRU4Rec, embedding_dim=4, hidden_dim=6, max_len=LENGTH)
ATTENTION = partial(SASRec, embedding_dim=4, num_blocks=2, num_heads=2, max_len=LENGTH)
BUILDS = [GRU, ATTENTION]


class TestGRU4Rec(BackboneTests):
    backbone = GRU


class TestSASRec(BackboneTests):
    backbone = ATTENTION


class TestDefaultGRU4Rec(BackboneTests):
    backbone = GRU4Rec


class TestDefaultSASRec(BackboneTests):
    backbone = SASRec


def vector(build, state, items):
    return oracle.gru4rec(state, items) if build is GRU else oracle.sasrec(state, items, 2, 2)


# -------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize("build", BUILDS)
def test_evaluation_reads_the_whole_history(build):
    facts = make_facts(rows=50)
    backbone = awake(build(USERS, ITEMS), facts).eval()
    state, rows = state_of(backbone), rows_of(facts)
    histories = [oracle.history(rows, user, max_len=LENGTH) for user in range(USERS)]
    assert {len(items) for items in histories} >= {0, LENGTH}
    vectors = [torch.from_numpy(vector(build, state, items)) for items in histories]
    expected = torch.stack(vectors) @ torch.from_numpy(state["items.weight"]).T
    assert torch.allclose(backbone(*all_pairs()), expected, atol=1e-12)
    assert torch.allclose(backbone.score_all(torch.arange(USERS)), expected, atol=1e-12)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("paused", [False, True])
def test_training_rows_read_what_came_before_them(build, paused):
    """In training and while it is paused: each row is scored from the prefix before it."""
    facts = make_facts(rows=50)
    backbone = awake(build(USERS, ITEMS, dropout=0.0), facts)
    state, rows = state_of(backbone), rows_of(facts)
    expected = []
    for n, (_, user, item, _) in enumerate(row[:4] for row in rows):
        items = oracle.history(rows, user, before=n, max_len=LENGTH)
        expected.append(vector(build, state, items) @ state["items.weight"][item])
    if paused:
        with evaluation_mode(backbone):
            logits = backbone(facts.users, facts.items)
    else:
        logits = backbone(facts.users, facts.items)
    assert torch.allclose(logits, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


# ----------------------------------------------------------------------------------- leaks


@pytest.mark.parametrize("build", BUILDS)
def test_the_future_does_not_matter(build):
    """Other items at later times, and other labels from a row's own time on, change nothing."""
    facts = make_facts(rows=50)
    facts = facts._replace(timestamps=torch.randperm(50))
    backbone = awake(build(USERS, ITEMS, dropout=0.0), facts)
    before = backbone(facts.users, facts.items)
    changed = 0
    for n in range(50):
        from_now = facts.timestamps >= facts.timestamps[n]
        labels = torch.where(from_now, 1 - facts.labels, facts.labels)
        backbone.start_fit(facts._replace(labels=labels))
        logits = backbone(facts.users, facts.items)
        assert torch.equal(logits[n], before[n])
        changed += int(not torch.equal(logits, before))
    assert changed > 30  # it is not that nothing ever matters


@pytest.mark.parametrize("build", BUILDS)
def test_the_past_matters(build):
    """Except for the first positive, the label of the row before counts."""
    users, items = torch.zeros(3, dtype=torch.int64), torch.arange(3)
    facts = TrainingFacts(users, items, torch.ones(3), USERS, ITEMS, torch.arange(3))
    backbone = awake(build(USERS, ITEMS, dropout=0.0), facts)
    before = backbone(users, items)
    backbone.start_fit(facts._replace(labels=torch.tensor([0.0, 1, 1])))
    after = backbone(users, items)
    assert (after != before).tolist() == [False, True, True]


def test_the_length_of_a_history_does_not_tell_the_label():
    """Unlabeled pairs of a user are spread over the moments of the user's rows."""
    facts = make_facts(rows=60, num_items=2000)
    histories = Histories(USERS, 2000, LENGTH)
    histories.start(facts, "this")
    for user in range(USERS - 1):
        mine = facts.users == user
        own = histories.moment(facts.users[mine], facts.items[mine])
        others = histories.moment(torch.full((2000,), user), torch.arange(2000))
        expected = torch.bincount(own, minlength=20) / len(own) * 2000
        found = torch.bincount(others, minlength=20).double()
        chosen = expected > 0
        chi = ((found - expected).square() / expected)[chosen].sum()
        assert chi < 30  # at most 13 degrees of freedom: p = 0.005
        assert not found[~chosen].any()
    assert not histories.moment(torch.full((5,), USERS - 1), torch.arange(5)).any()


@pytest.mark.parametrize("build", BUILDS)
def test_modes(build):
    """In evaluation pairs are scored now, in training as of a moment; ranking is always now."""
    backbone = awake(build(USERS, ITEMS, dropout=0.0), make_facts(rows=50))
    users = torch.arange(USERS)
    training, ranking = backbone(*all_pairs()), backbone.score_all(users)
    with evaluation_mode(backbone):
        assert torch.allclose(backbone(*all_pairs()), training, atol=1e-12)
        assert torch.allclose(backbone.score_all(users), ranking, atol=1e-12)
    backbone.eval()
    assert torch.allclose(backbone(*all_pairs()), ranking, atol=1e-12)
    with evaluation_mode(backbone):
        assert torch.allclose(backbone(*all_pairs()), ranking, atol=1e-12)
    assert not torch.allclose(training, ranking)
    for module in backbone.modules():  # as Lightning goes back to training
        module.training = True
    assert torch.allclose(backbone(*all_pairs()), training, atol=1e-12)


# ------------------------------------------------------------------------------- histories


def test_windows_of_histories():
    facts = make_facts(rows=60)
    histories, rows = Histories(USERS, ITEMS, LENGTH), rows_of(facts)
    histories.start(facts, "this")
    users = torch.arange(USERS)
    items, lengths = histories.until(users, histories.now(users))
    for user in range(USERS):
        expected = oracle.history(rows, user, max_len=LENGTH)
        assert items[user].tolist() == expected + [0] * (LENGTH - len(expected))
        assert lengths[user] == len(expected)
    moments = histories.moment(facts.users, facts.items)
    items, lengths = histories.until(facts.users, moments)
    for n, (_, user, _, _) in enumerate(row[:4] for row in rows):
        assert moments[n] == len(oracle.history(rows, user, before=n))
        expected = oracle.history(rows, user, before=n, max_len=LENGTH)
        assert items[n, : lengths[n]].tolist() == expected


def test_histories_are_no_longer_than_needed():
    histories = Histories(USERS, ITEMS, 50)
    facts = make_facts()
    histories.start(facts, "this")
    users = torch.arange(USERS)
    longest = torch.bincount(facts.positives()[0]).max()
    assert histories.until(users, histories.now(users))[0].shape == (USERS, longest)


@pytest.mark.parametrize("build", BUILDS)
def test_empty_batches(build):
    backbone = awake(build(USERS, ITEMS), make_facts())
    nobody = torch.empty(0, dtype=torch.int64)
    for mode in (True, False):
        backbone.train(mode)
        assert backbone(nobody, nobody).shape == (0,)
        assert backbone.score_all(nobody).shape == (0, ITEMS)


# ----------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("build", BUILDS)
def test_what_the_data_lacks(build):
    backbone = build(USERS, ITEMS)
    with pytest.raises(
        RuntimeError, match=f"{build.func.__name__} does not know the training rows"
    ):
        backbone(*all_pairs())
    with pytest.raises(ValueError, match="the data has no timestamps: name the timestamp column"):
        backbone.start_fit(make_facts()._replace(timestamps=None))


def test_bad_arguments_of_sequence_backbones_are_refused():
    for build in BUILDS:
        with pytest.raises(ValueError, match="max_len is 0"):
            build(USERS, ITEMS, max_len=0)
        with pytest.raises(ValueError, match=r"dropout is 1\.0"):
            build(USERS, ITEMS, dropout=1.0)
    with pytest.raises(ValueError, match="hidden_dim is 0"):
        GRU4Rec(USERS, ITEMS, hidden_dim=0)
    with pytest.raises(ValueError, match="num_heads a divisor of embedding_dim 4"):
        SASRec(USERS, ITEMS, embedding_dim=4, num_heads=3)


@pytest.mark.parametrize("build", BUILDS)
def test_dropout_acts_in_training_only(build):
    backbone = awake(build(USERS, ITEMS, dropout=0.5), make_facts())
    assert not torch.equal(backbone(*all_pairs()), backbone(*all_pairs()))
    backbone.eval()
    plain = awake(build(USERS, ITEMS, dropout=0.0), make_facts()).eval()
    assert torch.equal(backbone(*all_pairs()), plain(*all_pairs()))
