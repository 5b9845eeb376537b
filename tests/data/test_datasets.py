"""Every data set, in every layout it is found in, down to the split rows."""

import dataclasses
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from invlightning.data.datasets import (
    ArrayDataModule,
    CoatDataModule,
    KuaiRandDataModule,
    KuaiRecDataModule,
    MovieLensDataModule,
    TableDataModule,
    coat,
    kuairand,
    kuairec,
    movielens,
)
from invlightning.data.splits import LeaveLastOut, RandomSplit

NOWHERE = "http://127.0.0.1:9"
RATINGS = [
    (user, item, 1 + (user * item) % 5, 1000 + user) for user in range(1, 9) for item in range(1, 9)
]
LAYOUTS = {
    "100k": ("ml-100k/u.data", "\t", ""),
    "1m": ("ml-1m/ratings.dat", "::", ""),
    "10m": ("ml-10M100K/ratings.dat", "::", ""),
    "20m": ("ml-20m/ratings.csv", ",", "userId,movieId,rating,timestamp\n"),
    "25m": ("ml-25m/ratings.csv", ",", "userId,movieId,rating,timestamp\n"),
    "latest-small": ("ml-latest-small/ratings.csv", ",", "userId,movieId,rating,timestamp\n"),
}


def text_of(separator, header=""):
    return header + "".join(separator.join(map(str, row)) + "\n" for row in RATINGS)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def offline(monkeypatch):
    """Points every archive to an address where nothing listens."""
    for variant, archive in movielens.ARCHIVES.items():
        away = dataclasses.replace(archive, url=f"{NOWHERE}/{archive.url.rsplit('/', 1)[-1]}")
        monkeypatch.setitem(movielens.ARCHIVES, variant, away)
    for module in (coat, kuairec, kuairand):
        name = module.ARCHIVE.url.rsplit("/", 1)[-1]
        away = dataclasses.replace(module.ARCHIVE, url=f"{NOWHERE}/{name}")
        monkeypatch.setattr(module, "ARCHIVE", away)


def check_movielens(root, variant):
    data = MovieLensDataModule(root=str(root), variant=variant)
    data.prepare_data()
    data.setup()
    rows = data.interactions
    users = rows.user_ids.decode(rows.users).tolist()
    items = rows.item_ids.decode(rows.items).tolist()
    found = zip(users, items, rows.labels.tolist(), rows.timestamps.tolist(), strict=True)
    assert list(found) == [(user, item, float(stars > 3), at) for user, item, stars, at in RATINGS]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("variant", LAYOUTS)
@pytest.mark.parametrize("layout", ["zip", "folder", "direct", "inter"])
def test_movielens(variant, layout, tmp_path):
    place, separator, header = LAYOUTS[variant]
    text = text_of(separator, header)
    if layout == "zip":
        with zipfile.ZipFile(tmp_path / f"ml-{variant}.zip", "w") as packed:
            packed.writestr(place, text)
    elif layout == "inter":
        names = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        put(tmp_path / f"ml-{variant}.inter", text_of("\t", names))
    else:
        put(tmp_path / (place if layout == "folder" else Path(place).name), text)
    check_movielens(tmp_path, variant)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    "data_class", [MovieLensDataModule, CoatDataModule, KuaiRecDataModule, KuaiRandDataModule]
)
def test_no_network_and_no_file(data_class, tmp_path):
    data = data_class(root=str(tmp_path / "none"))
    with pytest.raises(ConnectionError, match=rf"Get {NOWHERE}/.* put it at {tmp_path}/none/"):
        data.prepare_data()
    with pytest.raises(FileNotFoundError, match=rf"get {NOWHERE}/.* put it at {tmp_path}/none/"):
        data.setup()


def test_archives_are_checked():
    every = [*movielens.ARCHIVES.values(), coat.ARCHIVE, kuairec.ARCHIVE, kuairand.ARCHIVE]
    for archive in every:
        assert archive.url.startswith("https://")
        assert len(archive.sha256 or "") == 64 or len(archive.md5 or "") == 32


TRAIN = np.array([[5, 0, 1, 0], [0, 4, 0, 2], [3, 0, 0, 5]])
TEST = np.array([[4, 0, 0, 0], [0, 0, 5, 0], [0, 1, 0, 0]])


def triples(matrix, first, separator):
    rows = zip(*np.nonzero(matrix), strict=True)
    return "".join(f"{u + first}{separator}{i + first}{separator}{matrix[u, i]}\n" for u, i in rows)


@pytest.mark.parametrize(
    ("names", "write"),
    [
        (("train.ascii", "test.ascii"), lambda m: "\n".join(" ".join(map(str, row)) for row in m)),
        (("user.txt", "random.txt"), lambda m: triples(m, 0, ",")),
        (("train.csv", "test.csv"), lambda m: triples(m, 1, ",")),
        (("train.ascii", "test.ascii"), lambda m: triples(m, 1, "\t")),
    ],
)
@pytest.mark.parametrize("folder", ["", "coat"])
@pytest.mark.usefixtures("offline")
def test_coat_layouts(names, write, folder, tmp_path):
    put(tmp_path / folder / names[0], write(TRAIN))
    put(tmp_path / folder / names[1], write(TEST))
    data = CoatDataModule(root=str(tmp_path), meta_fraction=0.0)
    data.prepare_data()
    data.setup()
    rows = data.interactions
    found = {
        (u, i): (label, part)
        for u, i, label, part in zip(rows.users, rows.items, rows.labels, rows.parts, strict=True)
    }
    expected = {(u, i): (TRAIN[u, i] > 3, 0) for u, i in zip(*np.nonzero(TRAIN), strict=True)}
    expected |= {(u, i): (TEST[u, i] > 3, 2) for u, i in zip(*np.nonzero(TEST), strict=True)}
    assert found == expected
    assert rows.notes[0].startswith("1 rows dropped: their pair also occurs in a later part")
    assert (rows.num_users, rows.num_items) == (3, 4)
    assert ((data.rows.parts == 2) == (rows.parts == 2)).all()


def test_coat_refuses_other_files(tmp_path):
    train = put(tmp_path / "train.ascii", "1 2 3 4\n")
    with pytest.raises(ValueError, match=r"found the shapes \(1, 4\) and \(1, 5\)"):
        coat.read_coat(train, put(tmp_path / "test.ascii", "1 2 3 4 5\n"))
    with pytest.raises(ValueError, match=r"words.ascii is not a table of numbers"):
        coat.read_coat(train, put(tmp_path / "words.ascii", "a b\n"))
    ids = put(tmp_path / "ids.ascii", "7 8 1\n")
    with pytest.raises(ValueError, match="indices must start at 0 or 1, found 7"):
        coat.read_coat(ids, ids)


@pytest.mark.usefixtures("offline")
def test_kuairec(tmp_path):
    header = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
    rows = "".join(f"{u},{v},9,9,,,,{(u * v) % 4}.05\n" for u in range(5) for v in range(5))
    with zipfile.ZipFile(tmp_path / "KuaiRec.zip", "w") as packed:
        packed.writestr("KuaiRec 2.0/data/small_matrix.csv", header + rows)
        packed.writestr("KuaiRec 2.0/data/big_matrix.csv", header + rows + "9,9,9,9,,,,3.0\n")
    for matrix, size in (("small", 25), ("big", 26)):
        data = KuaiRecDataModule(root=str(tmp_path), matrix=matrix)
        data.prepare_data()
        data.setup()
        assert len(data.interactions) == size
        ratings = [(u * v) % 4 + 0.05 for u in range(5) for v in range(5)]
        labels = [1 if rating > 2 else 0 if rating <= 0.1 else -1 for rating in ratings]
        hidden = data.interactions.labels[:25].tolist()
        assert hidden == labels


@pytest.mark.usefixtures("offline")
def test_kuairand(tmp_path):
    signals = "is_like,is_follow,is_comment,is_forward,is_hate"
    header = f"user_id,video_id,date,hourmin,time_ms,is_click,long_view,{signals}\n"
    texts = {
        member: header
        + "".join(
            f"{u},{v},2,1,{17 * u},{(u + v) % 2},{int(u == v)},"
            f"{int(u == v % 10)},0,{int(u == 0)},0,{int(v % 10 == 5)}\n"
            for u in range(6)
            for v in range(10 * k, 10 * k + 6)
        )
        for k, member in enumerate(kuairand.ARCHIVE.members)
    }
    source = tmp_path / "source"
    for member, text in texts.items():
        put(source / "KuaiRand-Pure" / member, text)
    with tarfile.open(tmp_path / "KuaiRand-Pure.tar.gz", "w:gz") as packed:
        packed.add(source / "KuaiRand-Pure", "KuaiRand-Pure")
    data = KuaiRandDataModule(root=str(tmp_path), label_column="is_click")
    data.prepare_data()
    data.setup()
    assert np.bincount(data.rows.parts).tolist() == [65, 7, 36]
    found = data.interactions
    assert found.item_ids.decode(found.items[data.rows.parts == 2]).min() == 20
    assert data.interactions.labels.mean() == 0.5
    exposed = KuaiRandDataModule(root=str(tmp_path))
    exposed.setup()
    found = exposed.interactions
    places = found.item_ids.decode(found.items) % 10
    users = found.user_ids.decode(found.users)
    expected = np.where(places == 5, 0, np.where((users == places) | (users == 0), 1, -1))
    assert found.labels.tolist() == expected.tolist()
    assert any("carry a positive and a negative signal" in note for note in found.notes)
    other = KuaiRandDataModule(root=str(tmp_path), label_column="long_view", random_test=False)
    other.setup()
    assert len(other.interactions) == 72
    assert other.interactions.labels.sum() == 6
    assert np.bincount(other.rows.parts).tolist() == [58, 7, 7]


def test_table(tmp_path):
    path = put(tmp_path / "table.csv", text_of(",", "who,what,stars,at\n"))
    columns = {"user_column": "who", "item_column": "what", "rating_column": "stars"}
    data = TableDataModule(path=str(path), **columns, positive_threshold=3.0)
    data.setup()
    assert np.bincount(data.rows.parts).tolist() == [52, 6, 6]
    timed = TableDataModule(
        path=str(path),
        **columns,
        positive_threshold=3.0,
        timestamp_column="at",
        split=LeaveLastOut(),
    )
    timed.setup()
    assert np.bincount(timed.rows.parts).tolist() == [48, 8, 8]


@pytest.mark.parametrize("with_val", [False, True])
def test_table_in_given_files(tmp_path, with_val):
    lines = text_of(",").splitlines(keepends=True)
    files = {"path": lines[:40], "test_path": lines[50:]}
    if with_val:
        files["val_path"] = lines[40:50]
    paths = {name: str(put(tmp_path / name, "".join(text))) for name, text in files.items()}
    data = TableDataModule(
        **paths, rating_column="stars", column_names=["user", "item", "stars", "at"],
        positive_threshold=3.0,
    )  # fmt: skip
    data.setup()
    sizes = [40, 10, 14] if with_val else [36, 4, 14]
    assert np.bincount(data.rows.parts).tolist() == sizes


USERS = [3, 3, 5, 5, 9, 9]
ITEMS = ["b", "a", "a", "c", "b", "c"]
STARS = [1, 5, 4, 2, 5, 3]


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_arrays(kind):
    data = ArrayDataModule(kind(USERS), kind(ITEMS), kind(STARS), kind(STARS), positive_threshold=3)
    data.setup()
    rows = data.interactions
    assert rows.user_ids.ids.tolist() == [3, 5, 9]
    assert rows.item_ids.decode(rows.items).tolist() == ITEMS
    assert rows.labels.tolist() == [0, 1, 1, 0, 1, 0]
    assert rows.timestamps.tolist() == STARS


def test_tensors_as_indices():
    users, items = torch.arange(20) % 5, torch.arange(20) % 7
    data = ArrayDataModule(
        users, items, (users > 2).float(), num_users=6, num_items=9, split=RandomSplit(0.2, 0.2)
    )
    assert (data.num_users, data.num_items) == (6, 9)
    data.setup()
    assert (data.num_users, data.num_items) == (6, 9)
    assert data.interactions.items.tolist() == items.tolist()


def test_bad_arrays():
    with pytest.raises(ValueError, match="same length, found users 6, items 5 rows"):
        ArrayDataModule(USERS, ITEMS[:5])
    with pytest.raises(ValueError, match=r"one dimension, got the shape \(3, 2\)"):
        ArrayDataModule(np.reshape(USERS, (3, 2)), ITEMS)
    with pytest.raises(ValueError, match="item indices are outside"):
        ArrayDataModule(USERS, USERS, num_items=9).setup()


REAL = os.environ.get("INVLIGHTNING_DATA")
real = pytest.mark.skipif(REAL is None, reason="INVLIGHTNING_DATA names no folder of data sets")


@real
def test_real_movielens():
    data = MovieLensDataModule(root=f"{REAL}/ml-100k", positive_threshold=2.0)
    data.prepare_data()
    data.setup()
    assert (len(data.interactions), data.num_users, data.num_items) == (100_000, 943, 1682)
    assert data.interactions.labels.sum() == 27_145 + 34_174 + 21_201
    assert np.bincount(data.rows.parts).tolist() == [80_000, 10_000, 10_000]


@real
def test_real_coat():
    data = CoatDataModule(root=REAL)
    data.prepare_data()
    data.setup()
    assert (data.num_users, data.num_items) == (290, 300)
    assert np.bincount(data.interactions.parts).tolist() == [6960 - 366, 0, 4640]
    assert data.interactions.labels[data.rows.parts == 2].sum() == 641 + 219
