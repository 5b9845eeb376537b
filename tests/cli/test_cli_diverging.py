"""A run whose numbers are lost ends with its reason, and says where the last good weights lie."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torchmetrics import Metric

import invlightning as il
from invlightning.cli import run
from tests.helpers.cli_runs import SMALL, TINY_RUNS
from tests.helpers.forms import ADAM, GMF, make_data
from tests.helpers.trainers import make_trainer

pytestmark = TINY_RUNS


class Diverges(pl.Callback):
    """Loses the weights in the third epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            with torch.no_grad():
                for parameter in pl_module.parameters():
                    parameter.fill_(torch.nan)


class Vanishes(Metric):
    """A number at set-up and in two epochs, and none from then on."""

    asked = 0

    def update(self, *rows):
        pass

    def compute(self):
        type(self).asked += 1
        return torch.tensor(float(self.asked) if self.asked <= 3 else torch.nan)


class Watched(il.Recommender):
    def configure_metrics(self):
        labeled, ranking = super().configure_metrics()
        return [*labeled, Vanishes()], ranking


def test_a_diverged_run_tells_its_best_checkpoint(capsys):
    """Seen to fail: the sentence stood alone."""
    callback = "--trainer.callbacks+=tests.cli.test_cli_diverging.Diverges"
    with pytest.raises(ValueError, match="the model has diverged, try a smaller learning rate"):
        run(["fit", "--config=ig_ncf.yaml", *SMALL, callback])
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("Training ended")]
    path = Path(line.removeprefix("Training ended early; the best checkpoint so far is "))
    assert path.is_file()
    assert path.name.startswith(("epoch=0", "epoch=1"))
    assert all(value.isfinite().all() for value in il.load(path).backbone.state_dict().values())


def test_early_stopping_ends_a_run_whose_metric_became_nan(tmp_path):
    """Seen to fail: the metric was left out, and its last number counted again and again."""
    Vanishes.asked = 0
    stopping = EarlyStopping("val_vanishes", mode="max", patience=50)
    best = ModelCheckpoint(tmp_path, monitor="val_vanishes", mode="max")
    trainer = make_trainer(
        tmp_path, callbacks=[stopping, best], max_epochs=9, num_sanity_val_steps=0
    )
    trainer.fit(Watched(GMF, optimizer=ADAM), make_data())
    assert stopping.stopped_epoch == 2
    assert "is not finite" in stopping.stopping_reason_message
    assert Path(best.best_model_path).name.startswith("epoch=1")
