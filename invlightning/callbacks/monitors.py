"""Callbacks that watch what inverse learning does to the unlabeled rows."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from invlightning.data.samplers import KnownPairs
from invlightning.evaluation_mode import evaluation_mode
from invlightning.inverse.decisions import DIRECT, INVERSE, NONE
from invlightning.losses import InverseDualLoss
from invlightning.losses.functional import inverse_dual_weights
from invlightning.metrics.functional import auc
from invlightning.modules.inverse_checks import check_losses
from invlightning.modules.trainer_data import implicit_data, train_labels

DRIFT = 0.99
CHOICES = {NONE: "none", INVERSE: "inverse", DIRECT: "direct"}


def log_values(trainer: pl.Trainer, values: dict[str, Tensor]) -> None:
    """Writes scalars to the loggers and to ``trainer.callback_metrics``."""
    trainer.callback_metrics.update(values)
    step = trainer.fit_loop.epoch_loop._batches_that_stepped  # the x axis of Lightning's own logs
    for logger in trainer.loggers:
        logger.log_metrics({name: value.item() for name, value in values.items()}, step=step)


class DirectionMonitor(pl.Callback):
    """Logs what inverse gradient steps chose.

    Keys: ``direction/direct``, ``direction/inverse``, ``direction/none`` (shares of the steps
    since the last log) and ``risk/direct``, ``risk/inverse``, ``risk/none`` (mean labeled risk
    at the three candidates).

    Args:
        every_n_steps: Inverse gradient steps between two logs; what is left is logged at the end
            of an epoch.

    Raises:
        ValueError: If ``every_n_steps`` is below 1.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}.")
        self.every_n_steps = every_n_steps
        self._steps = 0
        self._shares: Tensor | None = None
        self._risks: Tensor | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds a step to the buffers on the device."""
        record = getattr(pl_module, "last_step", None)
        if record is None:
            return
        if self._shares is None or self._risks is None:
            self._shares, self._risks = record.shares, record.risks
        else:
            self._shares, self._risks = self._shares + record.shares, self._risks + record.risks
        self._steps += 1
        if self._steps == self.every_n_steps:
            self._flush(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs what is left in the buffers."""
        self._flush(trainer)

    def _flush(self, trainer: pl.Trainer) -> None:
        if self._shares is None or self._risks is None:
            return
        values = {}
        for index, name in CHOICES.items():
            values[f"direction/{name}"] = self._shares[index] / self._steps
            if not self._risks[index].isnan():  # not every decision measures all three
                values[f"risk/{name}"] = self._risks[index] / self._steps
        self._steps, self._shares, self._risks = 0, None, None
        log_values(trainer, values)


class AnnotationMonitor(pl.Callback):
    """Logs how the unlabeled rows are annotated, once an epoch.

    Keys, all about rows of every n-th batch: ``annotation/mean`` and ``annotation/share`` (mean
    weight w+ and share of rows with w+ above 1/2), ``annotation/prior`` (share of positives on
    the labeled training rows), ``annotation/bin_0 .. bin_9`` (shares of w+ in tenths of [0, 1]),
    ``annotation/auc`` (of w+ against the truth, if the data set knows it) and
    ``annotation/held_out`` (share of drawn pairs that are held-out positives: the sampler's
    false-negative rate). It warns if InverseDualLoss annotates nearly all rows alike for two
    epochs. Under several processes these are the rows of the first one.

    Args:
        every_n_steps: Batches between two looks; the first batch of an epoch is always seen.

    Raises:
        ValueError: If ``every_n_steps`` is below 1.
    """

    BINS = 10

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}.")
        self.every_n_steps = every_n_steps
        self._weights: list[Tensor] = []
        self._truth: list[Tensor] = []
        self._held_out: list[Tensor] = []
        self._held_out_pairs: KnownPairs | None = None
        self._epochs_adrift = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Indexes the held-out positives on the device."""
        check_losses(pl_module, "unlabeled_logits")
        data = implicit_data(trainer)
        if data is not None:
            self._held_out_pairs = data.rows.held_out_positives().to(pl_module.device)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the unlabeled rows of every n-th batch; values stay on the device."""
        items = getattr(batch, "unlabeled_items", None)
        if batch_idx % self.every_n_steps or items is None:
            return
        with evaluation_mode(pl_module), trainer.precision_plugin.forward_context():
            logits = pl_module.unlabeled_logits(batch).flatten()
        criterion = getattr(pl_module, "unlabeled_criterion", None)
        if isinstance(criterion, InverseDualLoss):
            self._weights.append(criterion.weights(logits))
        else:
            self._weights.append(inverse_dual_weights(logits))
        users = batch.users.unsqueeze(1).expand_as(items)
        exists = slice(None) if batch.unlabeled_mask is None else batch.unlabeled_mask
        users, items = users[exists].flatten(), items[exists].flatten()
        if self._held_out_pairs is not None:
            self._held_out.append(self._held_out_pairs.contains(users, items))
        data = implicit_data(trainer)
        truth = data.truth(users, items) if data is not None else None
        if truth is not None:
            self._truth.append(truth)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the epoch and warns about a drift."""
        if not self._weights:
            return
        weights = torch.cat(self._weights).float()
        values = {
            "annotation/mean": weights.mean(),
            "annotation/share": (weights > 0.5).float().mean(),
        }
        tenths = torch.histc(weights, self.BINS, 0.0, 1.0) / weights.numel()
        values |= {f"annotation/bin_{i}": share for i, share in enumerate(tenths)}
        if self._truth:
            values["annotation/auc"] = auc(weights, torch.cat(self._truth))
        if self._held_out:
            values["annotation/held_out"] = torch.cat(self._held_out).float().mean()
        data = implicit_data(trainer)
        if data is not None:
            values["annotation/prior"] = train_labels(data).mean()
        self._weights, self._truth, self._held_out = [], [], []
        log_values(trainer, values)
        # Other losses do not annotate: for them the weights are what IDL would say.
        if isinstance(getattr(pl_module, "unlabeled_criterion", None), InverseDualLoss):
            self._warn(float(values["annotation/share"]))

    def _warn(self, share: float) -> None:
        # Early on the model knows little more than the majority of the labels: wait an epoch.
        self._epochs_adrift = 0 if 1 - DRIFT < share < DRIFT else self._epochs_adrift + 1
        if self._epochs_adrift != 2:
            return
        side = "positive" if share >= DRIFT else "negative"
        rank_zero_warn(
            f"{100 * max(share, 1 - share):.1f} % of the unlabeled rows are annotated {side}: "
            "the annotations carry no information any more. Give InverseDualLoss a prior "
            "(prior=0.1, or prior='labeled'), a smaller weight or a later start_epoch."
        )
