"""The Python of the README runs as printed."""

import re
import sys
import types
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import invlightning as il

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
QUICKSTART, *OWN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_quickstart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.print", lambda *args: None)
    quiet = "max_epochs=1, logger=False, enable_progress_bar=False"
    code = QUICKSTART.replace("max_epochs=10", quiet)
    assert code != QUICKSTART
    exec(compile(code, "README", "exec"), {})


@pytest.fixture
def own_classes(monkeypatch):
    """The classes of the section "Bring your own", as a module."""
    module = types.ModuleType("my_project")
    monkeypatch.setitem(sys.modules, "my_project", module)
    module.__dict__["__name__"] = "my_project"
    exec(compile("\n".join(OWN), "README", "exec"), module.__dict__)
    return module


def trainer():
    return pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_own_backbone_loss_and_sampler(own_classes):
    model = il.InverseGradientRecommender(own_classes.Dot, unlabeled_loss=own_classes.Entropy())
    data = il.SyntheticDataModule(sampler=own_classes.HeadSampler())
    trainer().fit(model, data)
    assert model.hparams["backbone"] == {"class_path": "my_project.Dot"}
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
def test_own_module(own_classes):
    module = own_classes.MyModule()
    before = [p.detach().clone() for p in module.parameters()]
    run = trainer()
    run.fit(module, il.SyntheticDataModule(num_users=600, num_items=400))
    assert module.last_step is not None
    assert not any(torch.equal(p, q) for p, q in zip(before, module.parameters(), strict=True))


def test_own_suite_passes(own_classes):
    suite = own_classes.TestDot()
    checks = [name for name in dir(suite) if name.startswith("test_")]
    assert len(checks) > 5
    for name in checks:
        getattr(suite, name)()
