"""The command line: what bad input looks like at a terminal."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import invlightning as il
from invlightning import cli
from invlightning.cli import console
from tests.helpers.cli_runs import QUIET


def console_error(monkeypatch, capsys, *args):
    """What ``main`` prints about bad input."""
    monkeypatch.setattr(sys, "argv", ["invlightning", *args])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err[err.index("error:") :].splitlines()


TABLE = [
    "fit",
    "--config=ig_ncf.yaml",
    "--data=TableDataModule",
    "--data.rating_column=stars",
    *QUIET,
]


def test_input_errors_are_one_sentence(monkeypatch, capsys):
    Path("table.csv").write_text("user,item,score\n1,2,3\n")
    missing_file = console_error(monkeypatch, capsys, *TABLE, "--data.path=nope.csv")
    assert missing_file[0].startswith("error: there is no file 'nope.csv'")
    missing_column = console_error(monkeypatch, capsys, *TABLE, "--data.path=table.csv")
    assert missing_column[0].startswith("error: table.csv has no column 'stars'; its columns are")
    # The parser wraps what a constructor says.
    range_ = console_error(
        monkeypatch, capsys, *TABLE, "--data.path=x", "--data.labeled_fraction=2"
    )
    assert range_[0] == "error: labeled_fraction must be in (0, 1], got 2.0."
    config = console_error(monkeypatch, capsys, "fit", "--config=nope.yaml")
    assert config[0].startswith("error: there is no config 'nope.yaml'")
    hint = "(Set INVLIGHTNING_DEBUG=1 to see where it was raised.)"
    assert all(err[1:] == [hint] for err in (missing_file, missing_column, range_, config))


def test_traceback_on_demand(monkeypatch):
    monkeypatch.setenv(console.DEBUG, "1")
    monkeypatch.setattr(sys, "argv", ["invlightning", *TABLE, "--data.path=nope.csv"])
    with pytest.raises(FileNotFoundError):
        cli.main()


def test_errors_of_other_code_keep_their_traceback():
    for error in (ValueError("not ours"), FileNotFoundError("not ours")):
        with pytest.raises(type(error), match="not ours"), console.console():
            raise error
    with pytest.raises(RuntimeError), console.console():  # ours, but not about the input
        il.SyntheticDataModule().interactions  # noqa: B018
    with pytest.raises(KeyboardInterrupt), console.console():
        raise KeyboardInterrupt


def test_python_dash_m():
    command = [sys.executable, "-m", "invlightning", "fit", "--config", "nope.yaml"]
    path = os.pathsep.join([str(Path(il.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: there is no config 'nope.yaml'")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_cannot_be_written_is_one_sentence(number, monkeypatch, capsys):
    """Seen to fail: a full disk ended in the traceback of whoever wrote."""

    def write(*_):
        raise OSError(number, os.strerror(number), "runs")

    monkeypatch.setattr(cli.command, "run", write)
    [told, _] = console_error(monkeypatch, capsys, "fit")
    assert told == f"error: [Errno {number}] {os.strerror(number)}: 'runs'"
