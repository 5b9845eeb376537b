"""Both views of a model after every epoch, and how it annotates rows whose label is hidden."""

from typing import Any

import pytorch_lightning as pl
import torch

from invlightning.data.rows import TEST, VAL
from invlightning.evaluation_mode import evaluation_mode
from invlightning.metrics import LabeledMetrics, RankingMetrics
from invlightning.metrics.functional import auc

Row = dict[str, Any]
MEASURED = {"auc": "auc", "gauc": "gauc", "full_ndcg@20": "ndcg", "recall@20": "recall"}


class Watch(pl.Callback):
    """Evaluates validation and test rows after every epoch, without a choice; counts steps too."""

    def __init__(self) -> None:
        self.epochs: list[Row] = []
        self.shares = torch.zeros(3)
        self.steps = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: object) -> None:
        """Counts the choices of inverse gradients."""
        record = getattr(pl_module, "last_step", None)
        if record is not None:
            self.shares += record.shares.float()
            self.steps += 1

    @torch.no_grad()
    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Evaluates both parts."""
        data = trainer.datamodule
        row: Row = {"epoch": trainer.current_epoch + 1}
        with evaluation_mode(pl_module):
            loaders = {VAL: data.val_dataloader(), TEST: data.test_dataloader()}
            for part, name in ((VAL, "val"), (TEST, "test")):
                found = evaluate(pl_module, loaders[part])
                row |= {f"{name}_{short}": found[long] for long, short in MEASURED.items()}
            hidden = data.rows.hidden
            if len(hidden.labels):
                users, items = hidden.pairs.users(), hidden.pairs.items.long()
                row["annotation_auc"] = float(auc(pl_module(users, items), hidden.labels))
        self.epochs.append(row)

    def best(self) -> Row:
        """The epoch of best validation AUC, and the shares of the choices over all of them."""
        best = max(self.epochs, key=lambda row: row["val_auc"])
        names = ("none", "inverse", "direct")
        shares = (self.shares / max(self.steps, 1)).tolist()
        return {"annotation_auc": float("nan"), **best, **dict(zip(names, shares, strict=True))}


def evaluate(model: Any, loaders: list[Any]) -> dict[str, float]:
    """Metrics of both views over the loaders of a part."""
    own = model.labeled_metrics, model.ranking_metrics
    model.labeled_metrics = torch.nn.ModuleList([LabeledMetrics()])
    model.ranking_metrics = torch.nn.ModuleList([RankingMetrics(ks=(20,))])
    for loader in loaders:
        for batch in loader:
            model.validation_step(batch, 0)
    metrics = (*model.labeled_metrics, *model.ranking_metrics)
    values = {name: float(value) for m in metrics for name, value in m.compute().items()}
    model.labeled_metrics, model.ranking_metrics = own
    return values
