"""The protocol of RecBole: its split, and that both models run and go on."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import recbole_protocol as module
from benchmarks.recbole_protocol import CANDIDATES, METRICS, MONITOR, UserRatioSplit, main
from invlightning.data.interactions import RawTable
from invlightning.data.preparation import prepare
from tests.helpers.tiny_data import write_movielens


def recbole_sizes(rows):
    """Rows of a user for training, validation and test, from the rule in words."""
    counts = [rows, int(0.1 * rows), int(0.1 * rows)]
    counts[0] -= counts[1] + counts[2]
    for part in (2, 1):  # test first
        if counts[0] > 1 and counts[part] == 0:
            counts[part] += 1
            counts[0] -= 1
    return counts


def table(sizes, order):
    users = np.repeat(np.arange(len(sizes)), sizes)
    items = np.concatenate([np.arange(size) for size in sizes])
    return prepare(
        RawTable(users[order], items[order]),
        positive_threshold=None,
        negative_threshold=None,
        min_user_count=0,
        min_item_count=0,
    )


def test_split_has_the_sizes_of_recbole():
    sizes = [1, 2, 3, 4, 9, 10, 19, 20, 21, 40, 99]
    order = np.random.default_rng(0).permutation(sum(sizes))
    interactions = table(sizes, order)
    parts = UserRatioSplit(0)(interactions)
    found = [np.bincount(parts[interactions.users == u], minlength=3) for u in range(len(sizes))]
    raw = interactions.user_ids.decode(np.arange(len(sizes)))
    assert [list(counts) for counts in found] == [recbole_sizes(sizes[user]) for user in raw]
    assert not np.array_equal(parts, UserRatioSplit(1)(interactions))
    assert np.array_equal(parts, UserRatioSplit(0)(interactions))


@pytest.mark.parametrize("name", CANDIDATES)
def test_model_runs_and_goes_on(name, tmp_path, monkeypatch):
    write_movielens(tmp_path)
    output = tmp_path / "found.csv"
    ran, run = [], module.run
    monkeypatch.setattr(
        module, "run", lambda name, seed, *rest: ran.append(seed) or run(name, seed, *rest)
    )
    monkeypatch.setattr(module, "quiet", lambda: None)
    given = [f"--root={tmp_path}", f"--output={output}", "--max-epochs=2", "--models", name]
    main([*given, "--seeds=1"])
    first = output.read_text()
    main([*given, "--seeds=2"])
    assert output.read_text().startswith(first)
    rows = pd.read_csv(output)
    assert rows["seed"].tolist() == ran == [0, 1]
    assert (rows[[MONITOR, *METRICS.values()]] >= 0).all(axis=None)
    assert (rows["epochs"] == 2).all()
    assert f"| {name} |" in output.with_suffix(".md").read_text()


def test_every_pair_is_a_positive(tmp_path):
    write_movielens(tmp_path)
    data = module.Pairs(root=str(tmp_path), positive_threshold=None, split=UserRatioSplit(0))
    data.setup()
    assert data.interactions.labels.all()
