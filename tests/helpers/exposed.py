"""The ways to train on exposed rows, small enough to be run many times."""

from functools import partial

import numpy as np

import invlightning as il
from tests.helpers.forms import ADAM, GMF, fit, table

FORMS = ["exposed", "both kinds", "mixin", "callback", "space", "space ig", "shared space ig"]
PRIOR = partial(il.losses.InverseDualLoss, prior="labeled")


def make_data(**arguments):
    """A table of which every third row has no label."""
    users, items, ratings = table()
    ratings = np.where(np.arange(len(ratings)) % 3 == 0, np.nan, ratings)
    defaults = {"positive_threshold": 0.5, "batch_size": 32, "meta_fraction": 0.0}
    return il.ArrayDataModule(users, items, ratings, **{**defaults, **arguments})


def make_model(form, loss=PRIOR, **arguments):
    """The module of a form and the callbacks it needs."""
    arguments = {"backbone": GMF, "optimizer": ADAM, "embedding_l2": 0.1, **arguments}
    inner = {"inner_lr": 0.02, "schedule": "every_batch"}
    if form == "mixin":
        return il.InverseGradientRecommender(exposed_loss=loss(), **inner, **arguments), []
    if form == "callback":
        callback = il.callbacks.InverseGradientCallback(**inner, exposed_loss=loss())
        return il.Recommender(**arguments), [callback]
    if form == "space":
        return il.EntireSpaceRecommender(exposed_loss=loss(), **arguments), []
    if form.endswith("space ig"):
        shared = form.startswith("shared")
        model = il.EntireSpaceInverseGradientRecommender(
            exposed_loss=loss(), shared_tables=shared, **inner, **arguments
        )
        return model, []
    drawn = il.losses.NaiveNegativeLoss(0.1) if form == "both kinds" else None
    return il.Recommender(exposed_loss=loss(), unlabeled_loss=drawn, **arguments), []


def train(form, data=None, arguments=None, callbacks=(), ckpt_path=None, **flags):
    """Trains a form; equal arguments give equal weights."""
    data = data if data is not None else make_data()
    make = partial(make_model, form)
    return fit(make, data, arguments, callbacks, ckpt_path, **flags)
