"""A checkpoint remembers its training data, and other data is refused unless asked for."""

from functools import partial

import numpy as np
import pytest

import invlightning as il
from invlightning.data.digests import row_digests
from tests.helpers.cli_runs import TINY_RUNS
from tests.helpers.trainers import make_trainer

pytestmark = TINY_RUNS

RATINGS = np.arange(1200) * 7 % 5 + 1


def table(**changes):
    rows = np.arange(1200)
    settings = {"positive_threshold": 4, "batch_size": 256, "seed": 1} | changes
    return il.ArrayDataModule(users=rows % 40, items=rows * 11 % 63, ratings=RATINGS, **settings)


def model():
    return il.Recommender(partial(il.backbones.GMF, embedding_dim=2))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    done = make_trainer(tmp_path_factory.mktemp("run"), max_epochs=1)
    done.fit(model(), table())
    return done.checkpoint_callback.best_model_path


CHANGES = {
    "seed": ({"seed": 7}, "the split of"),
    "split": ({"split": il.data.RandomSplit(0.2, 0.2, seed=1)}, "the split of"),
    "fraction": ({"labeled_fraction": 0.5}, "the labels of"),
    "held out": ({"split": il.data.RandomSplit(0.3, 0.1, seed=1)}, "the split of"),
    "threshold": ({"positive_threshold": 3}, "the labels of"),
}


@pytest.mark.parametrize("form", ["test", "validate", "fit"])
@pytest.mark.parametrize("name", CHANGES)
def test_other_data_is_refused_and_named(name, form, path, tmp_path):
    changes, named = CHANGES[name]
    again = make_trainer(tmp_path, max_epochs=2)
    with pytest.raises(ValueError, match=rf"{named}.* not what the model was trained with"):
        getattr(again, form)(model(), datamodule=table(**changes), ckpt_path=path)
    allowed = table(**changes, allow_other_data=True)
    getattr(make_trainer(tmp_path, max_epochs=2), form)(model(), datamodule=allowed, ckpt_path=path)


@pytest.mark.parametrize("form", ["test", "validate", "fit"])
def test_the_same_data_is_fine(form, path, tmp_path):
    same = table(batch_size=100, meta_fraction=0.3)
    getattr(make_trainer(tmp_path, max_epochs=2), form)(model(), datamodule=same, ckpt_path=path)


def test_predictions_may_be_made_for_any_split(path, tmp_path):
    make_trainer(tmp_path, max_epochs=1).predict(model(), datamodule=table(seed=7), ckpt_path=path)


def test_loaded_and_fresh_models_remember_too(path, tmp_path):
    loaded = il.load(path)
    with pytest.raises(ValueError, match="the split of ArrayDataModule"):
        make_trainer(tmp_path, max_epochs=1).test(loaded, table(seed=7))
    make_trainer(tmp_path, max_epochs=1).test(loaded, table())
    once = make_trainer(tmp_path, enable_checkpointing=False, max_epochs=1)
    once.fit(loaded, table(seed=7))  # trained further, on purpose, on other data
    once.test(loaded, table(seed=7))
    with pytest.raises(ValueError, match="the split of ArrayDataModule"):
        once.test(loaded, table())


def test_a_resumed_run_remembers(path, tmp_path):
    again = make_trainer(tmp_path, max_epochs=2)
    resumed = model()
    again.fit(resumed, table(), ckpt_path=path)
    loaded = il.load(again.checkpoint_callback.best_model_path)
    assert loaded.trained_on == resumed.trained_on == il.load(path).trained_on


def test_digests_name_what_differs():
    data = table()
    data.setup()
    first = row_digests(data.rows)
    assert first.keys() == {"rows", "labels", "split"}
    again = table(num_unlabeled=3)
    again.setup()
    assert row_digests(again.rows) == first
    assert len(set(first.values())) == 3
