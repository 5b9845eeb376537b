"""The command line: its own help and lists, which load neither PyTorch nor Lightning."""

import inspect
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch_lightning.cli import LightningCLI

import invlightning as il
import invlightning_start as start
from invlightning.cli import InverseLearningCLI, run
from tests.helpers.cli_runs import printed_config

ROOT = Path(il.__file__).parents[1]
CONFIGS = ROOT / "configs"


def in_a_process(code):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "samplers"]])
def test_answers_without_loading_torch(arguments):
    """Seen to fail with an import of ``invlightning`` in the module."""
    done = in_a_process(
        f"import sys; sys.argv[1:] = {arguments}\n"
        "import invlightning_start\n"
        "try: invlightning_start.main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "found = {'torch', 'pytorch_lightning', 'numpy', 'invlightning'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) > 10


def names(kind):
    return {line.split()[0] for line in start.listing(kind).splitlines()[1:]}


@pytest.mark.parametrize(
    ("kind", "room"), [("methods", "method"), ("data", "data"), ("backbones", "backbone")]
)
def test_every_config_of_a_room_is_listed(kind, room):
    assert names(kind) == {path.stem for path in (CONFIGS / room).glob("*.yaml")}


def test_every_config_is_listed_with_a_summary():
    rows = dict(start.configs())
    found = {path.relative_to(CONFIGS).with_suffix("") for path in CONFIGS.rglob("*.yaml")}
    assert {Path(name) for name in rows} == found
    assert all(10 < len(summary) < 160 for summary in rows.values())


def test_every_sampler_that_can_be_built_is_listed():
    """Backbones and methods are listed by their configs."""
    kinds = (il.NegativeSampler, il.data.PositiveResampler)
    classes = [getattr(il.data.samplers, name) for name in il.data.samplers.__all__]
    built = [c for c in classes if issubclass(c, kinds) and not inspect.isabstract(c)]
    assert names("samplers") == {c.__name__ for c in built}


def test_an_unknown_list_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as stop:
        start.answer(["list", "losses"])
    assert stop.value.code == 2
    known = "methods, backbones, data, samplers, configs"
    assert capsys.readouterr().err == (
        f"error: there is no list of 'losses': give one of {known}.\n"
    )


def test_a_line_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    lines = start.listing("methods").splitlines()[1:]
    assert max(map(len, lines)) <= 60
    assert any(line.endswith(" ...") for line in lines)


def test_help_names_every_command():
    text = start.HELP[start.HELP.index("commands:") : start.HELP.index("examples:")]
    named = {line.split()[0] for line in text.splitlines()[1:] if line.startswith("  ")}
    assert named == {*InverseLearningCLI.subcommands(), "recommend", "list"}


@pytest.mark.parametrize("example", start.EXAMPLES.splitlines())
def test_every_example_of_the_help_parses(example, capsys):
    command, *arguments = shlex.split(example)[1:]
    if command == "list":
        start.answer([command, *arguments])
        return
    if "--ckpt_path" in arguments:  # there is no such file
        del arguments[arguments.index("--ckpt_path") :][:2]
    assert printed_config(capsys, *arguments)["model"]["class_path"].startswith("invlightning.")


def test_help_of_a_command_is_short(capsys):
    texts = []
    for option in ("--help", "--trainer.help"):
        with pytest.raises(SystemExit) as stop:
            run(["fit", option])
        assert stop.value.code == 0
        texts.append(capsys.readouterr().out)
    ours, of_trainer = texts
    # Lines would depend on how many classes of models other tests made known.
    assert len([line for line in ours.splitlines() if line.strip().startswith("-")]) < 30
    assert "--trainer.help" in ours
    assert "--trainer.max_epochs MAX" not in ours
    assert "Lightning" not in ours.splitlines()[0]
    for option in ("--config", "--monitor", "--model", "--data", "--ckpt_path"):
        assert f"  {option} " in ours or f", {option} " in ours
        assert f"  {option} " not in of_trainer
    assert "--trainer.max_epochs MAX_EPOCHS" in of_trainer


def test_help_of_the_parser_says_the_same(capsys):
    with pytest.raises(SystemExit):
        run(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert " ".join(start.DESCRIPTION.split()) in text
    assert set(LightningCLI.subcommands()) <= set(text.replace(",", " ").split())


def test_a_closed_pipe_is_no_error():
    code = "import invlightning_start as s; s.answer = lambda _: print('x' * 10**6); s.main()"
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} | head -c 1",
        shell=True, capture_output=True, text=True, env=path,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("x", "")
