"""The cache of prepared rows: equal to reading, invalidated by content, safe against damage."""

import logging
import multiprocessing
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import invlightning as il
from invlightning.data import rows_module
from invlightning.data.interactions import RawTable
from invlightning.data.preparation import prepare
from invlightning.data.reading import cache as module
from invlightning.data.reading.cache import cached, digest_of, load, store

COLUMNS = ("users", "items", "labels", "timestamps", "parts")


def make_rows(text_ids=False, plain=False):
    rng = np.random.default_rng(1)
    users, items = rng.integers(5, 40, 300) * 3, rng.integers(0, 25, 300)
    table = RawTable(
        users=np.array([f"u{u}ü" for u in users], dtype=object) if text_ids else users,
        items=items,
        ratings=None if plain else rng.integers(1, 6, 300).astype(np.float32),
        timestamps=None if plain else rng.integers(0, 10**9, 300),
        parts=None if plain else rng.integers(0, 3, 300).astype(np.uint8),
    )
    return prepare(table, positive_threshold=None if plain else 3.0)


def assert_equal_rows(found, expected):
    for name in COLUMNS:
        ours, theirs = getattr(found, name), getattr(expected, name)
        if theirs is None:
            assert ours is None
        else:
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    for name in ("user_ids", "item_ids"):
        assert getattr(found, name).ids.tolist() == getattr(expected, name).ids.tolist()
    assert found.notes == expected.notes


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user,item\n1,2\n")
    return path


class Builder:
    """Counts how often rows are built."""

    def __init__(self, rows):
        self.rows, self.calls = rows, 0

    def __call__(self):
        self.calls += 1
        return self.rows


@pytest.mark.parametrize("options", [{}, {"text_ids": True}, {"plain": True}])
def test_the_second_start_reads_the_same_rows_from_the_cache(raw, options):
    build = Builder(make_rows(**options))
    assert cached([raw], "settings", build) is build.rows
    assert_equal_rows(cached([raw], "settings", build), build.rows)
    assert build.calls == 1
    assert sorted(path.suffix for path in raw.parent.iterdir()) == [".cache", ".csv"]


def test_rows_of_the_cache_are_mapped_and_writing_does_not_reach_the_file(raw):
    build = Builder(make_rows())
    cached([raw], "", build)
    first = cached([raw], "", build)
    first.labels[:] = 7
    assert_equal_rows(cached([raw], "", build), build.rows)


def test_settings_have_caches_of_their_own(raw):
    one, two = Builder(make_rows()), Builder(make_rows(plain=True))
    for _ in range(2):
        cached([raw], "one", one)
        cached([raw], "two", two)
    assert (one.calls, two.calls) == (1, 1)


def test_other_content_of_the_same_size_and_date_is_noticed(raw, caplog):
    build = Builder(make_rows())
    cached([raw], "", build)
    times = (raw.stat().st_atime_ns, raw.stat().st_mtime_ns)
    raw.write_text("user,item\n1,3\n")
    os.utime(raw, ns=times)
    with caplog.at_level(logging.WARNING):
        cached([raw], "", build)
    assert build.calls == 2
    assert len(caplog.records) == 1
    assert "is of other data: it is built again" in caplog.text
    cached([raw], "", build)
    assert build.calls == 2


def test_a_new_date_alone_keeps_the_cache(raw):
    build = Builder(make_rows())
    cached([raw], "", build)
    os.utime(raw, ns=(1, 1))
    cached([raw], "", build)
    assert build.calls == 1


def flip_byte(path):
    content = bytearray(path.read_bytes())
    start = content.find(make_rows().users.tobytes())
    content[start + 20] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "other file": lambda path: path.write_bytes(b"user,item\n" * 100),
    "flipped bit": flip_byte,
    "other object": lambda path: torch.save([1, 2], path),
    "missing column": lambda path: torch.save({"digest": "d"}, path),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_mended_with_one_line(raw, caplog, kind, monkeypatch):
    monkeypatch.setattr(module, "digest_of", lambda files, settings: "d")
    build = Builder(make_rows())
    cached([raw], "", build)
    [path] = raw.parent.glob("*.cache")
    DAMAGE[kind](path)
    with caplog.at_level(logging.WARNING):
        assert cached([raw], "", build) is build.rows
    assert len(caplog.records) == 1
    assert "is damaged" in caplog.text
    assert "built again" in caplog.text
    assert_equal_rows(cached([raw], "", build), build.rows)
    assert build.calls == 2


def test_a_failed_write_leaves_nothing_and_says_so(raw, caplog, monkeypatch):
    def fail(content, file):
        file.write(b"half")
        raise OSError("disk is full")

    monkeypatch.setattr(module.torch, "save", fail)
    build = Builder(make_rows())
    with caplog.at_level(logging.WARNING):
        assert cached([raw], "", build) is build.rows
    assert "cannot be written (disk is full)" in caplog.text
    assert [path.name for path in raw.parent.iterdir()] == ["ratings.csv"]


def test_another_folder_can_be_named(raw, tmp_path):
    build = Builder(make_rows())
    folder = tmp_path / "caches" / "new"
    cached([raw], "", build, folder)
    cached([raw], "", build, folder)
    assert build.calls == 1
    assert len(list(folder.iterdir())) == 1
    assert not list(tmp_path.glob("*.cache"))


def test_the_digest_tells_apart_what_matters(tmp_path):
    paths = [tmp_path / name for name in "abcd"]
    for path, content in zip(paths, (b"xy", b"z", b"x", b"yz"), strict=True):
        path.write_bytes(content)
    a, b, c, d = paths
    cases = [([a, b], "s"), ([c, d], "s"), ([b, a], "s"), ([a, b], "t"), ([a], "s")]
    digests = {digest_of(files, settings) for files, settings in cases}
    assert len(digests) == len(cases)
    shutil.copy(a, tmp_path / "moved")
    assert digest_of([tmp_path / "moved", b], "s") == digest_of([a, b], "s")


def write_often(path):
    for _ in range(20):
        store(path, "d", make_rows())


def test_processes_may_write_and_read_at_once(tmp_path, caplog):
    path = tmp_path / "rows.cache"
    store(path, "d", make_rows())
    processes = [multiprocessing.get_context("fork").Process(target=write_often, args=(path,))] * 1
    for process in processes:
        process.start()
    with caplog.at_level(logging.WARNING):
        while any(process.is_alive() for process in processes):
            assert_equal_rows(load(path, "d"), make_rows())
    assert [process.exitcode for process in processes] == [0]
    assert not caplog.records
    assert [file.name for file in tmp_path.iterdir()] == ["rows.cache"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "LEAST_BYTES", 100)
    rng = np.random.default_rng(0)
    rows = np.unique(rng.integers([30, 20], size=(400, 2)), axis=0)
    path = tmp_path / "t.csv"
    lines = [f"{u},{i},{r}" for (u, i), r in zip(rows, rng.integers(1, 6, len(rows)), strict=True)]
    path.write_text("\n".join(["user,item,rating", *lines]) + "\n")
    return path


def make_module(path, **options):
    options = {"positive_threshold": 3.0, **options}
    return il.TableDataModule(path=str(path), rating_column="rating", **options)


def test_a_data_module_is_the_same_with_and_without_cache(table, monkeypatch):
    plain = make_module(table, cache=False)
    plain.setup()
    assert not list(table.parent.glob("*.cache"))
    make_module(table).setup()
    assert len(list(table.parent.glob("*.cache"))) == 1
    second = make_module(table)
    monkeypatch.setattr(second, "read", lambda: pytest.fail("read in spite of the cache"))
    second.setup()
    assert_equal_rows(second.interactions, plain.interactions)
    for name in ("parts", "train_rows", "meta"):
        np.testing.assert_array_equal(getattr(second.rows, name), getattr(plain.rows, name))


def test_what_acts_later_needs_no_new_cache_and_what_acts_before_does(table):
    make_module(table).setup()
    make_module(table, seed=7, batch_size=8, labeled_fraction=0.5).setup()
    assert len(list(table.parent.glob("*.cache"))) == 1
    make_module(table, positive_threshold=2.0).setup()
    assert len(list(table.parent.glob("*.cache"))) == 2


def test_small_files_and_missing_files_have_no_cache(table, monkeypatch):
    monkeypatch.setattr(rows_module, "LEAST_BYTES", 10**6)
    make_module(table).setup()
    assert not list(table.parent.glob("*.cache"))
    with pytest.raises(FileNotFoundError, match="there is no file"):
        make_module(table.with_name("gone.csv")).setup()


@pytest.mark.parametrize(("world_size", "files"), [(1, 0), (2, 1)])
def test_one_process_fills_the_cache_for_all(table, world_size, files):
    data = make_module(table)
    data.prepare_data()
    data.trainer = SimpleNamespace(world_size=world_size)
    data.prepare_data()
    assert len(list(table.parent.glob("*.cache"))) == files
