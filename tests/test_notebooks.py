"""Every notebook runs from top to bottom; small sizes are enough to see that."""

import ast
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Replaces the knobs of the same names in the cell tagged "parameters".
SMALL = {
    "num_users": 60,
    "num_items": 50,
    "interactions_per_user": 20,
    "batch_size": 128,
    "max_epochs": 2,
    "seeds": (0,),
}


def is_parameters(cell: Any) -> bool:
    return "parameters" in cell.metadata.get("tags", [])


def with_small_knobs(source: str) -> str:
    """The cell with every knob of SMALL that it sets assigned again below."""
    targets = [node.targets[0] for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    small = [f"{name} = {SMALL[name]!r}" for name in SMALL if name in names]
    assert "max_epochs" in names, f"the knobs {sorted(names)} lack max_epochs"
    return "\n".join([source, *small])


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
    assert sum(is_parameters(cell) for cell in notebook.cells) == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel tests this tree too
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if is_parameters(cell):
            cell.source = with_small_knobs(cell.source)
    resources = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources=resources
    )
    client.execute()  # raises at the first cell that fails
    assert not list(tmp_path.iterdir()), "a notebook leaves files in its folder"
