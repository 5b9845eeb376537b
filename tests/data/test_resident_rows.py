"""Training rows lie on the device if they fit, and batches are then gathered there."""

from types import SimpleNamespace

import pytest
import torch

import invlightning as il
from invlightning.data import resident_rows
from invlightning.data.resident_rows import resident
from invlightning.types import LabeledRows
from tests.helpers.exposed import make_data

ROWS = LabeledRows(torch.arange(5).int(), torch.arange(5).int(), torch.ones(5))
ON_META = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))


def device_of(rows):
    [device] = {column.device.type for column in rows}
    return device


@pytest.mark.parametrize(("free", "device"), [(481, "meta"), (479, "cpu"), (0, "cpu")])
def test_rows_move_if_two_copies_take_a_quarter_of_the_free_memory(free, device, monkeypatch):
    assert 4 * 2 * sum(column.nbytes for column in ROWS) == 480
    monkeypatch.setattr(resident_rows, "free_memory", lambda device: free)
    assert device_of(resident(ROWS, ON_META)) == device


def test_rows_stay_on_the_processor_where_there_is_no_other_device():
    on_cpu = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")))
    assert resident(ROWS, on_cpu) is ROWS
    assert resident(ROWS, None) is ROWS


@pytest.mark.parametrize("epoch", ["labeled", "exposed"])
def test_batches_lie_where_the_rows_lie(epoch, monkeypatch):
    monkeypatch.setattr(resident_rows, "free_memory", lambda device: 1 << 30)
    data = make_data(epoch=epoch)
    data.prepare_data()
    data.setup("fit")
    expected = next(iter(data.train_dataloader()))
    data.trainer = SimpleNamespace(strategy=ON_META.strategy, overfit_batches=0, world_size=1)
    monkeypatch.setattr(il.ImplicitDataModule, "_shard", (0, 1))
    batch = next(iter(data.train_dataloader()))
    for name in ("users", "items", "labels", "exposed_users", "exposed_items"):
        found, column = getattr(batch, name), getattr(expected, name)
        assert found.device.type == "meta"
        assert (found.shape, found.dtype) == (column.shape, column.dtype)
