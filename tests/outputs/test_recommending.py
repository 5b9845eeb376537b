"""Recommendations for everybody are those of the module, and a file is whole or not there."""

import pandas as pd
import pytest

import invlightning as il
from tests.modules.test_serving import met, train

READ = {"csv": pd.read_csv, "parquet": pd.read_parquet}


@pytest.mark.parametrize("kind", READ)
def test_everybody_gets_what_the_module_recommends(kind, tmp_path):
    model, data, trainer = train(callbacks=[il.callbacks.KeepHistory()])
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    steps, path = [], tmp_path / f"recs.{kind}"
    done = il.recommend(
        tmp_path / "model.ckpt", path, k=12, batch_size=7, progress=lambda *n: steps.append(n)
    )
    found = READ[kind](path)
    everybody = data.interactions.user_ids.ids.tolist()
    expected = model.recommend(everybody, k=12)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)
    assert steps == [(7, 20), (14, 20), (20, 20)]
    assert (done.path, done.users, done.rows) == (path, 20, len(expected))
    assert done.short == (expected.groupby("user").size() < 12).sum()
    assert not len(found.merge(met(data), on=["user", "item"]))


def test_parts_are_the_whole(tmp_path):
    model, _, _ = train()
    whole = il.recommend(model, tmp_path / "recs.parquet", batch_size=4, item_chunk=7)
    parts = [
        il.recommend(model, tmp_path / "recs.parquet", part=part, parts=3) for part in range(3)
    ]
    assert [part.path.name for part in parts] == [f"recs-{n}.parquet" for n in range(3)]
    order = ["user", "rank"]
    found = pd.concat([pd.read_parquet(part.path) for part in parts]).sort_values(order)
    expected = pd.read_parquet(whole.path).sort_values(order)
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected.reset_index(drop=True))


@pytest.mark.parametrize("kind", READ)
def test_a_file_that_fails_in_the_middle_leaves_nothing(kind, tmp_path):
    model, _, _ = train()
    path = tmp_path / f"recs.{kind}"
    path.write_text("of yesterday")

    def stop(done, _):
        if done == 8:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        il.recommend(model, path, batch_size=4, progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "of yesterday"


def test_what_cannot_be_is_one_sentence(tmp_path):
    model, _, _ = train()
    for output, error, message in (
        ("recs.xlsx", ValueError, "ends in .csv or .parquet"),
        ("nowhere/recs.csv", FileNotFoundError, "there is no folder"),
    ):
        with pytest.raises(error, match=message):
            il.recommend(model, tmp_path / output)
    with pytest.raises(ValueError, match="part is 2 of 2"):
        il.recommend(model, tmp_path / "recs.csv", part=2, parts=2)
    with pytest.raises(ValueError, match="1 of 1 user ids are unknown"):
        il.recommend(model, tmp_path / "recs.csv", users=["nobody"])
    with pytest.raises(ValueError, match="k is 31"):
        il.recommend(model, tmp_path / "recs.csv", k=31)
    assert not list(tmp_path.iterdir())
