"""Configs by name: ``--config ig_ncf.yaml`` finds the packaged file."""

import sys
from pathlib import Path

from pytorch_lightning.cli import ArgsType

from invlightning_start import config_folder

FLAGS = ("-c", "--config")


def find_config(name: str) -> str:
    """The path of a config.

    Args:
        name: A path, or the name of a packaged config such as ``ig_ncf.yaml`` or
            ``data/coat.yaml`` (also with ``configs/`` in front). An address or the text of a
            config is returned as it is.

    Returns:
        ``name`` itself if there is such a file, else the packaged file of that name.

    Raises:
        FileNotFoundError: If it names a YAML file that is neither; the message lists the packaged
            ones.
    """
    if Path(name).is_file() or "://" in name or not name.endswith((".yaml", ".yml")):
        return name
    folder = config_folder()
    packaged = folder / name.removeprefix("configs/")
    if packaged.is_file():
        return str(packaged)
    known = ", ".join(
        sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))
    )
    raise FileNotFoundError(
        f"there is no config {name!r} in {str(Path.cwd())!r}, nor a packaged one of that name: "
        f"give the path of a file, or one of {known}."
    )


def packaged_configs(args: ArgsType) -> list[str]:
    """Replaces names of packaged configs by their paths.

    Args:
        args: Command-line arguments; None takes those of the process.

    Raises:
        TypeError: If ``args`` is a mapping; only lists of strings name configs.
    """
    if args is not None and not isinstance(args, list):
        raise TypeError(f"args must be a list of strings or None, got {type(args).__name__}.")
    found: list[str] = []
    for argument in sys.argv[1:] if args is None else args:
        flag, is_pair, value = argument.partition("=")
        if found and found[-1] in FLAGS:
            argument = find_config(argument)
        elif is_pair and flag in FLAGS:
            argument = f"{flag}={find_config(value)}"
        found.append(argument)
    return found
