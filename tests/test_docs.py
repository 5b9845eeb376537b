"""Every snippet of the README and of the site runs as printed, and every link leads somewhere."""

import re
import shlex
import sys
import types
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
import invlightning_start as start
from invlightning.cli import run
from invlightning.cli.outputs import COMMANDS, parser_of

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
README, EXTENDING = ROOT / "README.md", DOCS / "guides" / "extending.md"
FOREIGN = DOCS / "guides" / "lightning_modules.md"
SITE = [path for path in sorted(DOCS.rglob("*.md")) if "generated" not in path.parts]
PAGES = [README, ROOT / "CONTRIBUTING.md", *SITE]
QUIET = (
    "max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False, "
    "accelerator='cpu'"
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* of the unlabeled rows are annotated"),  # of one epoch
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),  # the second training of a page
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`"),
]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def having(language):
    return [pytest.param(page, id=name_of(page)) for page in PAGES if blocks(page, language)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An own folder, as a user has one, and nothing printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("builtins.print", lambda *args, **kwargs: None)
    return tmp_path


@pytest.fixture
def python_of(folder, monkeypatch):
    """Runs the Python of a page, block after block, as a module of the user."""

    def execute(page):
        module = types.ModuleType("my_project")
        monkeypatch.setitem(sys.modules, "my_project", module)
        for code in blocks(page, "python"):
            quick = re.sub(r"max_epochs=\d+", QUIET, code)
            quick = quick.replace("pl.Trainer()", f"pl.Trainer({QUIET})")
            exec(compile(quick, name_of(page), "exec"), module.__dict__)
        return module

    return execute


@pytest.mark.parametrize("page", having("python"))
def test_python_of_a_page(page, python_of):
    python_of(page)


def commands(page):
    """The lines of a page that call the command, without what is for another machine."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if "invlightning" in words and "clone" not in words:
                yield words[words.index("invlightning") + 1 :]


@pytest.mark.parametrize("page", having("sh"))
def test_commands_of_a_page(page, folder, python_of):
    if page == EXTENDING:
        python_of(page)
    for command, *arguments in commands(page):
        if command == "list":
            start.answer([command, *arguments])
        elif command in COMMANDS:
            parser_of(command).parse_args(arguments)
        elif command != "--version" and "--help" not in arguments:
            parse(command, arguments)


def parse(command, arguments):
    """Reads arguments as the command does; there are no runs and checkpoints to go on from."""
    if "--ckpt_path" in arguments:
        del arguments[arguments.index("--ckpt_path") :][:2]
    there = ["ig_ncf.yaml" if word.startswith("runs/") else word for word in arguments]
    if any(word.startswith("--model.help") for word in there):
        there = there[: there.index("--model.help") + 2]
    else:
        there.append("--print_config")
    with pytest.raises(SystemExit) as stop:
        run([command, *there])
    assert stop.value.code == 0, " ".join(arguments)


@pytest.mark.parametrize("page", having("yaml"))
def test_yaml_of_a_page(page, folder):
    for number, text in enumerate(blocks(page, "yaml")):
        Path(f"{number}.yaml").write_text(text)
        parse("fit", ["--config", "ig_ncf.yaml", "--config", f"{number}.yaml"])


def test_readme_is_two_screens_and_shows_files_as_they_are():
    assert len(README.read_text().splitlines()) <= 150
    assert blocks(README, "yaml") == [(ROOT / "configs" / "ig_ncf.yaml").read_text()]
    [quickstart] = blocks(README, "python")
    assert len([line for line in quickstart.splitlines() if line]) <= 12


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_a_page(page):
    """Seen to fail with a page that was moved; anchors are checked where the site is built."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target
    for target in re.findall(r"(?:include|literalinclude)\} (\S+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_page_is_reached():
    """Sphinx warns about others, too; here nobody needs it."""
    trees = [tree for page in SITE for tree in blocks(page, "{toctree}")]
    named = {Path(line).name for tree in trees for line in tree.split() if line[0] != ":"}
    assert {page.stem for page in SITE} - {"index"} <= named
    rooms = {path.parent.name for path in (ROOT / "invlightning").glob("*/__init__.py")}
    assert rooms - {"cli"} <= {path.stem for path in (DOCS / "reference" / "api").glob("*.md")}


def test_promised_tests_exist():
    """Seen to fail with a test that was renamed."""
    lines = (DOCS / "reference" / "promises.md").read_text().splitlines()
    named = [found[1] for line in lines if (found := re.search(r"`(tests/\S+::\S+)` \|$", line))]
    assert len(named) == len([line for line in lines if line.startswith("| ")]) - 1
    for path, _, name in (test.partition("::") for test in named):
        assert f"\ndef {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def trainer():
    return pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_own_backbone_loss_and_sampler(python_of):
    own = python_of(EXTENDING)
    model = il.InverseGradientRecommender(own.Dot, unlabeled_loss=own.Entropy())
    data = il.SyntheticDataModule(sampler=own.HeadSampler())
    trainer().fit(model, data)
    assert model.hparams["backbone"] == {"class_path": "my_project.Dot"}
    assert all(p.isfinite().all() for p in model.parameters())


def test_own_suite_passes(python_of):
    suite = python_of(EXTENDING).TestDot()
    checks = [name for name in dir(suite) if name.startswith("test_")]
    assert len(checks) > 5
    for name in checks:
        getattr(suite, name)()


def test_own_metric_is_logged(python_of):
    run = trainer()
    run.fit(python_of(EXTENDING).Watched(il.backbones.GMF), il.SyntheticDataModule())
    assert "val_mean_score" in run.callback_metrics


def test_own_module(python_of):
    module = python_of(FOREIGN).MyModule()
    before = [p.detach().clone() for p in module.parameters()]
    run = trainer()
    run.fit(module, il.SyntheticDataModule(num_users=600, num_items=400))
    assert module.last_step is not None
    assert not any(torch.equal(p, q) for p, q in zip(before, module.parameters(), strict=True))
