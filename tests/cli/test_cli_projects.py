"""The command line with classes of other projects."""

import os
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest
import torch

import invlightning as il
from invlightning.cli import run
from tests.helpers.cli_runs import QUIET, TINY, TINY_RUNS, plain_lightning_cli

pytestmark = TINY_RUNS


def test_plain_lightning_cli(monkeypatch):
    """Another project's LightningCLI takes our classes by path."""
    Path("project.yaml").write_text(
        textwrap.dedent("""
        trainer:
          max_epochs: 1
          logger: false
          accelerator: cpu
          enable_progress_bar: false
          enable_model_summary: false
          callbacks:
            - class_path: invlightning.callbacks.DirectionMonitor
        model:
          class_path: invlightning.InverseGradientRecommender
          init_args:
            backbone: {class_path: invlightning.backbones.BiasedMF, init_args: {embedding_dim: 4}}
            optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}
            direction: sgd
        data:
          class_path: invlightning.SyntheticDataModule
          init_args: {num_users: 30, num_items: 40, interactions_per_user: 20, batch_size: 64}
        """)
    )
    done = plain_lightning_cli(monkeypatch, "fit", "--config", "project.yaml")
    assert done.trainer.current_epoch == 1
    assert type(done.model) is il.InverseGradientRecommender
    assert type(done.trainer.optimizers[0]) is torch.optim.SGD


USER_MODULE = """
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.losses import UnlabeledLoss


class Dot(il.Backbone):
    def __init__(self, num_users: int, num_items: int, width: int = 3) -> None:
        super().__init__(num_users, num_items)
        self.user = torch.nn.Embedding(num_users, width)
        self.item = torch.nn.Embedding(num_items, width)

    def forward(self, users, items):
        return (self.user(users) * self.item(items)).sum(-1)


class Shrink(UnlabeledLoss):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits):
        return self.scale * logits.square().mean()


class FirstItems(il.NegativeSampler):
    def sample(self, users, num_unlabeled, generator):
        shape = (users.numel(), num_unlabeled)
        return torch.randint(5, shape, generator=generator, device=users.device)


class Mine(il.Recommender):
    def __init__(self, bonus: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.bonus = bonus


class Plain(pl.LightningModule):
    \"\"\"No test_step, no predict_step, no data of ours.\"\"\"

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.net = torch.nn.Linear(width, 1)

    def training_step(self, batch, batch_idx):
        return self.net(torch.ones(2, 2)).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture
def user_module(monkeypatch):
    """A module file in the working directory, as a user of the console script has it."""
    name = "my_recommenders"
    Path(f"{name}.py").write_text(USER_MODULE)
    sys.path.insert(0, os.getcwd())
    yield name
    sys.modules.pop(name, None)


def test_classes_of_a_user(user_module):
    """Own backbone, loss, sampler and module, by dotted path, down to a reloaded checkpoint."""
    done = run(
        [
            *("fit", f"--model={user_module}.Mine", "--model.bonus=0.5"),
            *(f"--model.backbone={user_module}.Dot", "--model.backbone.width=2"),
            *(f"--model.unlabeled_loss={user_module}.Shrink", "--model.unlabeled_loss.scale=0.1"),
            "--data=SyntheticDataModule",
            f"--data.sampler={user_module}.FirstItems",
            *(*TINY, *QUIET, "--trainer.max_epochs=1"),
        ]
    )
    loaded = il.load(done.trainer.checkpoint_callback.best_model_path)
    assert type(loaded).__name__ == "Mine"
    assert (loaded.bonus, loaded.unlabeled_criterion.scale) == (0.5, 0.1)
    assert loaded.backbone.user.weight.shape == (30, 2)
    assert type(done.datamodule.active_sampler).__name__ == "FirstItems"
    pd.testing.assert_frame_equal(loaded.recommend([3], {}), done.model.recommend([3], {}))


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`")
def test_module_without_test_step(user_module, capsys):
    """Any LightningModule trains; what it cannot do is left out."""
    args = [f"--model={user_module}.Plain", "--data=SyntheticDataModule", *TINY, *QUIET]
    done = run(["fit", *args, "--trainer.max_epochs=1"])
    out = capsys.readouterr().out
    assert "Metrics" not in out
    assert f"  checkpoint  {done.trainer.checkpoint_callback.best_model_path}" in out
