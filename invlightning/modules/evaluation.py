"""Evaluation and recommendation: what every trained backbone can do in a Trainer."""

from typing import Any

import pandas as pd
import pytorch_lightning as pl
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import override

from invlightning.backbones import Backbone
from invlightning.metrics import Disliked, LabeledMetrics, RankingMetrics
from invlightning.metrics.functional import ranking_hits, top_unseen
from invlightning.modules.vocabularies import Vocabularies
from invlightning.types import LabeledBatch, RankingBatch


class EvaluatedModule(pl.LightningModule):
    """A LightningModule that evaluates a backbone both ways and recommends with it.

    Args:
        label_cutoff: Cut-off k of NDCG and HARM on labeled rows.
        top_k: Cut-off k of the full-catalogue metrics, and the number of items recommended.
        item_chunk: Items scored at a time in a full-catalogue ranking; bounds its memory.

    Attributes:
        backbone: The network, once it is built.
        vocabularies: Raw ids of users and items.
    """

    backbone: Backbone

    def __init__(self, label_cutoff: int, top_k: int, item_chunk: int) -> None:
        super().__init__()
        self.top_k, self.item_chunk = top_k, item_chunk
        self.vocabularies = Vocabularies()
        self.label_cutoff = label_cutoff
        labeled, ranking = self.configure_metrics()
        self.labeled_metrics, self.ranking_metrics = nn.ModuleList(labeled), nn.ModuleList(ranking)

    def configure_metrics(self) -> tuple[list[Metric], list[Metric]]:
        """The metrics of both views; override it to add some or to exchange them.

        A metric gives a mapping from names to scalars, which are logged behind ``val_`` or
        ``test_``, or one scalar, which is logged under the name of its class in small letters.
        What is not a number is left out. ``label_cutoff`` and ``top_k`` are set by then, other
        attributes of a subclass are not.

        Returns:
            Metrics of labeled rows, called with ``(scores, labels, users)``, ``(B,)`` each, and
            metrics of rankings, called with hits ``(B, top_k)`` and numbers of targets ``(B,)``;
            a :class:`~invlightning.metrics.Disliked` with those of the held-out dislikes.
        """
        ranking: list[Metric] = [RankingMetrics(ks=(self.top_k,)), Disliked(ks=(self.top_k,))]
        return [LabeledMetrics(k=self.label_cutoff)], ranking

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs; see :meth:`Backbone.forward`."""
        logits: Tensor = self.backbone(users, items)
        return logits

    # --------------------------------------------------------------------------- evaluation

    @override
    def validation_step(
        self, batch: LabeledBatch | RankingBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Gathers the metrics of a batch of labeled rows or of users to rank for."""
        self._evaluate(batch)

    @override
    def test_step(
        self, batch: LabeledBatch | RankingBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._evaluate(batch)

    @override
    def on_validation_epoch_end(self) -> None:
        """Logs the validation metrics."""
        self._log_metrics("val")

    @override
    def on_test_epoch_end(self) -> None:
        """Logs the test metrics."""
        self._log_metrics("test")

    def _evaluate(self, batch: LabeledBatch | RankingBatch) -> None:
        if isinstance(batch, LabeledBatch):
            scores = self(batch.users, batch.items)
            for metric in _listed(self.labeled_metrics):
                metric.update(scores, batch.labels, batch.users)
            return
        _, best = self._top_unseen(batch)
        num_items = self.backbone.num_items
        targets = ranking_hits(best, batch.target_rows, batch.target_items, num_items)
        for metric in _listed(self.ranking_metrics):
            if not isinstance(metric, Disliked):
                metric.update(*targets)
            elif batch.disliked_rows is not None and batch.disliked_items is not None:
                rows, items = batch.disliked_rows, batch.disliked_items
                metric.update(*ranking_hits(best, rows, items, num_items))

    def _log_metrics(self, stage: str) -> None:
        for metrics in (*_listed(self.labeled_metrics), *_listed(self.ranking_metrics)):
            if not metrics.update_called:
                continue
            found = metrics.compute()
            named = found if isinstance(found, dict) else {type(metrics).__name__.lower(): found}
            values = {f"{stage}_{name}": value for name, value in named.items()}
            # A metric that the rows cannot give (AUC without negatives) is left out; one that was
            # a number before is told, so that early stopping ends the run.
            before = self.trainer.callback_metrics
            defined = {n: value for n, value in values.items() if n in before or not value.isnan()}
            shown = defined.pop(f"{stage}_auc", None)
            if shown is not None:
                self.log(f"{stage}_auc", shown, prog_bar=True, sync_dist=True)
            self.log_dict(defined, sync_dist=True)
            metrics.reset()

    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        """Scores by which the catalogue is ranked.

        Args:
            users: ``(B,)`` user indices.
            start: First item.
            stop: One past the last item.

        Returns:
            ``(B, stop - start)`` scores.
        """
        return scores_of(self.backbone, users, start, stop)

    def _top_unseen(self, batch: RankingBatch) -> tuple[Tensor, Tensor]:
        return top_unseen(
            lambda start, stop: self.score_range(batch.users, start, stop),
            self.backbone.num_items,
            self.top_k,
            batch.seen_rows,
            batch.seen_items,
            self.item_chunk,
        )

    # ------------------------------------------------------------------------ recommendation

    @override
    def predict_step(self, batch: RankingBatch, batch_idx: int) -> pd.DataFrame:
        """The best unseen items of each user, with raw ids.

        Returns:
            Columns user, item, rank (from 1) and score (logit).
        """
        scores, items = self._top_unseen(batch)
        return self.vocabularies.table(batch.users, items, scores)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the raw ids to the checkpoint."""
        checkpoint["vocabularies"] = self.vocabularies.state_dict()

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the raw ids from the checkpoint, unless a data module gave the same before.

        Raises:
            ValueError: If the data module at hand has other ids.
        """
        stored = Vocabularies()
        stored.load_state_dict(checkpoint.get("vocabularies", {}))
        self.vocabularies.merge(stored)


def _listed(metrics: nn.ModuleList) -> list[Metric]:
    return [metric for metric in metrics if isinstance(metric, Metric)]


def scores_of(backbone: Backbone, users: Tensor, start: int, stop: int) -> Tensor:
    """Scores of a range of items, by ``score_all`` where it is the whole catalogue."""
    if (start, stop) == (0, backbone.num_items):
        return backbone.score_all(users)
    return backbone.score_range(users, start, stop)
