"""Exposed rows beside labeled ones, and epochs over exposed rows."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import invlightning as il
from invlightning.data.loader import ExposedEpochLoader, TrainLoader
from invlightning.types import ExposedRows, LabeledRows
from tests.helpers.exposed import make_data

SIZES = st.tuples(st.integers(6, 40), st.integers(8, 60), st.integers(1, 7), st.integers(1, 3))


def make_loader(kind, sizes, rank=0, world_size=1, factor=1, **options):
    """A loader whose rows are their own numbers; every third row is a meta row."""
    labeled, exposed, batch_size, num_exposed = sizes
    users = torch.arange(labeled)
    rows = LabeledRows(users, users, (users % 2).float())
    others = ExposedRows(torch.arange(exposed), torch.arange(exposed))
    where = {"rank": rank, "world_size": world_size, **options}
    size = batch_size * factor
    if kind == "exposed":
        return ExposedEpochLoader(rows, others, size, num_exposed, 3, **where)
    meta = users % 3 == 0
    return TrainLoader(rows, meta, size, 3, **where, exposed=others, num_exposed=num_exposed)


def listed(batch):
    return [batch.users.tolist(), batch.exposed_users.tolist(), batch.seed, batch.is_meta]


def run(loader, epochs=3):
    batches = []
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        batches += [listed(batch) for batch in loader]
    return batches


@pytest.mark.parametrize("kind", ["labeled", "exposed"])
@settings(deadline=None, max_examples=40)
@given(sizes=SIZES)
def test_every_exposed_row_comes_once_a_pass(kind, sizes):
    """Whatever an epoch is; seen to fail when every epoch began a pass anew."""
    loader = make_loader(kind, sizes)
    epochs = 1 + 2 * sizes[1]
    found = list(itertools.chain(*(batch[1] for batch in run(loader, epochs))))
    passes = len(found) // sizes[1]
    assert passes > 0
    for turn in range(passes):
        assert sorted(found[turn * sizes[1] : (turn + 1) * sizes[1]]) == list(range(sizes[1]))
    if passes > 1 and sizes[1] > 8:
        assert found[: sizes[1]] != found[sizes[1] : 2 * sizes[1]]


@settings(deadline=None, max_examples=40)
@given(sizes=SIZES)
def test_an_epoch_over_exposed_rows_repeats_the_labeled_ones(sizes):
    labeled, exposed, batch_size, num_exposed = sizes
    loader = make_loader("exposed", sizes)
    assert len(loader) == -(-exposed // (batch_size * num_exposed))
    found = list(itertools.chain(*(batch[0] for batch in run(loader, 2 * labeled))))
    for turn in range(len(found) // labeled):
        assert sorted(found[turn * labeled : (turn + 1) * labeled]) == list(range(labeled))


@pytest.mark.parametrize("kind", ["labeled", "exposed"])
@settings(deadline=None, max_examples=40)
@given(sizes=SIZES, position=st.integers(0, 100))
def test_goes_on_after_any_batch(kind, sizes, position):
    """Seen to fail when the number of the pass was not part of where a batch is."""
    whole = run(make_loader(kind, sizes))
    stopped = make_loader(kind, sizes)
    position %= len(whole)
    epoch, index = divmod(position, len(stopped))
    stopped.set_epoch(epoch)
    list(itertools.islice(stopped, index))
    resumed = make_loader(kind, sizes)
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(epoch)
    rest = [listed(batch) for batch in resumed]
    assert rest == whole[position : (epoch + 1) * len(stopped)]


@pytest.mark.parametrize("kind", ["labeled", "exposed"])
@settings(deadline=None, max_examples=40)
@given(sizes=SIZES)
def test_processes_share_what_one_would_see(kind, sizes):
    """In a pass; of its ragged end up to one row, which two cannot share, is left out."""
    one = make_loader(kind, sizes, factor=2)
    both = [make_loader(kind, sizes, rank, 2) for rank in (0, 1)]
    full = 2 * sizes[2] * sizes[3]
    batches = list(zip(run(one), *map(run, both), strict=False))[: sizes[1] // full]
    for alone, first, second in batches:
        assert first[1] + second[1] == alone[1]
        assert first[2] != second[2]


def test_rows_without_a_batch_are_refused():
    with pytest.raises(ValueError, match="1 exposed rows give no batch on 2 processes"):
        make_loader("labeled", (20, 1, 4, 1), 0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_exposed": -1}, "num_exposed must be at least 0, got -1"),
        ({"epoch": "all"}, "epoch must be 'labeled' or 'exposed', got 'all'"),
        ({"hidden": "gone"}, "hidden must be 'exposed' or 'unseen', got 'gone'"),
    ],
)
def test_bad_arguments_of_exposed_loading_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_data(**arguments)


def test_an_epoch_over_no_exposed_rows_is_refused():
    data = il.ArrayDataModule([1, 1, 2, 2, 3], [1, 2, 1, 3, 2], epoch="exposed")
    data.setup()
    with pytest.raises(ValueError, match="epoch='exposed' passes over exposed rows, but there are"):
        data.train_dataloader()


def held_out_exposed(data):
    rows = data.rows
    chosen = (rows.parts > 0) & ~data.interactions.is_labeled
    return set(zip(data.interactions.users[chosen], data.interactions.items[chosen], strict=True))


def test_exposed_rows_of_held_out_parts_are_never_trained_on():
    """Neither in facts nor in batches; seen to fail when every row without a label was taken."""
    data = make_data(epoch="exposed")
    data.setup()
    held_out = held_out_exposed(data)
    assert len(held_out) > 20
    facts = data.training_facts()
    seen = set(zip(facts.exposed_users.tolist(), facts.exposed_items.tolist(), strict=True))
    for batch in data.train_dataloader():
        pairs = zip(batch.exposed_users.tolist(), batch.exposed_items.tolist(), strict=True)
        assert set(pairs) <= seen
    assert not seen & held_out


@pytest.mark.parametrize("draw", [False, True])
def test_exposed_pairs_are_known_unless_asked_for(draw):
    data = make_data(draw_exposed=draw, num_unlabeled=20)
    data.setup()
    facts = data.training_facts()
    exposed = set(zip(facts.exposed_users.tolist(), facts.exposed_items.tolist(), strict=True))
    found = False
    for batch in data.train_dataloader():
        for user, items in zip(batch.users.tolist(), data.draw_unlabeled(batch), strict=True):
            found |= any((user, item) in exposed for item in items.tolist())
    assert found == draw


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize("counts", [False, True])
def test_exposed_training_rows_count_as_seen_unless_told_otherwise(counts, part):
    """Seen to fail with the argument ignored, in either part."""
    data = make_data(exposed_seen=counts)
    data.setup()
    rows = data.rows
    _, ranking = getattr(data, f"{part}_dataloader")()
    left_out = {
        (int(batch.users[row]), int(item))
        for batch in ranking
        for row, item in zip(batch.seen_rows, batch.seen_items, strict=True)
    }
    chosen = rows.exposed_rows
    users, items = data.interactions.users[chosen], data.interactions.items[chosen]
    asked = {int(user) for batch in ranking for user in batch.users}
    exposed = {(u, i) for u, i in zip(users.tolist(), items.tolist(), strict=True) if u in asked}
    assert exposed
    assert exposed <= left_out if counts else not exposed & left_out


def test_hidden_labels_are_looked_up_by_pair():
    data = make_data(labeled_fraction=0.3)
    data.setup()
    whole = make_data()
    whole.setup()
    users, items = data.interactions.users.astype(int), data.interactions.items.astype(int)
    known, labels = data.rows.hidden.of(torch.from_numpy(users), torch.from_numpy(items))
    hidden = whole.interactions.is_labeled & ~data.interactions.is_labeled
    assert (known.numpy() == hidden).all()
    assert (labels.numpy()[hidden] == whole.interactions.labels[hidden]).all()
    assert set(data.rows.exposed_rows) >= set(np.flatnonzero(hidden))


def test_hidden_rows_may_be_unseen():
    """As if nobody had met them: neither exposed nor known, so that they may be drawn."""
    exposed, unseen = (make_data(labeled_fraction=0.3, hidden=h) for h in ("exposed", "unseen"))
    exposed.setup()
    unseen.setup()
    assert (exposed.rows.train_rows == unseen.rows.train_rows).all()
    assert len(exposed.rows.exposed_rows) > len(unseen.rows.exposed_rows) > 0
    assert not unseen.interactions.is_labeled[exposed.rows.exposed_rows].any()


def test_splits_keep_the_shares_of_both_kinds():
    """Seen to fail with all rows divided at once."""
    for split in (il.data.RandomSplit(0.2, 0.1), il.data.UserRandomSplit(0.2, 0.1)):
        data = make_data(split=split)
        data.setup()
        for kind in (data.interactions.is_labeled, ~data.interactions.is_labeled):
            shares = np.bincount(data.rows.parts[kind], minlength=3) / kind.sum()
            assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
            if type(split) is il.data.RandomSplit:
                exact = [round(0.2 * kind.sum()), round(0.1 * kind.sum())]
                assert np.bincount(data.rows.parts[kind])[1:].tolist() == exact


def test_leave_last_out_holds_out_labels_and_exposed_rows_follow_in_time():
    users = [0] * 8 + [1] * 4
    items = [*range(8), *range(4)]
    stars = [1, 0, None, 1, None, 0, None, 1, 1, None, 0, None]
    times = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]
    split = il.data.LeaveLastOut()
    data = il.ArrayDataModule(users, items, stars, times, split=split)
    data.setup()
    # User 0: labels at 1, 2, 4, 6, 8; the last two are held out, and exposed rows follow them.
    assert data.rows.parts.tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0]


def test_validation_without_labels_works():
    """The labeled view of a part without labels is empty, and the run says so by its counts."""
    users, items = np.divmod(np.arange(60), 10)
    stars = np.where(np.arange(60) < 40, np.arange(60) % 2, np.nan)
    split = il.data.TemporalSplit(0.1, 0.1)
    data = il.ArrayDataModule(users, items, stars, np.arange(60), split=split)
    data.setup()
    assert data.val_dataloader() == []
    assert "0 validation and 0 test rows" in data.summary()
