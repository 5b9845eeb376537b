"""What a run monitors, by one option and by default."""

import pandas as pd
import pytest
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from invlightning.cli import monitors, run
from tests.helpers.cli_runs import QUIET, SMALL, TINY_RUNS

pytestmark = TINY_RUNS
STOPS = "--trainer.callbacks+=pytorch_lightning.callbacks.EarlyStopping"


def monitored(cli):
    kinds = (EarlyStopping, ModelCheckpoint)
    return [(c.monitor, c.mode) for c in cli.trainer.callbacks if isinstance(c, kinds)]


@pytest.fixture
def likes(tmp_path):
    """A table of positives alone, as arguments."""
    rows = [(user, (user * 7 + step * 5) % 40) for user in range(30) for step in range(12)]
    path = tmp_path / "likes.csv"
    pd.DataFrame(rows, columns=["user", "item"]).to_csv(path, index=False)
    return [
        *("--config=naive_ncf.yaml", "--data=TableDataModule", f"--data.path={path}"),
        *("--data.num_unlabeled=1", "--model.backbone=GMF", "--model.backbone.embedding_dim=4"),
        *("--data.rating_column=null", *QUIET, "--trainer.max_epochs=1"),
    ]


MODES = [("val_gauc", "max"), ("val_log_loss", "min"), ("val_disliked@20", "min")]


@pytest.mark.parametrize(("metric", "mode"), MODES)
def test_one_option_changes_what_every_callback_monitors(metric, mode):
    """Seen to fail with the callbacks left alone, and with the mode left alone."""
    cli = run(
        [
            *("fit", "--config=idl_ncf.yaml", STOPS, "--trainer.callbacks.monitor=val_auc"),
            *(f"--monitor={metric}", *SMALL, "--trainer.max_epochs=1"),
        ]
    )
    assert monitored(cli) == [(metric, mode)] * 2
    names = [type(callback).__name__ for callback in cli.trainer.callbacks]
    assert "AnnotationMonitor" in names
    assert cli.trainer.checkpoint_callback.best_model_score is not None


def test_a_config_may_say_what_is_monitored():
    cli = run(
        ["fit", "--config=base.yaml", "--config=method/bpr.yaml", *SMALL, "--trainer.max_epochs=1"]
    )
    assert monitored(cli) == [("val_gauc", "max")]


@pytest.mark.filterwarnings("ignore:.*no negatives", "ignore:every training row is a positive")
def test_positives_alone_are_monitored_by_the_catalogue(likes, monkeypatch):
    """Seen to fail without the callback; the run reports nothing that it calls undefined."""
    told = []
    monkeypatch.setattr(monitors, "rank_zero_info", told.append)
    cli = run(["fit", *likes])
    assert monitored(cli) == [("val_full_ndcg@20", "max")]
    assert cli.trainer.checkpoint_callback.best_model_score is not None
    assert "val_auc is undefined, as the validation part holds positives alone" in told[0]
    assert not [name for name in cli.trainer.callback_metrics if name.endswith("log_loss")]


@pytest.mark.filterwarnings("ignore:.*no negatives", "ignore:every training row is a positive")
def test_what_is_asked_for_and_undefined_is_refused(likes):
    with pytest.raises(ValueError, match="monitors 'val_auc', which needs labeled positives"):
        run(["fit", *likes, "--monitor=val_auc"])


def test_nothing_to_monitor_is_refused():
    with pytest.raises(ValueError, match="no ModelCheckpoint or EarlyStopping is among the"):
        run(["fit", "--config=bce_ncf.yaml", "--trainer.callbacks=null", "--monitor=val_auc"])
