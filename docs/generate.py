"""Writes the pages of the site that are made from the package: configs, commands and notebooks."""

import contextlib
import io
import os
import shutil
from pathlib import Path

import invlightning_start as start
from invlightning.cli import InverseLearningCLI, run

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "": "Front doors, which run alone",
    "method": "Methods",
    "backbone": "Backbones",
    "data": "Data",
}


def write_all(folder: Path) -> None:
    """Writes all of them into a folder of the site."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "configs.md").write_text(configs_page(), encoding="utf-8")
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, folder / path.name)


def configs_page() -> str:
    """Every packaged config: what it is and its YAML."""
    parts = [
        "# Configs\n\nFound by name from anywhere; later ones are laid over earlier ones. "
        "`invlightning list configs` shows their names."
    ]
    folder = start.config_folder()
    rooms = sorted({path.parent for path in folder.rglob("*.yaml")})
    for room in rooms:
        name = "" if room == folder else room.relative_to(folder).as_posix()
        parts.append(f"## {ROOMS.get(name, name.capitalize())}")
        for path in sorted(room.glob("*.yaml")):
            title = path.relative_to(folder).as_posix()
            text = path.read_text(encoding="utf-8").strip()
            parts.append(f"### `{title}`\n\n```yaml\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """The help of every command, as the command line prints it."""
    parts = [
        "# Commands",
        f"```text\n{start.HELP.strip()}\n```",
        "## list",
        *(f"```text\n{start.listing(kind)}\n```" for kind in start.LISTS),
    ]
    for command in InverseLearningCLI.subcommands():
        parts.append(f"## {command}\n\n```text\n{help_of(command).strip()}\n```")
    return "\n\n".join(parts) + "\n"


def help_of(command: str) -> str:
    """What ``invlightning COMMAND --help`` prints, in lines of 100 characters."""
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        run([command, "--help"])
    if before is None:
        del os.environ["COLUMNS"]
    else:
        os.environ["COLUMNS"] = before
    return out.getvalue()
