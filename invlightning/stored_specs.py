"""Hyper-parameters of a checkpoint, checked before anything is built from them.

A checkpoint names classes, and whoever wrote it chose the names. So each name is looked up among
what is imported already, and has to be of the kind that its argument declares:

- an argument typed as a class takes that class and its subclasses;
- a factory, ``Callable[..., X]``, takes ``X``, its subclasses, and functions whose return
  annotation is one of them;
- an argument typed by plain values takes plain values; one without a type names no class.

Kinds of the standard library do not count: nothing of it is built.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from inspect import Parameter, signature
from types import FunctionType, ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from invlightning.compat import CLASS_PATH, INSTANTIATOR, MODULE_INSTANTIATOR

_SPEC_KEYS = {"class_path", "init_args", "dict_kwargs"}
_LEGACY_KEYS = ("hparams", "module_arguments")
_MAX_DEPTH = 32
# What YAML may read as a mapping or a list; the parser of hyper-parameters reads texts as YAML.
_STRUCTURE = re.compile(r"[{}\[\]]|:(\s|$)")

Types = tuple[Any, ...]


def check_stored(checkpoint: Mapping[str, Any], source: str, base: type) -> None:
    """Checks everything that the hyper-parameters of a checkpoint ask for.

    Nothing is imported, called or built.

    Args:
        checkpoint: A checkpoint as it was read.
        source: Where it comes from, for messages.
        base: What the class of the module has to be, or to come from.

    Raises:
        ValueError: If it asks for anything but imported classes of the right kind and plain values.
    """
    for key in _LEGACY_KEYS:
        if key in checkpoint:
            raise ValueError(
                f"{source} holds hyper-parameters as {key!r}, which no current version of "
                "Lightning writes: give a checkpoint that a Trainer saved."
            )
    stored = dict(checkpoint.get("hyper_parameters") or {})
    path, instantiator = stored.pop(CLASS_PATH, None), stored.pop(INSTANTIATOR, None)
    if path is None and instantiator is None:  # given to the class as they are
        return
    if instantiator != MODULE_INSTANTIATOR:
        raise ValueError(
            f"{source} asks to be built by {instantiator!r}: only {MODULE_INSTANTIATOR} builds "
            "modules."
        )
    module = base if path is None else imported(path)
    if module is None:
        raise ValueError(
            f"{source} belongs to {path!r}, and nothing that is imported has this name: import the "
            "module that defines it first."
        )
    if not _is_kind(module, (base,)):
        raise ValueError(f"{source} asks for {path!r} as its module, which is no {base.__name__}.")
    _Checker(source).arguments(module, stored, "", 0)


def imported(path: object) -> Any:
    """Looks a dotted name up among imported modules; None where nothing has it.

    Args:
        path: The name of a class or function, such as ``invlightning.backbones.gmf.GMF``.
    """
    parts = path.split(".") if isinstance(path, str) else []
    for cut in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:cut]))
        if isinstance(module, ModuleType):
            # vars, not getattr: modules may import or compute in __getattr__.
            found = vars(module).get(parts[cut])
            for name in parts[cut + 1 :]:
                found = vars(found).get(name) if isinstance(found, type) else None
            return found
    return None


class _Checker:
    """Walks through stored arguments beside the types that constructors declare.

    Args:
        source: Where the arguments come from, for messages.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def arguments(self, owner: type, given: Any, where: str, depth: int) -> None:
        """Checks arguments of the constructor of ``owner``."""
        if not isinstance(given, Mapping):
            self._refuse(where, f"{given!r}", f"arguments of {owner.__name__} by name")
        types, takes_more = _declared(owner)
        for name, value in given.items():
            place = f"{where}.{name}".removeprefix(".")
            if not isinstance(name, str) or not name.isidentifier():
                self._refuse(where or "the module", f"the argument {name!r}", "names of arguments")
            if name not in types and not takes_more:
                self._refuse(place, repr(value), f"no argument of {owner.__name__} with this name")
            self.value(value, types.get(name, (Any,)), place, depth + 1)

    def value(self, value: Any, types: Types, where: str, depth: int) -> None:
        """Checks one value beside the types that it may have."""
        if depth > _MAX_DEPTH:
            self._refuse(where, "values nested without end", f"at most {_MAX_DEPTH} levels")
        if isinstance(value, str):
            self._text(value, types, where)
        elif isinstance(value, Mapping):
            self._mapping(value, types, where, depth)
        elif isinstance(value, (list, tuple, set, frozenset)):
            entries = tuple(_inside(types, last_only=False))
            for entry in value:
                self.value(entry, entries, where, depth + 1)

    def _mapping(self, value: Mapping[Any, Any], types: Types, where: str, depth: int) -> None:
        if not _SPEC_KEYS.isdisjoint(value):
            self._spec(value, types, where, depth)
            return
        records = [kind for kind in _kinds(types) if is_dataclass(kind)]
        if records:
            self.arguments(records[0], value, where, depth)
            return
        if any(_kinds(types)):
            self._refuse(where, repr(value), f"{_names(types)}, by class_path")
        entries = tuple(_inside(types, last_only=True))
        for name, entry in value.items():
            self.value(entry, entries, f"{where}.{name}", depth + 1)

    def _spec(self, spec: Mapping[Any, Any], types: Types, where: str, depth: int) -> None:
        further = [key for key in spec if key not in _SPEC_KEYS]
        if further:
            self._refuse(where, f"a class with {further[0]!r}", "class_path and init_args alone")
        found = self._name(spec.get("class_path"), types, where)
        for key in ("init_args", "dict_kwargs"):
            if spec.get(key) is not None:
                if not isinstance(found, type):
                    self._refuse(where, f"arguments of {spec['class_path']}", "a function alone")
                self.arguments(found, spec[key], where, depth)

    def _text(self, value: str, types: Types, where: str) -> None:
        if any(_is_literal(one) and value in get_args(one) for one in types):
            return
        if any(_kinds(types)):
            self._name(value, types, where)
        elif _STRUCTURE.search(value) and any(_is_open(one) for one in types):
            self._refuse(where, repr(value), "plain text, which YAML reads as such")

    def _name(self, path: Any, types: Types, where: str) -> Any:
        found = imported(path)
        kinds = tuple(_kinds(types))
        if _is_kind(found, kinds) or _builds(found, tuple(_kinds(types, factories_only=True))):
            return found
        wanted = _names(types) if kinds else "a plain value"
        self._refuse(where, repr(path), wanted, isinstance(path, str) and found is None)

    def _refuse(self, where: str, found: str, expected: str, missing: bool = False) -> Any:
        unknown = " (nothing that is imported has this name: import its module first)"
        raise ValueError(
            f"{self.source} asks for {found}{unknown if missing else ''} as {where}, where "
            f"{expected} is expected: nothing was built from this checkpoint."
        )


def _declared(owner: type) -> tuple[dict[str, Types], bool]:
    """Types of the arguments of a constructor, and whether it takes others that nobody declares."""
    types: dict[str, Types] = {}
    for base in owner.__mro__:
        init = vars(base).get("__init__")
        if not isinstance(init, FunctionType):
            continue
        hints = _hints(init)
        parameters = list(signature(init).parameters.values())[1:]
        for one in parameters:
            if one.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
                types.setdefault(one.name, tuple(_options(hints.get(one.name, Any))))
        if not any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
            return types, False
    return types, True


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (AttributeError, NameError, TypeError):  # for type checkers alone: declares no class
        return {}


def _options(hint: Any) -> Iterator[Any]:
    """The alternatives of a type, such as ``X`` and ``None`` of ``X | None``."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for one in get_args(hint):
            yield from _options(one)
    elif origin is Annotated:
        yield from _options(get_args(hint)[0])
    else:
        yield hint


def _kinds(types: Iterable[Any], factories_only: bool = False) -> Iterator[type]:
    """The classes that a value may be an instance of, or that it may build or name."""
    for one in types:
        origin, args = get_origin(one), get_args(one)
        if origin in (Callable, type) and args:
            yield from _kinds(_options(args[-1] if origin is Callable else args[0]))
        elif not factories_only and _is_buildable(one):
            yield one


def _is_buildable(one: Any) -> bool:
    return isinstance(one, type) and one.__module__.split(".")[0] not in sys.stdlib_module_names


def _is_literal(one: Any) -> bool:
    origin: Any = get_origin(one)
    return origin is Literal


def _is_open(one: Any) -> bool:
    """Whether a type says nothing about the values, or holds classes somewhere inside."""
    if _is_literal(one):
        return False
    if args := get_args(one):
        return any(_is_open(inner) for arg in args for inner in _options(arg))
    return one is not Ellipsis and one not in (str, int, float, bool, bytes, complex, type(None))


def _inside(types: Iterable[Any], last_only: bool) -> Iterator[Any]:
    """The types of the entries of containers; anything at all where none is declared."""
    for one in types:
        args = () if get_origin(one) in (Callable, type, Literal) else get_args(one)
        for arg in args[-1:] if last_only else args:
            yield from _options(arg)
        if not args:
            yield Any


def _is_kind(found: Any, kinds: tuple[type, ...]) -> bool:
    # Not issubclass, which abstract classes may answer as they like.
    return isinstance(found, type) and any(kind in found.__mro__ for kind in kinds)


def _builds(found: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a function declares that it returns an instance of one of the classes."""
    return isinstance(found, FunctionType) and _is_kind(_hints(found).get("return"), kinds)


def _names(types: Types) -> str:
    return " or ".join(dict.fromkeys(kind.__name__ for kind in _kinds(types)))
