"""What the README and the site show is what the results hold, and the pictures can be drawn."""

import json

import pandas as pd
import pytest

from benchmarks import __main__ as suite
from benchmarks import exposed, idea_figures
from benchmarks.exposed_results import brief_report, report
from benchmarks.figures import Figure, brief_table
from benchmarks.pages import EXPOSED, README, SPEED, insert

pytest.importorskip("matplotlib")


def test_the_tables_of_exposed_rows_are_those_of_the_results():
    """Seen to fail with another number in either."""
    rows = pd.read_csv(exposed.RESULTS / "exposed_ml100k.csv")
    best = exposed.chosen(rows)
    whole = report(rows, best, [*exposed.ARMS, *exposed.WHOLE])
    for text, path in ((whole, EXPOSED), (brief_report(rows, best), README)):
        page = path.read_text()
        assert insert(text, page, exposed.BEGIN, exposed.END) == page


def test_the_tables_of_speed_are_those_of_the_results():
    """Seen to fail with another number in either."""
    saved = json.loads((suite.RESULTS / "speed.json").read_text())["figures"]
    figures = [Figure(**{k: v for k, v in each.items() if k != "met"}) for each in saved]
    short = [figure for figure in figures if figure.name in suite.IN_SHORT]
    assert len(short) == len(suite.IN_SHORT)
    for text, path in ((brief_table(figures), SPEED), (brief_table(short), README)):
        page = path.read_text()
        assert insert(text, page, suite.BEGIN, suite.END) == page


def test_every_picture_is_drawn(tmp_path):
    idea_figures.main(["--output", str(tmp_path)])
    drawn = {path.name for path in tmp_path.glob("*.svg")}
    assert drawn == {path.name for path in idea_figures.FIGURES.glob("*.svg")}
    assert all(path.stat().st_size > 10_000 for path in tmp_path.glob("*.svg"))
