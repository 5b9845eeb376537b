"""Side features of users and items in the order of their indices."""

import numpy as np
import pandas as pd
import pytest
import torch

import invlightning as il
from invlightning.data.reading.features import align_features
from invlightning.data.vocabulary import Vocabulary

USERS, ITEMS = ["b", "a", "c", "a"], [30, 10, 10, 20]


def make_data(users=USERS, **arguments):
    split = il.data.RandomSplit(0, 0)
    data = il.ArrayDataModule(users, ITEMS, [1, 0, 1, 1], split=split, **arguments)
    data.setup()
    return data


def frame(ids, values):
    return pd.DataFrame(values, index=ids)


def test_rows_are_found_by_raw_id():
    users = frame(["c", "unknown", "a", "b"], {"x": [3, 9, 1, 2], "y": [True, True, False, False]})
    items = frame(["20", "10", "30"], {"x": [0.5, 0.25, -1.0]})  # integers written as text
    data = make_data(user_features=users, item_features=items)
    found = data.side_features()
    assert torch.equal(found[0], torch.tensor([[1.0, 0], [2, 0], [3, 1]]))
    assert torch.equal(found[1], torch.tensor([[0.25], [0.5], [-1]]))
    assert make_data().side_features() == (None, None)


@pytest.mark.parametrize("convert", [np.asarray, torch.tensor, list])
def test_rows_of_indices_need_no_ids(convert):
    values = convert([[1, 2], [3, 4], [5, 6], [7, 8]])
    data = make_data([0, 1, 2, 1], num_users=4, user_features=values)
    assert torch.equal(data.side_features()[0], torch.arange(1.0, 9).view(4, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user_features": np.ones((3, 1))}, "user_features has no ids: give a data frame"),
        (
            {"user_features": frame(["a", "c"], {"x": [1, 2]})},
            "lacks 1 of 3 users, for example 'b'",
        ),
        ({"item_features": frame([10, 10], {"x": [1, 2]})}, "several rows for a item"),
        ({"item_features": frame([10, 20, 30], {"x": [1, 2, np.nan]})}, "not finite numbers"),
        ({"item_features": frame([10, 20, 30], {"x": list("abc")})}, r"pandas\.get_dummies"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_data(**arguments).side_features()


def test_rows_must_be_as_many_as_indices():
    with pytest.raises(ValueError, match=r"has the shape \(3, 2\), expected \(4, number of"):
        make_data([0, 1, 2, 1], num_users=4, user_features=np.ones((3, 2)))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_in_files(suffix, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "user,item\n" + "".join(f"{u},{i}\n" for u, i in zip(USERS, ITEMS, strict=True))
    )
    features = pd.DataFrame({"item": [10, 20, 30], "x": [1.0, 2.0, 3.0], "y": [0, 0, 1]})
    path = tmp_path / f"items{suffix}"
    if suffix == ".parquet":
        features.to_parquet(path, index=False)
    else:
        features.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    split = il.data.RandomSplit(0, 0)
    data = il.TableDataModule(path=str(table), item_features=str(path), split=split)
    data.setup()
    users, items = data.side_features()
    assert users is None
    assert torch.equal(items, torch.tensor([[1.0, 0], [2, 0], [3, 1]]))
    data.item_features = str(tmp_path / "nothing.csv")
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.csv"):
        data.side_features()


@pytest.mark.parametrize("ids", [["007", "7", "+7"], ["1", "2", "3"], ["NA", "1e3", "x"]])
def test_ids_of_a_feature_file_are_those_of_the_table(ids, tmp_path):
    """Seen to fail when each file was typed by itself: 007 became 7."""
    lines = [f"{user},{item},{item % 2}\n" for user in ids for item in range(4)]
    (tmp_path / "table.csv").write_text("user,item,rating\n" + "".join(lines))
    rows = [f"{user},{place}.5\n" for place, user in enumerate(ids)]
    (tmp_path / "users.csv").write_text("user,age\n" + "".join(rows))
    data = il.TableDataModule(
        path=str(tmp_path / "table.csv"),
        rating_column="rating",
        user_features=str(tmp_path / "users.csv"),
        batch_size=4,
    )
    data.setup()
    features = data.training_facts().user_features[:, 0].tolist()
    known = data.interactions.user_ids.encode(ids).tolist()
    assert [features[index] for index in known] == [0.5, 1.5, 2.5]


def test_a_float_index_stands_for_whole_numbers():
    """What pandas makes of integers where rows are missing. Seen to fail as 7.0 against 7."""
    table = pd.DataFrame({"age": [1.0, 2.0]}, index=[7.0, 9.0])
    found = align_features(table, Vocabulary(np.array([7, 9])), "user", False)
    assert found.flatten().tolist() == [1.0, 2.0]
