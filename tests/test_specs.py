"""Plain descriptions of objects."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn

import invlightning as il
from invlightning.specs import Specified, import_path, to_spec


class Named(Specified):
    def __init__(self, first, second=2, **more):
        self.first = first


class Unnamed(Specified):
    def __init__(self, *values):
        self.values = values


def test_arguments_are_recorded_by_name():
    assert Named(1).init_args == {"first": 1}
    assert Named(1, second=3, extra=4).init_args == {"first": 1, "second": 3, "extra": 4}
    assert il.backbones.GMF(3, num_items=4).init_args == {"num_users": 3, "num_items": 4}


def test_wrong_arguments_fail_as_usual():
    with pytest.raises(TypeError, match="unexpected"):
        il.losses.NaiveNegativeLoss(w=1)
    with pytest.raises(TypeError, match="whose values have no names"):
        Unnamed(1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (1.5, 1.5),
        ((1, "a", [True]), [1, "a", [True]]),
        ({"k": (1,)}, {"k": [1]}),
        (torch.optim.Adam, {"class_path": "torch.optim.adam.Adam"}),
        (
            partial(torch.optim.Adam, lr=0.1, betas=(0.8, 0.9)),
            {"class_path": "torch.optim.adam.Adam", "init_args": {"lr": 0.1, "betas": [0.8, 0.9]}},
        ),
        (
            il.losses.InverseDualLoss(0.5, prior=0.1),
            {
                "class_path": "invlightning.losses.inverse_dual.InverseDualLoss",
                "init_args": {"weight": 0.5, "prior": 0.1},
            },
        ),
        (import_path, "invlightning.specs.import_path"),
    ],
)
def test_specs_are_what_yaml_would_say(value, expected):
    assert to_spec(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 0, "cannot be imported again"),
        (nn.Linear(1, 1), "cannot describe"),
        (partial(torch.optim.Adam, [1]), "with keyword arguments only"),
        (torch.ones(1), "cannot describe"),
    ],
)
def test_what_has_no_plain_description_is_refused(value, message):
    with pytest.raises(TypeError, match=message):
        to_spec(value)


def test_specs_survive_copies_and_pickles():

    loss = il.losses.InverseDualLoss(weight=0.5)
    assert (
        to_spec(copy.deepcopy(loss)) == to_spec(loss) == to_spec(pickle.loads(pickle.dumps(loss)))
    )
