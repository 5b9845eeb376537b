"""The monitors report what happened, and do not change it."""

from functools import partial

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from sklearn.metrics import roc_auc_score

import invlightning as il
from invlightning.callbacks import AnnotationMonitor, DirectionMonitor
from invlightning.losses.functional import inverse_dual_weights
from invlightning.metrics.functional import auc
from tests.helpers.forms import table
from tests.helpers.trainers import make_trainer

GMF = partial(il.backbones.GMF, embedding_dim=4)


def data(**arguments):
    return il.SyntheticDataModule(num_users=60, num_items=50, batch_size=64, **arguments)


def fit(model, callbacks, tmp_path=None, datamodule=None, **flags):
    logger = CSVLogger(tmp_path) if tmp_path else False
    trainer = make_trainer(
        max_epochs=2, logger=logger, callbacks=callbacks, log_every_n_steps=5, **flags
    )
    trainer.fit(model, data() if datamodule is None else datamodule)
    return trainer


class Recorder(pl.Callback):
    """Keeps what every step chose."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if pl_module.last_step is not None:
            self.steps.append((int(pl_module.last_step.choice), pl_module.last_step.risks.tolist()))


def test_direction_shares_and_risks_equal_the_steps(tmp_path):
    recorder = Recorder()
    model = il.InverseGradientRecommender(GMF, schedule="every_batch", inner_lr=0.05)
    trainer = fit(model, [recorder, DirectionMonitor(every_n_steps=7)], tmp_path)
    table = pd.read_csv(f"{trainer.logger.log_dir}/metrics.csv")
    logged = table[table["direction/none"].notna()]
    per_epoch = len(recorder.steps) // 2
    sizes = ([7] * (per_epoch // 7) + [per_epoch % 7]) * 2
    assert len(logged) == len([size for size in sizes if size])
    position = 0
    for (_, row), size in zip(logged.iterrows(), sizes, strict=True):
        steps = recorder.steps[position : position + size]
        position += size
        for index, name in enumerate(["none", "inverse", "direct"]):
            share = sum(choice == index for choice, _ in steps) / size
            assert row[f"direction/{name}"] == pytest.approx(share, abs=1e-6)
            mean = sum(risks[index] for _, risks in steps) / size
            assert row[f"risk/{name}"] == pytest.approx(mean, rel=1e-5)
    assert len({choice for choice, _ in recorder.steps}) > 1


def test_direction_monitor_works_over_the_callback():
    loss = il.losses.InverseDualLoss()
    callback = il.callbacks.InverseGradientCallback(unlabeled_loss=loss)
    trainer = fit(il.Recommender(GMF), [callback, DirectionMonitor()])
    shares = [trainer.callback_metrics[f"direction/{n}"] for n in ("none", "inverse", "direct")]
    assert float(sum(shares)) == pytest.approx(1.0)


class Weights(pl.Callback):
    """Computes on every batch what the monitor reports of the epoch."""

    def __init__(self):
        self.weights, self.truth, self.held_out = [], [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.__init__()

    @torch.no_grad()
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        logits = pl_module(batch.users.unsqueeze(1), batch.unlabeled_items)
        self.weights.append(inverse_dual_weights(logits).flatten())
        rows = trainer.datamodule.interactions
        held = (trainer.datamodule.rows.parts != 0) & (rows.labels > 0)
        pairs = set(zip(rows.users[held].tolist(), rows.items[held].tolist(), strict=True))
        for user, items in zip(batch.users.tolist(), batch.unlabeled_items.tolist(), strict=True):
            for item in items:
                true = trainer.datamodule.truth(torch.tensor([user]), torch.tensor([item]))
                self.truth.append(bool(true))
                self.held_out.append((user, item) in pairs)


@pytest.mark.filterwarnings("ignore:.* annotated")
def test_annotation_statistics_equal_plain_ones():
    watcher = Weights()
    model = il.Recommender(GMF, unlabeled_loss=il.losses.InverseDualLoss(weight=0.1))
    trainer = fit(model, [watcher, AnnotationMonitor(every_n_steps=1)])
    found = trainer.callback_metrics
    weights = torch.cat(watcher.weights)
    data = trainer.datamodule
    expected = {
        "mean": weights.mean(),
        "share": (weights > 0.5).float().mean(),
        "auc": auc(weights, torch.tensor(watcher.truth)),
        "held_out": sum(watcher.held_out) / len(watcher.held_out),
        "prior": data.rows.labeled().labels.mean(),
        "bin_4": ((weights >= 0.4) & (weights < 0.5)).float().mean(),
    }
    for name, value in expected.items():
        assert float(found[f"annotation/{name}"]) == pytest.approx(float(value), abs=1e-5), name
    assert sum(float(found[f"annotation/bin_{i}"]) for i in range(10)) == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore:.* annotated")
def test_monitors_change_nothing():
    weights = []
    for callbacks in ([], [AnnotationMonitor(every_n_steps=1), DirectionMonitor(1)]):
        pl.seed_everything(3, verbose=False)
        backbone = partial(il.backbones.MLP, embedding_dim=4, dropout=0.3)
        model = il.InverseGradientRecommender(backbone)
        fit(model, callbacks)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[1][name], value) for name, value in weights[0].items())


def test_drift_to_one_class_is_reported():
    """Positives only: everything becomes positive, which the monitor says once."""
    users, items = torch.meshgrid(torch.arange(40), torch.arange(30), indexing="ij")
    seen = torch.rand(users.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    positives = il.ArrayDataModule(users[seen], items[seen], batch_size=32)
    model = il.Recommender(
        GMF,
        unlabeled_loss=il.losses.InverseDualLoss(),
        optimizer=partial(torch.optim.Adam, lr=0.1),
    )
    with pytest.warns(UserWarning, match="annotated positive") as caught:
        fit(model, [AnnotationMonitor()], datamodule=positives)
    assert len([w for w in caught if "annotated positive" in str(w.message)]) == 1


def test_modules_without_unlabeled_logits_are_refused():
    class Bare(pl.LightningModule):
        pass

    with pytest.raises(ValueError, match=r"must define unlabeled_logits\(batch\)"):
        AnnotationMonitor().on_fit_start(pl.Trainer(logger=False, accelerator="cpu"), Bare())


@pytest.mark.parametrize("monitor", [DirectionMonitor, AnnotationMonitor])
def test_steps_between_logs_must_be_positive(monitor):
    with pytest.raises(ValueError, match="every_n_steps must be at least 1"):
        monitor(every_n_steps=0)


@pytest.mark.parametrize("form", ["module", "callback"])
def test_exposed_rows_are_measured_against_hidden_labels(form):
    """The AUC of the weights that the loss gives, by another library."""
    data = il.ArrayDataModule(
        *table(), positive_threshold=0.5, batch_size=4096, labeled_fraction=0.3, meta_fraction=0.0,
        epoch="exposed",
    )  # fmt: skip
    loss = il.losses.InverseDualLoss(prior=0.4)
    module = il.Recommender(GMF, exposed_loss=loss if form == "module" else None)
    inverse = il.callbacks.InverseGradientCallback(exposed_loss=loss)
    callbacks = [il.callbacks.AnnotationMonitor(), *([inverse] if form == "callback" else [])]
    trainer = make_trainer(max_epochs=1, callbacks=callbacks)
    trainer.fit(module, data)
    found = trainer.callback_metrics
    hidden = data.rows.hidden
    users, items = hidden.pairs.users(), hidden.pairs.items.long()
    with torch.no_grad():
        weights = loss.weights(module(users, items))
    expected = roc_auc_score(hidden.labels, weights)
    assert float(found["annotation/exposed/auc"]) == pytest.approx(expected, abs=5e-4)
    assert float(found["annotation/exposed/mean"]) == pytest.approx(0.4, abs=1e-4)
    assert "annotation/mean" not in found
