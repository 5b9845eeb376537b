import itertools

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import ModelCheckpoint

from invlightning.data.evaluation_loaders import EvalLoader
from invlightning.data.loader import TrainLoader
from invlightning.data.seeding import batch_seed
from invlightning.types import LabeledRows
from tests.helpers.trainers import make_trainer


def columns(num_rows):
    """Rows are told apart by their item; users repeat."""
    items = torch.arange(num_rows, dtype=torch.int32)
    return LabeledRows(items * 7 % 5, items, (items % 3 == 0).float())


def make_loader(num_rows=23, num_meta=7, batch_size=4, seed=5, **options):
    is_meta = torch.arange(num_rows) % max(num_rows, 1) < num_meta
    return TrainLoader(columns(num_rows), is_meta, batch_size, seed, **options)


def listed(batches):
    return [(batch.is_meta, batch.seed, batch.items.tolist()) for batch in batches]


def items_of(batches):
    return [batch.items.tolist() for batch in batches]


sizes = st.fixed_dictionaries(
    {
        "num_rows": st.integers(1, 40),
        "num_meta": st.integers(0, 40),
        "batch_size": st.integers(1, 9),
    }
)


@settings(deadline=None, max_examples=50)
@given(sizes, st.integers(0, 5), st.integers(0, 2**40))
def test_every_row_once_an_epoch_supervised_before_meta(options, epoch, seed):
    loader = make_loader(**options, seed=seed)
    loader.set_epoch(epoch)
    batches = list(loader)
    users, items, labels = columns(options["num_rows"])
    assert len(batches) == len(loader)
    assert sorted(itertools.chain(*items_of(batches))) == items.tolist()
    assert [batch.is_meta for batch in batches] == sorted(batch.is_meta for batch in batches)
    for batch in batches:
        assert (batch.users.dtype, batch.items.dtype) == (torch.int64, torch.int64)
        assert batch.labels.dtype == torch.float32
        assert torch.equal(batch.users, users[batch.items].long())
        assert torch.equal(batch.labels, labels[batch.items])
        assert ((batch.items < options["num_meta"]) == batch.is_meta).all()
        assert batch.unlabeled_items is None
        assert batch.unlabeled_mask is None


@settings(deadline=None, max_examples=50)
@given(sizes, st.integers(1, 4), st.booleans())
def test_processes_together_see_the_global_batches(options, world_size, drop_last):
    size = options.pop("batch_size")
    try:
        ranks = [
            make_loader(
                **options, batch_size=size, rank=rank, world_size=world_size, drop_last=drop_last
            )
            for rank in range(world_size)
        ]
    except ValueError:
        supervised = max(options["num_rows"] - options["num_meta"], 0)
        meta = options["num_rows"] - supervised
        assert max(supervised, meta) < (size * world_size if drop_last else world_size)
        return
    shares = [list(loader) for loader in ranks]
    whole = list(make_loader(**options, batch_size=size * world_size))
    whole = [batch for batch in whole if len(batch.items) >= world_size]
    if drop_last:
        whole = [batch for batch in whole if len(batch.items) == size * world_size]
    assert {len(share) for share in shares} == {len(ranks[0])} == {len(whole)}
    for parts, together in zip(zip(*shares, strict=True), whole, strict=True):
        rest = len(together.items) % world_size
        rows = list(itertools.chain(*items_of(parts)))
        assert rows == together.items[: len(together.items) - rest].tolist()
        assert len({len(part.items) for part in parts}) == 1
        assert {part.is_meta for part in parts} == {together.is_meta}
        assert len({part.seed for part in parts}) == world_size


def test_order_depends_on_seed_and_epoch_alone():
    first, again, other = make_loader(), make_loader(), make_loader(seed=6)
    state = torch.get_rng_state()
    order = listed(first)
    torch.manual_seed(99)
    assert listed(again) == order == listed(first)
    torch.set_rng_state(state)
    assert items_of(other) != items_of(first)
    again.set_epoch(1)
    assert items_of(again) != items_of(first)
    again.set_epoch(0)
    assert listed(again) == order
    list(again)
    assert torch.equal(state, torch.get_rng_state())


def test_seeds_of_batches_are_those_of_the_formula():
    loader = make_loader(rank=1, world_size=2)
    loader.set_epoch(3)
    batches = list(loader)
    assert [batch.is_meta for batch in batches] == [False, False, True]
    assert [b.seed for b in batches] == [batch_seed(5, 3, i, 1, int(i == 2)) for i in range(3)]


def test_without_shuffling_every_epoch_keeps_the_given_order():
    loader = make_loader(num_meta=0, shuffle=False)
    loader.set_epoch(2)
    assert list(itertools.chain(*items_of(loader))) == list(range(23))


def test_no_meta_column_means_no_meta_rows():
    loader = TrainLoader(columns(5), None, 2, 0)
    assert [batch.is_meta for batch in loader] == [False] * 3


@pytest.mark.parametrize("num_meta", [0, 7, 23])
def test_resumes_after_every_batch(num_meta):
    loader = make_loader(num_meta=num_meta)
    loader.set_epoch(2)
    whole = listed(loader)
    for stop in range(len(loader) + 1):
        stopped, resumed = make_loader(num_meta=num_meta), make_loader(num_meta=num_meta)
        stopped.set_epoch(2)
        assert listed(itertools.islice(stopped, stop)) == whole[:stop]
        resumed.load_state_dict(stopped.state_dict())
        resumed.set_epoch(2)
        rest = resumed.state_dict()["position"]
        assert rest == stop % len(loader)
        assert listed(resumed) == whole[rest:]
        assert resumed.state_dict()["position"] == len(whole)
        assert listed(resumed) == whole


def test_next_epoch_after_a_loaded_state_starts_at_its_first_batch():
    stopped, resumed, other = make_loader(), make_loader(), make_loader()
    next(iter(stopped))
    resumed.load_state_dict(stopped.state_dict())
    for loader in (resumed, other):
        loader.set_epoch(1)
    assert listed(resumed) == listed(other)


def test_state_of_other_batches_warns_and_starts_anew():
    stopped, resumed = make_loader(), make_loader(batch_size=5)
    next(iter(stopped))
    told = "after batch 1 of epoch 0 with 16 supervised rows, 7 meta rows, 4 rows a global batch"
    with pytest.warns(UserWarning, match=told):
        resumed.load_state_dict(stopped.state_dict())
    assert listed(resumed) == listed(make_loader(batch_size=5))


def test_a_process_may_continue_the_state_of_more_processes():
    stopped = make_loader(batch_size=2, world_size=2)
    list(itertools.islice(stopped, 3))
    resumed = make_loader(batch_size=4)
    resumed.load_state_dict(stopped.state_dict())
    assert listed(resumed) == listed(make_loader())[3:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"rank": 2, "world_size": 2}, "rank must lie in 0..world_size-1, found 2 of 2"),
        ({"num_rows": 0}, "0 rows give no batch of 4 rows on 1 processes"),
        ({"batch_size": 99, "drop_last": True}, "23 rows give no batch of 99"),
        ({"num_rows": 3, "num_meta": 1, "world_size": 3}, "3 rows give no batch"),
    ],
)
def test_bad_arguments_of_the_train_loader_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_loader(**options)


def test_columns_of_different_lengths_are_refused():
    rows = columns(5)
    with pytest.raises(ValueError, match=r"found the shapes users \(4,\), items \(5,\), labels"):
        TrainLoader(rows._replace(users=rows.users[:4]), None, 2, 0)
    with pytest.raises(ValueError, match=r"one length, found the shapes users \(5,\), items \(\)"):
        TrainLoader(rows._replace(items=torch.tensor(1)), None, 2, 0)
    with pytest.raises(ValueError, match=r"is_meta has shape \(4,\) but there are 5 rows"):
        TrainLoader(rows, torch.zeros(4, dtype=torch.bool), 2, 0)


class Recorder(pl.LightningModule):
    """Keeps the batches it trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches = []

    def training_step(self, batch):
        self.batches.append(batch)
        return self.weight**2

    def validation_step(self, batch):
        self.log("loss", self.weight**2, batch_size=1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, callbacks=(), ckpt_path=None, **flags):
    module = Recorder()
    trainer = make_trainer(
        callbacks=list(callbacks),
        default_root_dir=folder,
        enable_checkpointing=bool(callbacks),
        num_sanity_val_steps=0,
        **flags,
    )
    evaluation = EvalLoader(columns(9), 4)
    trainer.fit(module, make_loader(), evaluation, ckpt_path=ckpt_path)
    return listed(module.batches)


@pytest.mark.resume
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
@pytest.mark.parametrize(
    ("flags", "length"),
    [
        ({"max_epochs": 3}, 6),
        ({"max_epochs": 3, "limit_train_batches": 4}, 4),
        ({"max_steps": 15}, 6),
        ({"max_epochs": 3, "val_check_interval": 2}, 6),
    ],
)
def test_lightning_resumes_with_exactly_the_remaining_batches(tmp_path, flags, length):
    every_step = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    every_epoch = ModelCheckpoint(tmp_path, filename="end-{step}", save_top_k=-1)
    whole = fit(tmp_path, [every_step, every_epoch], **flags)
    steps = flags.get("max_steps", 3 * length)
    assert len(whole) == steps
    assert len({seed for _, seed, _ in whole}) == steps
    names = [f"step={step}" for step in range(1, steps)]
    if "max_epochs" in flags:  # with max_steps alone Lightning itself skips an epoch number here
        names += [f"end-step={length}", f"end-step={2 * length}"]
    for name in names:
        rest = fit(tmp_path, ckpt_path=tmp_path / f"{name}.ckpt", **flags)
        assert rest == whole[int(name.rpartition("=")[2]) :], name
