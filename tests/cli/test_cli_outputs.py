"""``invlightning recommend`` writes what the module recommends."""

import pandas as pd
import pytest

import invlightning as il
from invlightning.cli import command
from invlightning.cli.outputs import run_output
from tests.helpers.cli_runs import TINY_RUNS

pytestmark = TINY_RUNS


def test_recommend_writes_what_the_module_recommends(trained, tmp_path, capsys):
    pd.DataFrame({"user": [7, 3]}).to_csv("users.csv", index=False)
    pd.DataFrame({"item": range(25)}).to_csv("items.csv", index=False)
    seen = il.load(trained.checkpoint).recommend([7, 3], {}, 2, range(25))  # the best two
    seen.to_parquet("seen.parquet")
    options = ["--users=users.csv", "--candidates=items.csv", "--seen=seen.parquet", "--top_k=5"]
    run_output(["recommend", f"--ckpt_path={trained.checkpoint}", "--output=recs.csv", *options])
    expected = il.load(trained.checkpoint).recommend([7, 3], seen, 5, range(25))
    pd.testing.assert_frame_equal(pd.read_csv("recs.csv"), expected, check_dtype=False, rtol=1e-5)
    assert "10 recommendations for 2 users  recs.csv" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output=recs.xls"], "ends in .csv or .parquet"),
        (["--output=recs.csv", "--top_k=99"], "k is 99: give a number from 1 to 40"),
        (["--output=no/recs.csv"], "there is no folder 'no'"),
        (["--output=recs.csv", "--topk=9"], "topk"),
    ],
)
def test_what_cannot_be_is_one_sentence(options, message, trained, capsys, monkeypatch):
    arguments = ["recommend", f"--ckpt_path={trained.checkpoint}", "--include_seen=true", *options]
    monkeypatch.setattr("sys.argv", ["invlightning", *arguments])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
