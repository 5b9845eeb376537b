"""The internals of torch and Lightning that the package relies on are still there.

Seen in torch 2.13.0 and Lightning 2.6.6. A test that fails after an update says which entry of
``invlightning.compat`` has to follow.
"""

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningCLI
from torch import nn

from invlightning.compat import (
    CLASS_PATH,
    INSTANTIATOR,
    MODULE_INSTANTIATOR,
    CheckpointArgument,
    FitProgress,
    TravelingTensors,
    edit_count,
    is_compiled,
    logged_step,
    saves_by_time,
    sparse_entries,
    trainer_of,
)
from tests.helpers.trainers import make_trainer

FILES = sorted((Path(__file__).resolve().parent.parent / "invlightning").rglob("*.py"))
# Of named tuples, documented under these names; and of a base class in another file.
DOCUMENTED = {"_replace", "_asdict", "_make", "_fields", "_later"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: "/".join(p.parts[-2:]))
def test_internals_of_others_are_touched_here_alone(path):
    foreign = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and re.match("_[a-z]", node.attr)
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    }
    assert path.name == "compat.py" or foreign <= DOCUMENTED


class Line(pl.LightningModule):
    """One weight; remembers the steps of its logs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.steps = []

    def training_step(self, batch, batch_idx):
        self.log("loss", 1.0)
        return (self.weight * batch).sum()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.steps.append(logged_step(self.trainer))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Loader:
    """Five batches, and a state as a resumable loader has one."""

    def __iter__(self):
        return iter(torch.ones(5, 1))

    def __len__(self):
        return 5

    def state_dict(self):
        return {"epoch": 7}

    def load_state_dict(self, state):
        pass


def fit(tmp_path, module, **flags):
    given = {"max_epochs": 1, "enable_checkpointing": False, **flags}
    trainer = make_trainer(tmp_path, **given)
    trainer.fit(module, Loader())
    return trainer


@pytest.mark.parametrize("edit", [nn.init.zeros_, lambda x: x[1:].add_(1), lambda x: x.copy_(x)])
def test_edit_count_grows_with_an_edit_in_place(edit):
    """Torch 2.13.0."""
    tensor = torch.ones(3)
    before = edit_count(tensor)
    tensor + 1
    assert edit_count(tensor) == before
    edit(tensor)
    assert edit_count(tensor) > before


def test_sparse_entries_are_given_before_coalescing():
    """Torch 2.13.0."""
    rows, values = torch.tensor([[2, 0, 2]]), torch.arange(6.0).view(3, 2)
    tensor = torch.sparse_coo_tensor(rows, values, (4, 2), check_invariants=True)
    found = sparse_entries(tensor)
    assert torch.equal(found[0], rows)
    assert torch.equal(found[1], values)


def test_is_compiled_looks_into_a_module():
    """Torch 2.13.0; nothing is compiled before the first call."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    assert not is_compiled(net)
    net[1][0].compile(backend="eager")
    assert is_compiled(net)
    assert not is_compiled(net[0])


def test_plain_tensors_travel_with_their_module():
    """Torch 2.13.0; within another module too, and not into the state dict."""
    inner = TravelingTensors()
    inner.counts, inner.factors = torch.arange(3), torch.ones(3)
    outer = nn.Sequential(inner)
    assert outer.double() is outer
    assert (inner.factors.dtype, inner.counts.dtype) == (torch.float64, torch.int64)
    outer.to("meta")
    assert inner.counts.is_meta
    assert not outer.state_dict()


def test_trainer_of_a_module_that_may_have_none(tmp_path):
    """Lightning 2.6.6, whose ``module.trainer`` raises without one."""
    module = Line()
    assert trainer_of(module) is None
    with pytest.raises(RuntimeError, match="not attached"):
        _ = module.trainer
    trainer = fit(tmp_path, module)
    assert trainer_of(module) is trainer


def test_logged_step_is_that_of_lightnings_own_logs(tmp_path):
    """Lightning 2.6.6: steps before the batch, in windows of two batches."""

    class Recorder(pl.loggers.CSVLogger):
        steps = ()

        def log_metrics(self, metrics, step=None):
            self.steps = (*self.steps, step)

    module, logger = Line(), Recorder(tmp_path)
    fit(tmp_path, module, accumulate_grad_batches=2, logger=logger, log_every_n_steps=1)
    assert module.steps == [0, 0, 1, 1, 2]
    assert logger.steps == (0, 1, 2)


def test_saves_by_time():
    """Lightning 2.6.6."""
    assert saves_by_time(ModelCheckpoint(train_time_interval=timedelta(minutes=1)))
    assert not saves_by_time(ModelCheckpoint(every_n_train_steps=3))
    assert not saves_by_time(ModelCheckpoint())


def dumped(tmp_path, **flags):
    """The checkpoint after a run, as ``Trainer.save_checkpoint`` writes it."""
    trainer = fit(tmp_path, Line(), **flags)
    path = tmp_path / "some.ckpt"
    trainer.save_checkpoint(path)
    return torch.load(path, weights_only=True)


@pytest.mark.filterwarnings("ignore:`Trainer.fit` stopped")
def test_fit_progress_reads_what_a_trainer_wrote(tmp_path):
    """Lightning 2.6.6, in the middle of the second epoch."""
    progress = FitProgress(dumped(tmp_path, max_epochs=4, max_steps=8))
    assert progress.loaders == [{"epoch": 7}]
    assert (progress.epochs_done, progress.batches_done) == (2, 3)
    assert (progress.is_in_flight, progress.is_last_batch) == (False, False)


def test_fit_progress_of_a_finished_epoch(tmp_path):
    """Lightning 2.6.6."""
    progress = FitProgress(dumped(tmp_path, max_epochs=2))
    assert (progress.epochs_done, progress.batches_done) == (2, 5)
    assert (progress.is_in_flight, progress.is_last_batch) == (False, True)


def test_reopened_progress_is_that_of_a_checkpoint_between_batches(tmp_path):
    """Lightning 2.6.6: the same as what its own callback writes after the third batch."""
    keeper = ModelCheckpoint(tmp_path, "between", every_n_train_steps=8, save_top_k=-1)
    ended = dumped(
        tmp_path, max_epochs=4, max_steps=8, callbacks=[keeper], enable_checkpointing=True
    )
    between = torch.load(tmp_path / "between.ckpt", weights_only=True)
    FitProgress(ended).reopen(1, is_last_batch=False, stepped=True)
    names = ("epoch_progress", "epoch_loop.batch_progress", "epoch_loop.state_dict")
    for name in names:
        assert ended["loops"]["fit_loop"][name] == between["loops"]["fit_loop"][name]


def test_a_checkpoint_says_its_class_under_these_keys(tmp_path):
    """Lightning 2.6.6: ``load_from_checkpoint`` of the base class builds that class."""
    path = tmp_path / "line.ckpt"
    named = {CLASS_PATH: f"{__name__}.Line", INSTANTIATOR: MODULE_INSTANTIATOR}
    checkpoint = {"state_dict": Line().state_dict(), "hyper_parameters": named}
    torch.save({**checkpoint, "pytorch-lightning_version": pl.__version__}, path)
    loaded = pl.LightningModule.load_from_checkpoint(path, weights_only=True)
    assert type(loaded) is Line


def test_a_command_line_decides_what_a_checkpoint_means_for_the_arguments(monkeypatch):
    """Lightning 2.6.6: asked once, before anything is built."""
    asked = []
    monkeypatch.setattr("sys.argv", ["fit"])

    class CommandLine(CheckpointArgument, LightningCLI):
        def settle_checkpoint(self, adopt):
            asked.append((adopt, hasattr(self, "model")))

    cli = CommandLine(Line, run=False, args=["--trainer.logger=false"], save_config_callback=None)
    [(adopt, built)] = asked
    assert not built
    assert adopt.__func__ is LightningCLI._parse_ckpt_path
    assert isinstance(cli.model, Line)
