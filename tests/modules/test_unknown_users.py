"""Users who were not in training: refused, left out, or given what most users have met."""

import numpy as np
import pandas as pd
import pytest

import invlightning as il
from tests.modules.test_serving import GMF, met, reload, train

ASKED = ["new", "u3", "u1", "new", "other"]


def test_unknown_users_are_an_error_unless_asked_for():
    model, _, _ = train()
    with pytest.raises(ValueError, match=r"3 of 5 user ids are unknown"):
        model.recommend(ASKED)
    with pytest.raises(ValueError, match="unknown is 'none', expected 'error', 'popular' or"):
        model.recommend(ASKED, unknown="none")


def test_skipped_users_leave_the_others_as_they_are():
    model, _, _ = train()
    found = model.recommend(ASKED, unknown="skip")
    pd.testing.assert_frame_equal(found, model.recommend(["u3", "u1"]))
    assert not len(model.recommend(["new"], unknown="skip"))


@pytest.mark.parametrize("source", ["data", "checkpoint"])
def test_strangers_get_what_most_users_have_met(source, tmp_path):
    """Seen to fail with the least popular items, and with candidates that were not looked at."""
    model, data, trainer = train(callbacks=[il.callbacks.KeepHistory()])
    model = model if source == "data" else reload(trainer, tmp_path)
    counts = met(data)["item"].value_counts()
    expected = sorted(counts.index, key=lambda item: (-counts[item], item))
    found = model.recommend(ASKED, unknown="popular", k=4)
    assert list(pd.unique(found["user"])) == ["u3", "u1", "new", "other"]
    for user in ("new", "other"):
        own = found[found["user"] == user]
        assert own["item"].tolist() == expected[:4]
        assert own["rank"].tolist() == [1, 2, 3, 4]
        assert own["score"].isna().all()
    few = expected[5:8]
    alone = model.recommend(["new"], unknown="popular", k=2, candidates=few)
    assert alone["item"].tolist() == few[:2]
    assert alone["item"].dtype == np.int64


def test_without_a_history_nobody_knows_what_is_popular(tmp_path):
    _, _, trainer = train(GMF)
    loaded = reload(trainer, tmp_path)
    with pytest.raises(ValueError, match="keeps no history: train with il"):
        loaded.recommend(["new"], seen={}, unknown="popular")
