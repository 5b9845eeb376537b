"""Watching how unlabeled rows are annotated."""

from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from invlightning.callbacks.direction_monitor import log_values
from invlightning.data import ImplicitDataModule
from invlightning.data.known_pairs import KnownPairs
from invlightning.evaluation_mode import evaluation_mode
from invlightning.losses import InverseDualLoss, PseudoLabelLoss
from invlightning.losses.functional import inverse_dual_weights
from invlightning.metrics.functional import auc
from invlightning.modules.trainer_data import implicit_data, train_labels
from invlightning.modules.training import drawn_pairs

DRIFT = 0.99
BINS = 10


class Seen(NamedTuple):
    """Annotations of some rows, on the device.

    Attributes:
        weights: ``(M,)`` weights w+.
        known: ``(M,)`` True where the true label is known.
        truth: ``(M,)`` the true label, where it is known.
    """

    weights: Tensor
    known: Tensor
    truth: Tensor


class AnnotationMonitor(pl.Callback):
    """Logs how the unlabeled rows are annotated, once an epoch.

    Keys, all about rows of every n-th batch: ``annotation/mean`` and ``annotation/share`` (mean
    weight w+ and share of rows with w+ above 1/2), ``annotation/prior`` (share of positives on
    the labeled training rows), ``annotation/bin_0 .. bin_9`` (shares of w+ in tenths of [0, 1]),
    ``annotation/auc`` (of w+ against the truth, if the data set knows it) and
    ``annotation/held_out`` (share of drawn pairs that are held-out positives: the sampler's
    false-negative rate). Of a module that trains on exposed rows the same keys under
    ``annotation/exposed/`` tell about these; their truth are the hidden labels
    (``labeled_fraction``), which nothing else looks at. It warns if InverseDualLoss annotates
    nearly all rows alike for two epochs. Under several processes these are the rows of the first
    one.

    Args:
        every_n_steps: Batches between two looks; the first batch of an epoch is always seen.

    Raises:
        ValueError: If ``every_n_steps`` is below 1.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}.")
        self.every_n_steps = every_n_steps
        self._seen: dict[str, list[Seen]] = {}
        self._held_out: list[Tensor] = []
        self._held_out_pairs: KnownPairs | None = None
        self._epochs_adrift: dict[str, int] = {}

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Indexes the held-out positives on the device.

        Raises:
            ValueError: If the module gives no logits of unlabeled rows.
        """
        if not callable(getattr(pl_module, "unlabeled_logits", None)):
            raise ValueError(
                f"AnnotationMonitor looks at unlabeled rows: {type(pl_module).__name__} must "
                "define unlabeled_logits(batch), or train without this monitor."
            )
        data = implicit_data(trainer)
        if data is not None:
            self._held_out_pairs = data.rows.held_out_positives().to(pl_module.device)

    @torch.no_grad()
    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the unlabeled rows of every n-th batch; values stay on the device."""
        if batch_idx % self.every_n_steps:
            return
        data, drawn, exposed = implicit_data(trainer), *_criteria(trainer, pl_module)
        with evaluation_mode(pl_module), trainer.precision_plugin.forward_context():
            if getattr(batch, "unlabeled_items", None) is not None and _looks_at_drawn(
                drawn, exposed
            ):
                users, items = drawn_pairs(batch)
                logits = pl_module.unlabeled_logits(batch).flatten()
                self._note("", drawn, logits, users, items, data)
                if self._held_out_pairs is not None:
                    self._held_out.append(self._held_out_pairs.contains(users, items))
            if exposed is not None and batch.exposed_users is not None:
                pair = batch.exposed_users, batch.exposed_items
                self._note("exposed/", exposed, pl_module.exposed_logits(batch), *pair, data)

    def _note(
        self,
        kind: str,
        criterion: Any,
        logits: Tensor,
        users: Tensor,
        items: Tensor,
        data: ImplicitDataModule | None,
    ) -> None:
        annotates = isinstance(criterion, PseudoLabelLoss)
        weights = criterion.weights(logits) if annotates else inverse_dual_weights(logits)
        known, truth = _truth(data, users, items, bool(kind))
        self._seen.setdefault(kind, []).append(Seen(weights.float(), known, truth))

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the epoch and warns about a drift."""
        values: dict[str, Tensor] = {}
        data, criteria = implicit_data(trainer), _criteria(trainer, pl_module)
        for kind, parts in self._seen.items():
            found = _statistics(Seen(*(torch.cat(columns) for columns in zip(*parts, strict=True))))
            values |= {f"annotation/{kind}{name}": value for name, value in found.items()}
            # Other losses do not annotate: for them the weights are what IDL would say.
            if isinstance(criteria[bool(kind)], InverseDualLoss):
                self._warn(kind, float(found["share"]))
        if self._held_out:
            values["annotation/held_out"] = torch.cat(self._held_out).float().mean()
        if values and data is not None:
            values["annotation/prior"] = train_labels(data).mean()
        self._seen, self._held_out = {}, []
        log_values(trainer, values)

    def _warn(self, kind: str, share: float) -> None:
        # Early on the model knows little more than the majority of the labels: wait an epoch.
        adrift = 0 if 1 - DRIFT < share < DRIFT else self._epochs_adrift.get(kind, 0) + 1
        self._epochs_adrift[kind] = adrift
        if adrift != 2:
            return
        side = "positive" if share >= DRIFT else "negative"
        rank_zero_warn(
            f"{100 * max(share, 1 - share):.1f} % of the {'exposed' if kind else 'unlabeled'} rows "
            f"are annotated {side}: the annotations carry no information any more. Give "
            "InverseDualLoss a prior (prior=0.1, or prior='labeled'), a smaller weight or a later "
            "start_epoch."
        )


def _criteria(trainer: pl.Trainer, module: Any) -> tuple[Any, Any]:
    """The losses of drawn and of exposed rows: of the module, else of a callback."""
    holders = [module, *trainer.callbacks]  # type: ignore[attr-defined]
    drawn, exposed = (
        next((c for h in holders if (c := getattr(h, name, None)) is not None), None)
        for name in ("unlabeled_criterion", "exposed_criterion")
    )
    return drawn, exposed


def _looks_at_drawn(drawn: Any, exposed: Any) -> bool:
    """Drawn rows are told of unless the module trains on exposed rows alone."""
    return drawn is not None or exposed is None


def _truth(
    data: ImplicitDataModule | None, users: Tensor, items: Tensor, exposed: bool
) -> tuple[Tensor, Tensor]:
    """Where the true labels are known, and what they are."""
    truth = data.truth(users, items) if data is not None else None
    if truth is not None:
        return torch.ones_like(truth), truth
    if data is not None and exposed:
        return data.rows.hidden.to(users.device).of(users, items)
    return torch.zeros_like(users, dtype=torch.bool), torch.zeros_like(users)


def _statistics(seen: Seen) -> dict[str, Tensor]:
    weights = seen.weights
    values = {"mean": weights.mean(), "share": (weights > 0.5).float().mean()}
    tenths = torch.histc(weights, BINS, 0.0, 1.0) / weights.numel()
    values |= {f"bin_{i}": share for i, share in enumerate(tenths)}
    if bool(seen.known.any()):
        values["auc"] = auc(weights[seen.known], seen.truth[seen.known])
    return values
