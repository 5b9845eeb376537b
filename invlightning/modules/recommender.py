"""The LightningModule that wraps a backbone: training on labeled and unlabeled rows, evaluation."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from invlightning.backbones import Backbone
from invlightning.losses import BinaryCrossEntropy, LabeledLoss, UnlabeledLoss
from invlightning.metrics import LabeledMetrics, RankingMetrics
from invlightning.metrics.functional import ranking_hits, top_unseen
from invlightning.modules.adapter import start_unlabeled_loss
from invlightning.modules.checks import check_monitors, check_sparse_optimizer
from invlightning.modules.trainer_data import any_data, implicit_data
from invlightning.modules.vocabularies import Vocabularies
from invlightning.specs import Specified, import_path, to_spec
from invlightning.types import RankingBatch, TrainBatch

if TYPE_CHECKING:
    from pytorch_lightning.utilities.types import OptimizerLRScheduler

BackboneCallable = Callable[[int, int], Backbone]


class Recommender(Specified, pl.LightningModule):
    """Trains a backbone on labeled rows and, with an unlabeled loss, on unlabeled ones.

    The training loss is ``labeled_loss + unlabeled_loss``, each a mean over its rows. Without an
    unlabeled loss this is the labeled-only control. Evaluation reports both views: the labeled
    rows (``val_auc``, ``val_gauc``, ``val_ndcg@10``, ``val_mrr``, ``val_harm@10``,
    ``val_log_loss``) and the full catalogue of unseen items (``val_recall@20``,
    ``val_full_ndcg@20``, ``val_hit_rate@20``); likewise with ``test_``.

    Args:
        backbone: Builds the network from ``(num_users, num_items)``: a Backbone class, or
            ``functools.partial`` of one.
        labeled_loss: Loss on labeled rows. None means ``BinaryCrossEntropy()``.
        unlabeled_loss: Loss on unlabeled rows. None trains on labeled rows only.
        optimizer: Builds the optimizer from the parameters. None means Adam with learning rate
            1e-3.
        lr_scheduler: Builds a scheduler from the optimizer, stepped every epoch. None keeps the
            learning rate.
        num_users: Number of users U. None takes it from the data module.
        num_items: Number of items I. None takes it from the data module.
        label_cutoff: Cut-off k of NDCG and HARM on labeled rows.
        top_k: Cut-off k of the full-catalogue metrics, and the number of items that ``predict``
            and :meth:`recommend` return.
        item_chunk: Items scored at a time in a full-catalogue ranking; bounds its memory.

    Raises:
        TypeError: If ``backbone`` is an instance, or an argument cannot be written to a
            checkpoint.
    """

    def __init__(
        self,
        backbone: BackboneCallable,
        labeled_loss: LabeledLoss | None = None,
        unlabeled_loss: UnlabeledLoss | None = None,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        num_users: int | None = None,
        num_items: int | None = None,
        label_cutoff: int = 10,
        top_k: int = 20,
        item_chunk: int = 65536,
    ) -> None:
        super().__init__()
        if isinstance(backbone, torch.nn.Module):
            raise TypeError(
                f"backbone is an instance of {type(backbone).__name__}: pass the class, or "
                f"functools.partial({type(backbone).__name__}, ...); the sizes come from the data."
            )
        self._save_specs()
        self.build_backbone = backbone
        self.labeled_criterion = labeled_loss if labeled_loss is not None else BinaryCrossEntropy()
        self.unlabeled_criterion = unlabeled_loss
        self.build_optimizer = optimizer
        self.build_lr_scheduler = lr_scheduler
        self.num_users, self.num_items = num_users, num_items
        self.top_k, self.item_chunk = top_k, item_chunk
        self.vocabularies = Vocabularies()
        self.labeled_metrics = LabeledMetrics(k=label_cutoff)
        self.ranking_metrics = RankingMetrics(ks=(top_k,))
        self.backbone: Backbone
        if num_users is not None and num_items is not None:
            self.configure_model()

    def _save_specs(self) -> None:
        """Saves the constructor arguments in the form that LightningCLI gives them.

        ``LightningModule.load_from_checkpoint`` then rebuilds any subclass, and a checkpoint made
        in Python is as safe to load as one made on the command line.
        """
        specs = {name: to_spec(value) for name, value in self.init_args.items()}
        instantiator = "pytorch_lightning.cli.instantiate_module"
        self.save_hyperparameters(
            {"_class_path": import_path(type(self)), "_instantiator": instantiator, **specs}
        )

    # ------------------------------------------------------------------------------- set-up

    def setup(self, stage: str) -> None:
        """Takes sizes and raw ids from the data module and prepares the losses."""
        self._adopt_sizes(any_data(self.trainer))
        data = implicit_data(self.trainer)
        if data is not None:
            self.vocabularies.adopt(data)
        if stage == "fit":
            check_monitors(self.trainer)
            if self.unlabeled_criterion is not None:
                start_unlabeled_loss(self.unlabeled_criterion, self.trainer)

    def _adopt_sizes(self, data: Any) -> None:
        for name in ("num_users", "num_items"):
            own, found = getattr(self, name), getattr(data, name, None)
            if own is not None and found is not None and own != found:
                raise ValueError(
                    f"the model was built for {name}={own}, but {type(data).__name__} has "
                    f"{found}: use the data it was trained on, or leave {name} out."
                )
            setattr(self, name, own if own is not None else found)

    def configure_model(self) -> None:
        """Builds the backbone once the sizes are known.

        Raises:
            ValueError: If neither the arguments nor the data module give the sizes.
        """
        if hasattr(self, "backbone"):
            return
        if self.num_users is None or self.num_items is None:
            raise ValueError(
                "num_users and num_items are unknown: train with a data module of invlightning, "
                "or pass both to the model."
            )
        self.backbone = self.build_backbone(self.num_users, self.num_items)
        self.hparams.update(num_users=self.num_users, num_items=self.num_items)

    def get_extra_state(self) -> Tensor:
        """The sizes ``(2,)``: part of the state dict, see :meth:`set_extra_state`."""
        return torch.tensor([self.num_users or 0, self.num_items or 0])

    def set_extra_state(self, state: Tensor) -> None:
        """Builds a missing backbone, just before its weights are loaded.

        After ``ddp_fork``, ``ddp_spawn`` or ``ddp_notebook`` the weights come back to a process
        that never saw the data; without a backbone there Lightning would silently drop them.
        """
        if not hasattr(self, "backbone"):
            self.num_users, self.num_items = (int(size) for size in state)
            self.configure_model()

    def configure_optimizers(self) -> "OptimizerLRScheduler":
        """Builds the optimizer and, where given, the scheduler."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        if self.build_optimizer is None:
            optimizer: torch.optim.Optimizer = torch.optim.Adam(parameters, lr=1e-3)
        else:
            optimizer = self.build_optimizer(parameters)
        check_sparse_optimizer(self, optimizer)
        if self.build_lr_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.build_lr_scheduler(optimizer)}

    # ----------------------------------------------------------------------------- training

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs; see :meth:`Backbone.forward`."""
        logits: Tensor = self.backbone(users, items)
        return logits

    def labeled_loss(self, batch: TrainBatch) -> Tensor:
        """Mean loss on the labeled rows, a scalar."""
        loss: Tensor = self.labeled_criterion(self(batch.users, batch.items), batch.labels)
        return loss

    def unlabeled_logits(self, batch: TrainBatch) -> Tensor:
        """Logits of the unlabeled pairs.

        Args:
            batch: A batch with unlabeled items.

        Returns:
            ``(B, K)``; or ``(M,)``, without the pairs that do not exist, if the batch has a mask.

        Raises:
            ValueError: If the batch has no unlabeled items.
        """
        if batch.unlabeled_items is None:
            raise ValueError(
                "the batch has no unlabeled items: set num_unlabeled of the data module to 1 or "
                "more, or train without an unlabeled loss."
            )
        users = batch.users.unsqueeze(1)
        if batch.unlabeled_mask is None:
            return self.forward(users, batch.unlabeled_items)
        users = users.expand_as(batch.unlabeled_items)[batch.unlabeled_mask]
        return self.forward(users, batch.unlabeled_items[batch.unlabeled_mask])

    def unlabeled_loss(self, batch: TrainBatch) -> Tensor:
        """Mean loss on the unlabeled rows, a scalar; zero if the batch has none.

        Raises:
            ValueError: If the module was built without an unlabeled loss.
        """
        if self.unlabeled_criterion is None:
            raise ValueError(f"{type(self).__name__} was built without an unlabeled_loss.")
        logits = self.unlabeled_logits(batch)
        loss: Tensor = self.unlabeled_criterion(logits) if logits.numel() else logits.sum()
        return loss

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        """Labeled loss plus unlabeled loss."""
        loss = self.labeled_loss(batch)
        if self.unlabeled_criterion is not None:
            loss = loss + self.unlabeled_loss(batch)
        return loss

    def on_train_epoch_start(self) -> None:
        """Tells the unlabeled loss the epoch."""
        if self.unlabeled_criterion is not None:
            self.unlabeled_criterion.start_epoch(self.current_epoch)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Logs the loss every ``log_every_n_steps``; logging every step costs more than it."""
        if (batch_idx + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.log("train_loss", outputs["loss"], prog_bar=True, batch_size=1)

    # --------------------------------------------------------------------------- evaluation

    def validation_step(
        self, batch: TrainBatch | RankingBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Gathers the metrics of a batch of labeled rows or of users to rank for."""
        self._evaluate(batch)

    def test_step(
        self, batch: TrainBatch | RankingBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """As :meth:`validation_step`."""
        self._evaluate(batch)

    def on_validation_epoch_end(self) -> None:
        """Logs the validation metrics."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Logs the test metrics."""
        self._log_metrics("test")

    def _evaluate(self, batch: TrainBatch | RankingBatch) -> None:
        if isinstance(batch, TrainBatch):
            scores = self(batch.users, batch.items)
            self.labeled_metrics.update(scores, batch.labels, batch.users)
            return
        _, items = self._top_unseen(batch)
        hits, num_targets = ranking_hits(
            items, batch.target_rows, batch.target_items, self.backbone.num_items
        )
        self.ranking_metrics.update(hits, num_targets)

    def _log_metrics(self, stage: str) -> None:
        for metrics in (self.labeled_metrics, self.ranking_metrics):
            if not metrics.update_called:
                continue
            values = {f"{stage}_{name}": value for name, value in metrics.compute().items()}
            # A metric that the rows cannot give (AUC without negatives) is left out.
            defined = {name: value for name, value in values.items() if not value.isnan()}
            shown = defined.pop(f"{stage}_auc", None)
            if shown is not None:
                self.log(f"{stage}_auc", shown, prog_bar=True, sync_dist=True)
            self.log_dict(defined, sync_dist=True)
            metrics.reset()

    def _top_unseen(self, batch: RankingBatch) -> tuple[Tensor, Tensor]:
        def score_range(start: int, stop: int) -> Tensor:
            if (start, stop) == (0, self.backbone.num_items):
                return self.backbone.score_all(batch.users)
            return self.backbone.score_range(batch.users, start, stop)

        return top_unseen(
            score_range,
            self.backbone.num_items,
            self.top_k,
            batch.seen_rows,
            batch.seen_items,
            self.item_chunk,
        )

    # ------------------------------------------------------------------------ recommendation

    def predict_step(self, batch: RankingBatch, batch_idx: int) -> pd.DataFrame:
        """The best unseen items of each user, with raw ids.

        Returns:
            Columns user, item, rank (from 1) and score (logit).
        """
        scores, items = self._top_unseen(batch)
        return self.vocabularies.table(batch.users, items, scores)

    @torch.no_grad()
    def recommend(
        self,
        users: Sequence[int | str],
        seen: tuple[Sequence[int | str], Sequence[int | str]] | None = None,
    ) -> pd.DataFrame:
        """Recommends to some users, without a trainer.

        Args:
            users: Raw ids of the users.
            seen: Raw ids of users and, as long, of the items they already know, which are left
                out. None leaves nothing out.

        Returns:
            Columns user, item, rank (from 1) and score (logit), ``top_k`` rows a user.

        Raises:
            ValueError: If an id is unknown.
        """
        rows, items = self.vocabularies.encode_seen(users, seen or ((), ()))
        index = self.vocabularies.encode("users", users)
        empty = index.new_empty(0)
        batch = RankingBatch(*(t.to(self.device) for t in (index, rows, items, empty, empty)))
        was_training = self.training
        self.eval()
        scores, best = self._top_unseen(batch)
        self.train(was_training)
        return self.vocabularies.table(batch.users, best, scores)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the raw ids to the checkpoint."""
        checkpoint["vocabularies"] = self.vocabularies.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the raw ids from the checkpoint, unless a data module gave the same before.

        Raises:
            ValueError: If the data module at hand has other ids.
        """
        stored = Vocabularies()
        stored.load_state_dict(checkpoint.get("vocabularies", {}))
        self.vocabularies.merge(stored)
