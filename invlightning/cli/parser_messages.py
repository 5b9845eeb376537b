"""What the parser says about a wrong argument, in one sentence with the nearest right name."""

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from types import ModuleType

import pytorch_lightning as pl

_KEY = re.compile(r'Parser key "([\w.]+)":')
_OPTION = re.compile(r"Option '([\w.]+)' is not accepted(?:.*class_path='([\w.]+)')?")
_CLASS = re.compile(r"Problem with given class_path '([\w.]+)'")
_TYPE = re.compile(r"Expected an? (?:<class '(\w+)'>|typing\.Literal\[([^\]]*)\])")
_VALUE = re.compile(r"(?:Got|Given) value: (.*)")
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_MISSING = re.compile(r"the following arguments are required: ([\w, ]+)")
_GIVEN_CLASS = re.compile(r"Given value: Namespace\(class_path='[\w.]*?(\w+)'")
_UNKNOWN = (
    re.compile(r"unrecognized arguments: (--[\w.]+)"),
    re.compile(r"does not accept option '([\w.]+)'"),
)
_TOP = (
    "config",
    "monitor",
    "seed_everything",
    "ckpt_path",
    "untrained",
    "model",
    "data",
    "trainer",
)
_ROOMS = ("backbones", "losses", "data", "inverse", "optim", "callbacks", "modules", "")


def plain_message(text: str) -> str:
    """Turns what the parser says into a sentence.

    Args:
        text: The message of jsonargparse, many lines about types it tried.

    Returns:
        The sentence; the message itself if it is of no known kind.
    """
    explanations = (explain(text) for explain in (_option, _missing, _type, _class, _argument))
    return next((found for found in explanations if found is not None), text)


def _option(text: str) -> str | None:
    """An argument that a class does not take."""
    match = _OPTION.search(text)
    if match is None:
        return None
    owner = match[2] or (_CLASS.findall(text[: match.start()]) or [""])[-1]
    meant, taker = _nearest(match[1], _parameters(owner)), owner.rpartition(".")[2]
    return f"--{_key(text)}.{match[1]} is no option of {taker}{meant}"


def _missing(text: str) -> str | None:
    """Arguments that a class cannot do without."""
    match = _MISSING.search(text)
    key = _key(text[: match.start()]) if match is not None else ""
    if match is None or not key:
        return None
    names = [f"--{key}.{name}" for name in match[1].split(", ")]
    taker = _GIVEN_CLASS.search(text, match.end())
    whose = f" by {taker[1]}" if taker is not None else ""
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} required{whose}."


def _type(text: str) -> str | None:
    """A value of another type, by the innermost key that the parser names."""
    inner = text[text.rfind("Parser key") :]
    value = _VALUE.search(inner)
    types = _TYPE.findall(inner[: value.start()]) if value is not None else []
    names = [name or literal for name, literal in types if name != "NoneType"]
    if value is None or not names:
        return None
    given = value[1].partition(". Got value")[0]
    return f"--{_key(text)} is {given!r}, expected {' or '.join(names)}."


def _class(text: str) -> str | None:
    """A class that nobody knows, or that does not belong there."""
    match = _NO_CLASS.search(text)
    if match is None:
        return None
    key, known = _key(text), set(_known_classes())
    if match[1] in known:
        return f"--{key} is {match[1]!r}, which is a class of another kind: see fit --help."
    return (
        f"--{key} is {match[1]!r}, which is no class known here{_nearest(match[1], known)} A class "
        "of your own is named by its dotted path, such as my_project.Net."
    )


def _argument(text: str) -> str | None:
    """An argument of the command itself, or a key of a config."""
    match = next((found for kind in _UNKNOWN if (found := kind.search(text))), None)
    if match is None:
        return None
    name = match[1].removeprefix("--")
    first, _, rest = name.partition(".")
    if first == "trainer":
        return f"--{name} is no option{_nearest(rest, inspect.signature(pl.Trainer).parameters)}"
    return f"--{name} is no option{_nearest(first, _TOP)}"


def _key(text: str) -> str:
    """The key on the command line, by the keys that the parser names on the way to it."""
    return ".".join(_KEY.findall(text))


def _nearest(name: str, names: Iterable[str]) -> str:
    """The end of a sentence, with the name that was probably meant."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."


def _parameters(path: str) -> Iterable[str]:
    """Arguments of the class at a dotted path, which the parser has imported."""
    module, _, name = path.rpartition(".")
    found: object = getattr(importlib.import_module(module), name, None) if module else None
    return inspect.signature(found).parameters if callable(found) else ()


def _known_classes() -> Iterator[str]:
    """Public names of the package, and the optimizers of torch."""
    for room in _ROOMS:
        module: ModuleType = importlib.import_module(f"invlightning.{room}".rstrip("."))
        yield from (name for name in getattr(module, "__all__", ()) if name[:1].isupper())
    yield from importlib.import_module("torch.optim").__all__
