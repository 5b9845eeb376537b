"""Tables of every format, and what is said about broken ones."""

import csv
import gzip
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import invlightning as il
from invlightning.data.reading.files import read_table

COLUMNS = ("user", "item", "rating", "time")
TEXTS = {
    "plain.csv": "user,item,rating,time\n7,3,4.5,100\n2,9,1,50\n",
    "quoted.csv": '"item","user","note","rating","time"\n3,7,"a, b",4.5,100\n9,2,"c",1,50\n',
    "bom.csv": "\ufeffuser,item,rating,time\n7,3,4.5,100\n2,9,1,50\n",
    "windows.csv": "user,item,rating,time\r\n7,3,4.5,100\r\n2,9,1,50\r\n",
    "tabs.tsv": "user\titem\trating\ttime\n7\t3\t4.5\t100\n2\t9\t1\t50\n",
    "semicolons.txt": "user;item;rating;time\n7;3;4.5;100\n2;9;1;50\n",
    "recbole.inter": "user:token\titem:token\trating:float\ttime:float\n"
    "7\t3\t4.5\t100.0\n2\t9\t1\t50.0\n",
    "colons.dat": "user::item::rating::time\n7::3::4.5::100\n2::9::1::50\n",
    "floats.csv": "user,item,rating,time\n7,3,4.5,1e2\n2,9,1,50\n",
}


def check(table):
    assert table.users.dtype == table.items.dtype == table.timestamps.dtype == np.int64
    assert table.ratings.dtype == np.float32
    columns = (table.users, table.items, table.ratings, table.timestamps)
    assert [column.tolist() for column in columns] == [[7, 2], [3, 9], [4.5, 1.0], [100, 50]]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("packed", [False, True])
def test_text_formats(name, packed, tmp_path):
    path = tmp_path / (f"{name}.gz" if packed else name)
    content = TEXTS[name].encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    check(read_table(path, *COLUMNS))


@pytest.mark.parametrize("separator", ["\t", "::", ",", "|", " "])
@pytest.mark.parametrize("named", [False, True])
def test_without_header(separator, named, tmp_path):
    path = tmp_path / "ratings.dat"
    rows = (("7", "3", "4.5", "100"), ("2", "9", "1", "50"))
    path.write_text("\n".join(separator.join(row) for row in rows))
    chosen = separator if named else None
    check(read_table(path, *COLUMNS, separator=chosen, column_names=COLUMNS))


def test_parquet(tmp_path):
    path = tmp_path / "table.parquet"
    table = {"item": [3, 9], "user": [7, 2], "time": [100, 50], "more": [0, 0], "rating": [4.5, 1]}
    pq.write_table(pa.table(table), path)
    check(read_table(path, *COLUMNS))
    broken = tmp_path / "broken.parquet"
    broken.write_text("user,item\n")
    with pytest.raises(ValueError, match="is not a Parquet file"):
        read_table(broken)


def test_ratings_and_times_are_optional(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("user,item,rating\nann,3,x\nbob,9,y\n")
    table = read_table(path)
    assert table.users.to_pylist() == ["ann", "bob"]
    assert table.ratings is None
    assert table.timestamps is None


@pytest.mark.parametrize(
    "ids",
    [
        ["1", "a"],
        ["2020-01-01", "2020-01-02"],
        ["12:30", "12:31"],
        ["1.50", "2.5"],
        ["True", "false"],
        ["18446744073709551615", "18446744073709551614"],
        ["00007", "7"],
        ["+5", "5"],
        ["1e3", "1000"],
        ["1.0", "1"],
        ["NA", "null"],
        [" 7", "7 "],
        ["1234567890123456789", "-0"],
    ],
)
def test_ids_that_are_not_integers_stay_as_written(ids, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("user,item\n" + "".join(f"{user},{place}\n" for place, user in enumerate(ids)))
    assert read_table(path).users.to_pylist() == ids


ID = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=6)
WRITTEN = st.one_of(
    ID, st.integers(-(10**19), 10**19).map(str), st.sampled_from(["007", "7", "+7"])
)


@settings(deadline=None, max_examples=150)
@given(st.lists(WRITTEN, min_size=1, max_size=8))
def test_ids_of_a_file_come_out_as_they_went_in(ids):
    """Whatever is written, in quotes or not. Seen to fail when numbers are guessed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["user", "item"], *([user, 1] for user in ids)])
        found = read_table(path).users
    found = found.tolist() if isinstance(found, np.ndarray) else found.to_pylist()
    assert [str(user) for user in found] == ids


def test_files_that_look_different_keep_their_users_apart(tmp_path):
    """007 of a file that looks numeric and 007 of one that does not were two users."""
    for name, users in (("a", ["007", "8", "9"]), ("b", ["007", "x", "8"])):
        lines = [f"{user},{item},{item % 2}\n" for user in users for item in range(4)]
        (tmp_path / f"{name}.csv").write_text("user,item,rating\n" + "".join(lines))
    paths = {"path": str(tmp_path / "a.csv"), "test_path": str(tmp_path / "b.csv")}
    data = il.TableDataModule(**paths, rating_column="rating", batch_size=4)
    data.setup()
    assert data.interactions.user_ids.ids.tolist() == ["007", "8", "9", "x"]


def test_missing_ratings_and_times_have_many_spellings(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("user,item,rating,time\n1,2,NA,5\n2,1,4.5,6\n3,1,null,7\n4,1,,8\n5,2,NaN,9\n")
    found = read_table(path, *COLUMNS).ratings
    assert np.isnan(found).tolist() == [True, False, True, True, True]
    path.write_text("user,item,rating,time\n1,2,1,NA\n2,1,4,6\n")
    with pytest.raises(ValueError, match="1 of 2 timestamps are missing"):
        read_table(path, *COLUMNS)


def test_another_encoding_is_named(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("user,item\nJosé,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match="is not written in UTF-8: say how it is, for example"):
        read_table(path)
    for encoding in ("latin-1", "cp1252"):
        assert read_table(path, encoding=encoding).users.to_pylist() == ["José"]
    with pytest.raises(ValueError, match="encoding is 'latin-x', which Python does not know"):
        read_table(path, encoding="latin-x")


def test_types_may_change_after_the_first_block(tmp_path, monkeypatch):
    monkeypatch.setattr("invlightning.data.reading.files._BLOCK_BYTES", 2**10)
    path = tmp_path / "table.csv"
    rows = [f"{row},{row % 7},4\n" for row in range(2000)]
    path.write_text("user,item,rating\n" + "".join(rows) + "last,3,4.5\n")
    table = read_table(path, rating_column="rating")
    assert len(table.users) == 2001
    assert table.users[0].as_py() == "0"
    assert table.users[-1].as_py() == "last"
    assert table.ratings[-1] == 4.5


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file '.*gone.csv' .* pass the path of a CSV"):
        read_table(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty or begins with an empty line"),
        ("\nuser,item\n", "is empty or begins with an empty line"),
        ("user,item,rating,time\n", "table.csv: the table is empty"),
        ("user,item,rating,time\n1,2\n", "not a table separated by ',': .*Expected 4 columns"),
        (
            "User_ID,item,rating,time\n1,2,3,4\n",
            "no column 'user'; its columns are 'User_ID', 'item', 'rating', 'time': did you mean",
        ),
        ("a,b\n1,2\n", "no column 'user'; its columns are 'a', 'b': Name the column of users"),
        ("user,item,rating,time\n1,2,3,4\n,2,3,4\n", "1 of 2 user ids are missing .* in row 1"),
        ("user,item,rating,time\n1,x,3,4\n2,,3,4\n", "1 of 2 item ids are missing .* in row 1"),
        ("user,item,rating,time\n1,2,3,4\n2,2,good,4\n", "1 of 2 ratings are not numbers, such as"),
        ("user,item,rating,time\n1,2,3,4\n2,2,3,noon\n", "neither numbers nor dates but string"),
    ],
)
def test_broken_files(content, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_table(path, *COLUMNS)


def test_close_names_are_proposed(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("user_id,movie_id\n1,2\n")
    with pytest.raises(ValueError, match="did you mean 'user_id'"):
        read_table(path, "userid", "movie_id")
    with pytest.raises(ValueError, match=r"separator must be one character or '::', got '--'"):
        read_table(path, separator="--")
