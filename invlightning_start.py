"""Where the command ``invlightning`` starts: its help and its lists need no PyTorch.

It stands beside the package, since importing anything of the package loads PyTorch and Lightning,
which takes seconds. What is listed is read from the files: the comments over the configs, and the
docstrings of the classes.
"""

import ast
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

DESCRIPTION = """\
Train recommenders on feedback that is almost all unlabeled: what was shown and judged by nobody,
and what was never shown, is not simply negative. Labeled rows decide what the rest may teach.
"""

EXAMPLES = """\
invlightning list methods
invlightning fit --config ig_ncf.yaml
invlightning fit --config base.yaml --config method/idl.yaml --config data/movielens-100k.yaml
invlightning fit --config ig_ncf.yaml --config backbone/gmf.yaml --trainer.max_epochs 5
invlightning fit --config ig_ncf.yaml --data TableDataModule --data.path my.csv
invlightning test --config ig_ncf.yaml --ckpt_path BEST.ckpt
invlightning predict --config ig_ncf.yaml --ckpt_path BEST.ckpt --data.predict_users '[7, 42]'
"""

HELP = f"""\
usage: invlightning COMMAND [--config FILE ...] [--model.NAME VALUE ...] [--data.NAME VALUE ...]

{DESCRIPTION}
commands:
  fit        trains, tests the best checkpoint and says where everything lies
  validate   metrics of the validation part
  test       metrics of the test part
  predict    recommendations for users, as a table
  recommend  recommendations for everybody from a checkpoint alone, as CSV or Parquet
  list       what there is: methods, backbones, data, samplers, configs

examples:
{textwrap.indent(EXAMPLES, "  ")}
A config is found by name from anywhere; later ones and options override earlier ones.
`invlightning COMMAND --help` shows the options, `--version` the versions.
"""

Rows = Iterator[tuple[str, str]]


def package_folder() -> Path:
    """The folder of the package, which is found and not imported."""
    spec = find_spec("invlightning")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("invlightning is not installed beside invlightning_start.")
    return Path(spec.origin).parent


def config_folder() -> Path:
    """The folder of the packaged configs; in a source checkout, the one beside the package."""
    installed = package_folder() / "configs"
    return installed if installed.is_dir() else installed.parents[1] / "configs"


def first_sentence(text: str) -> str:
    """The first sentence of a text in one line, without its full stop."""
    line = " ".join(text.split())
    return re.split(r"(?<!\bal)\.(?= [A-Z]|$)", line)[0].rstrip(":.")


def config_summary(path: Path) -> str:
    """What the comment over a config says first."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("#") for line in lines[:4] if line.startswith("#")]
    text = "\n".join(line for line in head if not line.startswith("  "))
    return first_sentence(re.sub(r": +invlightning .*", ".", text))


def configs(room: str = "**") -> Rows:
    """Names of the configs of a room, such as ``method``, and what each is."""
    folder = config_folder()
    top = folder if room == "**" else folder / room
    for path in sorted(folder.glob(f"{room}/*.yaml")):
        yield path.relative_to(top).as_posix().removesuffix(".yaml"), config_summary(path)


def classes(room: str) -> Iterator[ast.ClassDef]:
    """The classes of the files of a folder of the package."""
    for path in sorted((package_folder() / room).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from (node for node in tree.body if isinstance(node, ast.ClassDef))


def methods() -> Rows:
    """The methods, each of which is a config."""
    return configs("method")


def data() -> Rows:
    """The data sets, each of which is a config."""
    return configs("data")


def backbones() -> Rows:
    """The backbones that a config chooses, by the first sentence of their class."""
    summaries = {node.name: ast.get_docstring(node) or "" for node in classes("backbones")}
    for name, _ in configs("backbone"):
        text = (config_folder() / "backbone" / f"{name}.yaml").read_text(encoding="utf-8")
        chosen = re.findall(r"class_path: invlightning\.backbones\.(\w+)", text)
        yield name, first_sentence(summaries[chosen[0]])


def samplers() -> Rows:
    """The samplers: every class of the room that is not abstract."""
    for node in classes("data/samplers"):
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        if not bases & {"ABC", "NamedTuple"}:
            yield node.name, first_sentence(ast.get_docstring(node) or "")


# What is listed, and what to do with a name of it.
LISTS: dict[str, tuple[Callable[[], Rows], str]] = {
    "methods": (methods, "invlightning fit --config base.yaml --config method/NAME.yaml"),
    "backbones": (backbones, "invlightning fit --config ig_ncf.yaml --config backbone/NAME.yaml"),
    "data": (data, "invlightning fit --config ig_ncf.yaml --config data/NAME.yaml"),
    "samplers": (samplers, "invlightning fit --config naive_ncf.yaml --data.sampler NAME"),
    "configs": (configs, "invlightning fit --config NAME.yaml, several are laid over each other"),
}


def listing(kind: str) -> str:
    """One line for each of a kind, cut to the width of the terminal, and how a name is used."""
    rows_of, use = LISTS[kind]
    rows = list(rows_of())
    width = max(len(name) for name, _ in rows)
    columns = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 200
    lines = [_cut(f"  {name:<{width}}  {summary}", columns) for name, summary in rows]
    return "\n".join([f"{kind} ({use})", *lines])


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else line[: columns - 4].rstrip() + " ..."


def main() -> None:
    """The console script; an output that is closed early, as by ``| head``, is no error."""
    try:
        answer(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def answer(arguments: list[str]) -> None:
    """Answers at once, or hands over to :mod:`invlightning.cli`."""
    if arguments in ([], ["-h"], ["--help"], ["list", "-h"], ["list", "--help"]):
        print(HELP)
        raise SystemExit(0 if arguments else 2)
    if arguments[0] == "list":
        print_lists(arguments[1:])
        return
    from invlightning.cli import main as run_command  # loads PyTorch and Lightning

    run_command()


def print_lists(kinds: list[str]) -> None:
    """Prints some of :data:`LISTS`, or all where none is named; exits if there is none such."""
    unknown = [kind for kind in kinds if kind not in LISTS]
    if unknown:
        known = ", ".join(LISTS)
        print(f"error: there is no list of {unknown[0]!r}: give one of {known}.", file=sys.stderr)
        raise SystemExit(2)
    print("\n\n".join(listing(kind) for kind in kinds or LISTS))
