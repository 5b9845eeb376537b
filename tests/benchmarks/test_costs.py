"""The table of methods: what the site shows is what was measured, of exactly our methods."""

import json
from pathlib import Path

import pytest

from benchmarks import costs
from benchmarks.method_list import METHODS
from benchmarks.pages import insert

ROOT = Path(__file__).resolve().parents[2]


def test_the_site_shows_what_was_measured_of_every_method():
    """Seen to fail without the row of a method, and with another cost."""
    page = costs.PAGE.read_text()
    measured = json.loads((ROOT / "benchmarks" / "results" / "costs.json").read_text())
    seconds = measured["seconds_an_epoch"]
    assert list(seconds) == [method.name for method in METHODS]
    assert insert(costs.table(seconds), page, costs.BEGIN, costs.END) == page
    for method in METHODS:
        row = f"| {method.name} | "
        assert page.split(costs.BEGIN)[1].split(costs.END)[0].count(row) == 1


def test_every_overlay_is_listed():
    """Seen to fail without the line of a method in the list."""
    overlays = {path.name for path in (ROOT / "configs" / "method").glob("*.yaml")}
    assert {method.overlay for method in METHODS} == overlays


@pytest.fixture
def few(monkeypatch):
    """The reference, a sampler that waits for an epoch and an inverse gradient."""
    names = (costs.BCE, "IG, per example", "DNS")
    monkeypatch.setattr(costs, "METHODS", [m for m in METHODS if m.name in names])
    return names


def test_the_command_runs(few, capsys):
    """The reference costs 1, and nothing is saved."""
    files = [costs.PAGE, ROOT / "benchmarks" / "results" / "costs.json"]
    before = [path.stat().st_mtime_ns for path in files]
    costs.main(["--quick"])
    _, rule, *rows = [x for x in capsys.readouterr().out.splitlines() if x.startswith("|")]
    assert rule == "|---|---|---|---|---|---|---|"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == list(few)
    assert cells[0][1] == "`method/naive.yaml`"
    assert cells[0][4] == "1.0"
    assert all(float(row[4]) > 0 for row in cells)
    assert [path.stat().st_mtime_ns for path in files] == before


def test_hard_draws_are_what_is_measured(few):
    """Seen to fail when the sampler still waits for its epoch."""
    [dns] = [method for method in costs.METHODS if method.name == "DNS"]
    assert costs.epoch_of(dns, costs.TINY).args[1].sampler.start_epoch == 0


def test_saving(few, tmp_path):
    page, results = tmp_path / "page.md", tmp_path / "costs.json"
    page.write_text(f"# Title\n\n{costs.BEGIN}\nold\n{costs.END}\n\nend\n")
    seconds = dict(zip(few, (2.0, 3.0, 10.0), strict=True))
    for _ in range(2):  # a second time changes nothing
        costs.save(seconds, results, page)
    assert json.loads(results.read_text())["seconds_an_epoch"] == seconds
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{costs.BEGIN}\n\n| method | config |")
    assert text.endswith(f" |\n\n{costs.END}\n\nend\n")
    assert "old" not in text
    dns = "| DNS | `method/dns.yaml` | Zhang et al., SIGIR 2013 | drawn | 5.0 | none | positives |"
    assert dns in text


def test_what_does_not_fit_is_refused(few):
    with pytest.raises(ValueError, match=r"run python -m benchmarks\.costs"):
        costs.table({costs.BCE: 1.0})
    for page in ("", f"{costs.END}{costs.BEGIN}", f"{costs.BEGIN}{costs.BEGIN}{costs.END}"):
        with pytest.raises(ValueError, match="once in the page"):
            insert("text", page, costs.BEGIN, costs.END)
