"""``outer_state="fresh"`` over tables with row-sparse gradients."""

from functools import partial

import pytest
import pytorch_lightning as pl

import invlightning as il
from tests.helpers.forms import assert_equal, make_data, make_model
from tests.helpers.trainers import make_trainer


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_a_fresh_state_of_large_tables_is_forgotten_in_place(form, monkeypatch):
    """As if all state were dropped. Seen to fail when the state was kept."""
    arguments = {
        "backbone": partial(il.backbones.GMF, embedding_dim=4, sparse=True),
        "optimizer": partial(il.optim.RowSparseAdam, lr=0.05),
    }
    models = []
    for _ in range(2):
        models.append(fit_fresh(form, arguments))
        name = "invlightning.modules.driver.forget_state"
        monkeypatch.setattr(name, lambda optimizer: optimizer.state.clear())
    assert_equal(*models)


def fit_fresh(form, arguments):
    pl.seed_everything(4, verbose=False)
    model, callbacks = make_model(form, **arguments)
    for part in (model, *callbacks):
        part.outer_state = "fresh"
    make_trainer(max_epochs=2, callbacks=callbacks).fit(model, make_data())
    return model
