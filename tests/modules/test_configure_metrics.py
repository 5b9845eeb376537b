"""Metrics of one's own, in both views."""

import pytest
import torch
from pytorch_lightning.strategies import DDPStrategy
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import BinaryAccuracy

import invlightning as il
from tests.helpers.forms import ADAM, GMF, NextItems, fit, make_data
from tests.helpers.trainers import make_trainer


class Accuracy(BinaryAccuracy):
    """Of labeled rows; one scalar."""

    def update(self, scores, labels, users):
        super().update(scores.sigmoid(), labels.long())


class FirstHit(Metric):
    """Share of users whose first item is a target; a mapping."""

    def __init__(self):
        super().__init__()
        self.mean = MeanMetric()

    def update(self, hits, num_targets):
        self.mean.update(hits[:, 0].float())

    def compute(self):
        return {"first_hit": self.mean.compute()}


class WithAccuracy(il.Recommender):
    def configure_metrics(self):
        labeled, ranking = super().configure_metrics()
        return [*labeled, Accuracy()], [*ranking, FirstHit()]


class OnlyAccuracy(il.Recommender):
    def configure_metrics(self):
        return [Accuracy()], []


def test_metrics_are_added_to_both_views():
    trainer = make_trainer()
    trainer.fit(WithAccuracy(GMF, optimizer=ADAM), make_data())
    found = trainer.callback_metrics
    assert {"val_accuracy", "val_first_hit", "val_auc", "val_recall@20"} <= set(found)
    model, data = trainer.lightning_module, trainer.datamodule
    rows = data.rows.labeled(1)
    with torch.no_grad():
        right = (model(rows.users.long(), rows.items.long()) > 0) == rows.labels.bool()
    assert float(found["val_accuracy"]) == pytest.approx(right.float().mean().item())
    results = trainer.test(model, data, verbose=False)
    assert any("test_accuracy" in result for result in results)


def test_metrics_are_exchanged():
    trainer = make_trainer(max_epochs=1)
    trainer.fit(OnlyAccuracy(GMF), make_data())
    assert [name for name in trainer.callback_metrics if name.startswith("val_")] == [
        "val_accuracy"
    ]


@pytest.mark.ddp
def test_two_processes_give_the_metrics_of_one():
    found = []
    for processes in (1, 2):
        data = make_data(sampler=NextItems(), batch_size=32 // processes)
        strategy = DDPStrategy(start_method="fork") if processes == 2 else "auto"
        make = lambda: (WithAccuracy(GMF, optimizer=ADAM), [])  # noqa: E731
        flags = {"devices": processes, "strategy": strategy, "max_epochs": 1}
        found.append(fit(make, data, **flags)[1].callback_metrics)
    for name in ("val_accuracy", "val_first_hit"):
        assert float(found[1][name]) == pytest.approx(float(found[0][name]), abs=1e-6)
