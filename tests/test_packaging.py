"""What is installed is what the repository holds."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import invlightning as il

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text()
MODULES = sorted((ROOT / "invlightning").rglob("*.py"))


def test_every_package_ships():
    found = {
        ".".join(folder.relative_to(ROOT).parts) for folder in {path.parent for path in MODULES}
    }
    configs = {path.parent for path in (ROOT / "configs").rglob("*.yaml")}
    found |= {".".join(("invlightning", *folder.relative_to(ROOT).parts)) for folder in configs}
    assert set(re.findall(r'^  "(invlightning[\w.]*)",$', PYPROJECT, re.MULTILINE)) == found


def test_the_command_starts_beside_the_package():
    assert 'py-modules = ["invlightning_start"]' in PYPROJECT
    assert 'invlightning = "invlightning_start:main"' in PYPROJECT
    found = {name.split(".")[0] for name in imports(ROOT / "invlightning_start.py")}
    assert found <= {"invlightning", *sys.stdlib_module_names}


def test_version_is_one():
    assert f'version = "{il.__version__}"' in PYPROJECT


def test_public_names_exist_and_are_sorted():
    rooms = [
        "backbones",
        "callbacks",
        "data",
        "inverse",
        "losses",
        "metrics",
        "modules",
        "optim",
        "outputs",
    ]
    for room in ["", *(f".{name}" for name in rooms)]:
        module = importlib.import_module("invlightning" + room)
        assert all(hasattr(module, name) for name in module.__all__)
        assert sorted(module.__all__) == sorted(set(module.__all__))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_are_declared_dependencies(path):
    declared = {"torch", "pytorch_lightning", "torchmetrics", "numpy", "pandas", "pyarrow"}
    allowed = declared | {
        "jsonargparse",
        "typing_extensions",
        "invlightning",
        "invlightning_start",
        *sys.stdlib_module_names,
    }
    assert {name.split(".")[0] for name in imports(path)} <= allowed


GROUND = {
    "inverse": {"compat", "inverse", "sparse", "specs"},
    "losses": {"losses", "specs", "types"},
    "backbones": {"backbones", "compat", "memory", "evaluation_mode", "specs", "types"},
    "metrics": {"metrics"},
    "optim": {"optim", "sparse", "memory"},
    "data": {"data", "evaluation_mode", "specs", "types"},
    "modules": {
        "modules", "compat", "evaluation_mode", "inverse", "losses", "backbones", "metrics",
        "optim", "data", "loading", "sparse", "specs", "stored_specs", "types",
    },
    "callbacks": {
        "callbacks", "compat", "modules", "evaluation_mode", "inverse", "losses", "metrics", "data",
        "specs", "types",
    },
    "outputs": {"outputs", "modules", "data", "loading", "evaluation_mode"},
}  # fmt: skip


@pytest.mark.parametrize("room", GROUND)
def test_floors(room):
    """No import runs upward; the engine knows nothing of Lightning."""
    for path in (ROOT / "invlightning" / room).rglob("*.py"):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "invlightning":
                assert len(parts) > 1, f"{path} imports the top of the package"
                assert parts[1] in GROUND[room], f"{path} imports {name}"
            assert room != "inverse" or parts[0] != "pytorch_lightning"


@pytest.mark.parametrize("name", ["compat", "sparse"])
def test_the_ground_floor_stands_on_nothing(name):
    """The engine imports it and stays plain PyTorch; annotations may name Lightning's classes."""
    statements = ast.parse((ROOT / f"invlightning/{name}.py").read_text()).body
    found = {s.module for s in statements if isinstance(s, ast.ImportFrom)}
    found |= {alias.name for s in statements if isinstance(s, ast.Import) for alias in s.names}
    allowed = {"torch", "numpy", "typing_extensions", "invlightning.compat"}
    allowed |= set(sys.stdlib_module_names)
    assert {n for n in found if n.split(".")[0] not in allowed} <= allowed


def test_import_is_silent_and_light():
    """No warning of ours, and no optional dependency on import."""
    code = (
        "import sys, invlightning\n"
        "heavy = {'sklearn', 'tensorboard', 'hypothesis', 'pytest', 'IPython'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip(), done.stderr.strip()) == ("[]", "")
