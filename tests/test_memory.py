"""A catalogue that does not fit memory is refused before anything is allocated."""

from functools import partial

import pytest
import torch

import invlightning as il
from invlightning import memory
from invlightning.backbones.layers import embedding

MEMINFO = "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable: 3000 kB\nSwapFree: 500 kB\n"


@pytest.mark.parametrize("backbone", [il.backbones.GMF, il.backbones.NeuMF, il.backbones.BiasedMF])
def test_backbones_tell_bytes_needed_and_available(monkeypatch, backbone):
    """No machine can allocate these, so the check comes first."""
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1_000)
    with pytest.raises(MemoryError, match=r"64,000,000,000,000 bytes, but 1,000 bytes .* on cpu"):
        partial(backbone, embedding_dim=16)(10**12, 5)


def test_a_table_that_just_fits_is_made(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 640)
    assert embedding.embedding_table(10, 16, sparse=False).weight.shape == (10, 16)
    with pytest.raises(MemoryError, match="704 bytes"):
        embedding.embedding_table(11, 16, sparse=False)
    monkeypatch.setattr(memory, "available_bytes", lambda device: None)
    assert embedding.embedding_table(11, 16, sparse=False).weight.shape == (11, 16)


def test_the_precision_counts(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 640)
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(MemoryError, match="1,280 bytes"):
            embedding.embedding_table(10, 16, sparse=False)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """The files of the operating system, in a folder of the test."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO)
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    return tmp_path


def test_available_memory_counts_swap(machine):
    assert memory.available_bytes(torch.device("cpu")) == 3500 * 1024
    assert memory.available_bytes(torch.device("meta")) is None


def test_the_limit_of_a_container_counts(machine):
    (machine / "memory.max").write_text("max\n")
    assert memory.available_bytes(torch.device("cpu")) == 3500 * 1024
    (machine / "memory.max").write_text("1000000\n")
    (machine / "memory.current").write_text("600000\n")
    (machine / "memory.stat").write_text("anon 500000\nactive_file 30000\ninactive_file 50000\n")
    assert memory.available_bytes(torch.device("cpu")) == 480_000


def test_unknown_systems_are_not_refused(machine):
    (machine / "meminfo").unlink()
    assert memory.available_bytes(torch.device("cpu")) is None


def test_accelerators_count_what_torch_holds_in_reserve(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (700, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 200)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 50)
    assert memory.available_bytes(torch.device("cuda")) == 850


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [(1,), (3, 5), (1000, 2, 16), (70_000, 16)])
def test_tables_are_ordinary_tensors_that_begin_with_a_cache_line(dtype, size):
    table = memory.empty_table(*size, dtype=dtype)
    assert (table.shape, table.dtype, table.device.type) == (size, dtype, "cpu")
    assert table.is_contiguous()
    assert table.data_ptr() % 64 == 0
    table.fill_(2).mul_(3)
    assert (table == 6).all()


def test_tables_follow_the_default_device_and_precision():
    with torch.device("meta"):
        assert memory.empty_table(2, 3).is_meta
        assert memory.empty_table(2, 3, device=torch.device("cpu")).device.type == "cpu"
    assert memory.empty_table(2, 3).dtype == torch.float32
