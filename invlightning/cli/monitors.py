"""What a run monitors: one option for all callbacks of a config, and a default that fits data."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.utilities import rank_zero_info
from typing_extensions import override

from invlightning.modules.monitored import labels_lacking_a_class, needs_both_classes

MONITORING = {"EarlyStopping", "ModelCheckpoint"}
LESS_IS_BETTER = ("loss", "disliked")
HELP = (
    "Metric by which the best checkpoint is chosen and early stopping decides, in place of what "
    "the configs monitor, such as val_gauc or val_full_ndcg@20; of a loss "
    "and of dislikes less is better."
)


def add_monitor(parser: LightningArgumentParser) -> None:
    """Adds ``--monitor`` to a parser."""
    parser.add_argument("--monitor", type=str | None, default=None, help=HELP)


def monitor_everywhere(callbacks: Any, monitor: str) -> None:
    """Lets ModelCheckpoint and EarlyStopping of a parsed config monitor another metric.

    Args:
        callbacks: The parsed ``trainer.callbacks``, changed in place.
        monitor: Name of the metric.

    Raises:
        ValueError: If no callback of the config monitors anything.
    """
    specs = callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []
    monitoring = [s for s in specs if s.class_path.rpartition(".")[2] in MONITORING]
    if not monitoring:
        raise ValueError(
            f"--monitor is {monitor!r}, but no ModelCheckpoint or EarlyStopping is among the "
            "callbacks: leave --monitor out, or start from base.yaml."
        )
    for spec in monitoring:
        spec.init_args.monitor = monitor
        less = any(name in monitor for name in LESS_IS_BETTER)
        spec.init_args.mode = "min" if less else "max"


class FittingMonitor(pl.Callback):
    """Monitors the catalogue where the validation rows cannot tell positives from negatives.

    Packaged configs monitor AUC or another metric of labeled pairs. On a table of positives alone
    it is undefined; there the full-catalogue NDCG takes its place, which is told.
    """

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        labels = labels_lacking_a_class(trainer) if stage == "fit" else None
        if labels is None or not len(labels):
            return
        found, instead = "positives" if labels[0] else "negatives", "val_full_ndcg@"
        instead += str(getattr(pl_module, "top_k", 20))
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            known = isinstance(callback, ModelCheckpoint | EarlyStopping)
            if known and needs_both_classes(callback):
                rank_zero_info(
                    f"{type(callback).__name__} monitors {instead}: {callback.monitor} is "
                    f"undefined, as the validation part holds {found} alone (--monitor chooses "
                    "another metric)."
                )
                callback.monitor = instead
