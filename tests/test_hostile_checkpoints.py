"""Checkpoints made to run code: each is refused, and nothing of it is imported or called."""

import re
import sys
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.cli import run

GMF = "invlightning.backbones.gmf.GMF"
IDL = "invlightning.losses.inverse_dual.InverseDualLoss"
BCE = "invlightning.losses.bce.BinaryCrossEntropy"
POOLED = "invlightning.losses.pooled_rows.PooledRowsLoss"
ADAM = "torch.optim.adam.Adam"
COMMAND = "touch pwned"


def spec(class_path, **init_args):
    return {"class_path": class_path, "init_args": init_args}


SYSTEM = spec("os.system", command=COMMAND)
EVAL = {"class_path": "builtins.eval", "dict_kwargs": {"source": "open('pwned', 'w')"}}
POPEN = spec("subprocess.Popen", args=["touch", "pwned"])
YAML = '{"class_path": "os.system", "init_args": {"command": "touch pwned"}}'


def endless():
    value = {}
    value["a"] = [value]
    return value


def gmf(**arguments):
    return spec(GMF, **arguments)


def idl(**arguments):
    return spec(IDL, **arguments)


# What the stored hyper-parameters are changed to, and what the refusal names.
HOSTILE = {
    "a function": ({"backbone": SYSTEM}, "'os.system'"),
    "a builtin": ({"backbone": EVAL}, "'builtins.eval'"),
    "a class that runs": ({"backbone": POPEN}, "'subprocess.Popen'"),
    "a function as a loss": ({"unlabeled_loss": SYSTEM}, "'os.system'"),
    "a class as a loss": ({"labeled_loss": POPEN}, "'subprocess.Popen'"),
    "a function as the optimizer": ({"optimizer": SYSTEM}, "'os.system'"),
    "a function as the scheduler": ({"lr_scheduler": EVAL}, "'builtins.eval'"),
    "a function for a number": ({"top_k": SYSTEM}, "'os.system'"),
    "a plain name": ({"backbone": "os.system"}, "'os.system'"),
    "a plain name as a scheduler": ({"lr_scheduler": "os.abort"}, "'os.abort'"),
    "a text that is YAML": ({"unlabeled_loss": YAML}, "class_path"),
    "a text that is YAML, for a factory": ({"backbone": YAML}, "class_path"),
    "a file of a config": ({"unlabeled_loss": "evil.yaml"}, "'evil.yaml'"),
    "within a class": ({"joint_loss": spec(POOLED, loss=SYSTEM)}, "'os.system'"),
    "within the backbone": ({"backbone": gmf(embedding_dim=SYSTEM)}, "'os.system'"),
    "within dict_kwargs": (
        {"backbone": {"class_path": GMF, "dict_kwargs": {"embedding_dim": SYSTEM}}},
        "'os.system'",
    ),
    "in a list": ({"joint_loss": spec(POOLED, loss=[SYSTEM])}, "'os.system'"),
    "a list of classes": ({"unlabeled_loss": [idl(), SYSTEM]}, "as unlabeled_loss"),
    "in a mapping": ({"backbone": {"a": SYSTEM}}, "by class_path"),
    "within an optimizer": ({"optimizer": spec(ADAM, lr=SYSTEM)}, "'os.system'"),
    "an unknown argument": ({"extra": SYSTEM}, "no argument of Recommender"),
    "an argument by a path": ({"backbone.init_args.x": SYSTEM}, "'backbone.init_args.x'"),
    "an argument that extends": ({"backbone+": SYSTEM}, "'backbone+'"),
    "a key beside class_path": ({"backbone": gmf() | {"__path__": "evil.yaml"}}, "'__path__'"),
    "a name that is no text": ({"backbone": {"class_path": ["os", "system"]}}, "'os', 'system'"),
    "arguments that are no mapping": ({"backbone": {"class_path": GMF, "init_args": [1]}}, "by"),
    "a module that is not imported": ({"backbone": spec("evil_module.Net")}, "'evil_module.Net'"),
    "a loss that is not imported": ({"labeled_loss": spec("evil_module.L")}, "'evil_module.L'"),
    "a module within a package": ({"backbone": "evil_module"}, "'evil_module'"),
    "an import by __getattr__": ({"backbone": spec("lazy_module.Net")}, "'lazy_module.Net'"),
    "a loss as the backbone": ({"backbone": idl()}, "where Backbone"),
    "a backbone as a loss": ({"unlabeled_loss": gmf()}, "where UnlabeledLoss"),
    "a labeled loss on unlabeled rows": ({"unlabeled_loss": spec(BCE)}, "where UnlabeledLoss"),
    "a network of torch": ({"backbone": spec("torch.nn.modules.linear.Linear")}, "Backbone"),
    "a network as the optimizer": ({"optimizer": spec("torch.nn.ReLU")}, "where Optimizer"),
    "an optimizer as the scheduler": ({"lr_scheduler": spec(ADAM)}, "where LRScheduler"),
    "another instantiator": ({"_instantiator": "os.system"}, "'os.system'"),
    "no instantiator": ({"_instantiator": None}, "None"),
    "an instantiator that is a list": ({"_instantiator": ["os.system"]}, "os.system"),
    "a module that is a function": ({"_class_path": "os.system"}, "'os.system'"),
    "a module that is a network": ({"_class_path": "torch.nn.ReLU"}, "'torch.nn.ReLU'"),
    "a module that is not there": ({"_class_path": "evil_module.M"}, "'evil_module.M'"),
    "no end": ({"backbone": endless()}, "by class_path"),
    "no end, in lists": ({"top_k": [endless()]}, "without end"),
}


def save(changes, path=Path("hostile.ckpt"), **content):
    model = il.Recommender(
        partial(il.backbones.GMF, embedding_dim=2), num_users=3, num_items=4, top_k=2
    )
    checkpoint = {
        "state_dict": model.state_dict(),
        "pytorch-lightning_version": pl.__version__,
        "hyper_parameters": dict(model.hparams) | changes,
        "loops": {},
        "epoch": 0,
        "global_step": 0,
    }
    torch.save(checkpoint | content, path)
    return path


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with modules whose import, and files whose reading, leaves a trace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    trace = "open('pwned', 'w').close()\n"
    Path("evil_module.py").write_text(trace)
    Path("lazy_module.py").write_text(f"def __getattr__(name):\n    {trace}    return int\n")
    Path("evil.yaml").write_text(YAML)
    __import__("lazy_module")
    yield
    for name in ("lazy_module", "evil_module"):
        sys.modules.pop(name, None)


def from_command_line(path):
    run(["test", "--config=bce_ncf.yaml", f"--ckpt_path={path}"])


WAYS = {
    "load": il.load,
    "load_from_checkpoint": il.Recommender.load_from_checkpoint,
    "weights_only": partial(il.Recommender.load_from_checkpoint, weights_only=True),
    "an open file": lambda path: il.Recommender.load_from_checkpoint(BytesIO(path.read_bytes())),
}


def refuse(way, path, named=""):
    with pytest.raises(ValueError, match=re.escape(named)):
        way(path)
    assert not Path("pwned").exists()
    assert "evil_module" not in sys.modules


def test_the_checkpoint_that_is_changed_is_fine():
    for way in WAYS.values():
        assert type(way(save({}))) is il.Recommender


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_runs(name):
    changes, named = HOSTILE[name]
    path = save(changes)
    for way in WAYS.values():
        refuse(way, path, named)


@pytest.mark.parametrize("name", list(HOSTILE)[::6])
@pytest.mark.parametrize("command", ["fit", "test", "predict"])
def test_nothing_runs_on_the_command_line(name, command):
    changes, named = HOSTILE[name]
    arguments = [command, "--config=bce_ncf.yaml", f"--ckpt_path={save(changes)}"]
    refuse(run, arguments, named)


@pytest.mark.parametrize("key", ["hparams", "module_arguments"])
def test_keys_of_old_versions(key):
    """Lightning puts them below the hyper-parameters."""
    path = save({}, **{key: {"unlabeled_loss": SYSTEM}})
    for way in (*WAYS.values(), from_command_line):
        refuse(way, path, repr(key))


def test_hyper_parameters_that_are_the_model_section():
    """Without ``_class_path``, the command line would read them as ``--model``."""
    path = save({})
    stored = torch.load(path, weights_only=True)
    torch.save(stored | {"hyper_parameters": SYSTEM}, path)
    refuse(from_command_line, path, "does not say which class it belongs to")


class Run:
    def __reduce__(self):
        return exec, ("open('pwned', 'w').close()",)


@pytest.mark.parametrize("place_of", ["hyper_parameters", "state_dict", "callbacks"])
def test_pickled_code(place_of):
    path = save({}, **{place_of: {"a": Run()}})
    for way in (il.load, il.Recommender.load_from_checkpoint, from_command_line):
        refuse(way, path, "holds Python objects, which could run code")


def build(num_users: int, num_items: int) -> il.backbones.GMF:
    return il.backbones.GMF(num_users, num_items, embedding_dim=2)


def build_untold(num_users, num_items):
    return build(num_users, num_items)


def test_a_factory_says_what_it_builds():
    assert type(il.load(save({"backbone": f"{__name__}.build"})).backbone) is il.backbones.GMF
    refuse(il.load, save({"backbone": f"{__name__}.build_untold"}), "build_untold' as backbone")


class Mine(pl.LightningModule):
    def __init__(self, anything, sizes: list[int], options: dict | None = None, **more):
        super().__init__()
        self.given = anything, sizes, options, more


@pytest.mark.parametrize(
    "value",
    [SYSTEM, YAML, [SYSTEM], {"a": SYSTEM}, {"a": [YAML]}, "class_path: os.system", f"[{YAML}]"],
)
@pytest.mark.parametrize("name", ["anything", "options", "more"])
def test_arguments_without_a_type(name, value):
    stored = {"_class_path": f"{__name__}.Mine", "_instantiator": "pytorch_lightning.cli."}
    stored["_instantiator"] += "instantiate_module"
    good = stored | {"anything": "lazy_module.Net", "sizes": [1], "options": {"a": "evil_module.B"}}
    path = save({}, Path("mine.ckpt"))
    content = torch.load(path, weights_only=True) | {"state_dict": {}}
    torch.save(content | {"hyper_parameters": good | {name: value}}, path)
    refuse(il.load, path, f"as {name}")
    torch.save(content | {"hyper_parameters": good}, path)
    with pytest.warns(UserWarning, match="contains no parameters"):
        assert il.load(path).given == ("lazy_module.Net", [1], {"a": "evil_module.B"}, {})
    assert not Path("pwned").exists()
    assert "evil_module" not in sys.modules


def test_arguments_in_place_of_stored_ones_are_trusted():
    path = save({"unlabeled_loss": SYSTEM})
    loaded = il.Recommender.load_from_checkpoint(path, unlabeled_loss=None)
    assert loaded.unlabeled_criterion is None
