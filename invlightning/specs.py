"""Plain descriptions of objects, so that hyper-parameters survive safe loading.

A spec is ``{"class_path": ..., "init_args": {...}}`` with plain values inside: the form that
LightningCLI reads from YAML. Objects built in Python are described in the same form, so a
checkpoint holds no pickled code and reloads under ``weights_only=True``.
"""

import inspect
from functools import partial
from types import FunctionType
from typing import Any, TypeVar

T = TypeVar("T", bound="Specified")


class Specified:
    """Remembers the arguments it was constructed with, for :func:`to_spec`.

    Attributes:
        init_args: The arguments given to the constructor, by name; defaults are left out.
    """

    init_args: dict[str, Any]

    def __new__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        """Records the arguments by the names that ``__init__`` gives them."""
        self = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        given = dict(signature.bind_partial(self, *args, **kwargs).arguments)
        given.pop(next(iter(signature.parameters)), None)
        for parameter in signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL and parameter.name in given:
                raise TypeError(
                    f"{cls.__name__} was given *{parameter.name}, whose values have no names to be "
                    "saved under: name the arguments of its __init__."
                )
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                given.update(given.pop(parameter.name, {}))
        # object.__setattr__: nn.Module refuses attributes before its own __init__ has run.
        object.__setattr__(self, "init_args", given)
        return self


def import_path(obj: Any) -> str:
    """Returns the dotted path under which a class or function can be imported again.

    Raises:
        TypeError: If ``obj`` is a lambda or is defined inside a function.
    """
    path = f"{obj.__module__}.{obj.__qualname__}"
    if "<" in path:
        raise TypeError(
            f"{path} cannot be imported again when a checkpoint is loaded: pass a class of a "
            "module or functools.partial(ClassName, argument=value), not a lambda or a local "
            "definition."
        )
    return path


def _partial_spec(factory: "partial[Any]") -> dict[str, Any]:
    # LightningCLI hands over partial(helper, instantiator, Class, **init_args).
    chain = (factory.func, *factory.args)
    classes = [part for part in chain if isinstance(part, type)]
    if not classes or (factory.args and factory.args[-1] is not classes[-1]):
        raise TypeError(
            f"cannot describe {factory!r} for the checkpoint: use functools.partial of a class, "
            "with keyword arguments only."
        )
    init_args = {name: to_spec(value) for name, value in factory.keywords.items()}
    return {"class_path": import_path(classes[-1]), "init_args": init_args}


def to_spec(value: Any) -> Any:
    """Turns a constructor argument into plain containers and scalars.

    Args:
        value: A scalar, a container, a class, ``functools.partial`` of a class, an importable
            function or an instance of :class:`Specified`.

    Returns:
        What YAML would say: scalars and containers as they are, classes, partials and instances
        as ``{"class_path", "init_args"}``, functions as their import path.

    Raises:
        TypeError: If the value has no plain description (a lambda, a live module, ...).
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [to_spec(entry) for entry in value]
    if isinstance(value, dict):
        return {name: to_spec(entry) for name, entry in value.items()}
    if isinstance(value, Specified):
        return {"class_path": import_path(type(value)), "init_args": to_spec(value.init_args)}
    if isinstance(value, type):
        return {"class_path": import_path(value)}
    if isinstance(value, partial):
        return _partial_spec(value)
    if isinstance(value, FunctionType):
        return import_path(value)
    raise TypeError(
        f"cannot describe {value!r} of type {type(value).__name__} for the checkpoint: pass a "
        "class, functools.partial of a class, or an instance of a class of invlightning."
    )
