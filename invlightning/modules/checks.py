"""Checks at set-up: each problem is one clear sentence before any training starts."""

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from torch import Tensor, nn

from invlightning.compat import saves_by_time
from invlightning.modules.trainer_data import implicit_data
from invlightning.sparse import sparse_tables
from invlightning.types import LabeledBatch


def check_sparse_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Checks that the optimizer takes the gradients of ``sparse=True`` embeddings.

    Raises:
        ValueError: If it refuses sparse gradients, or takes sparse gradients only.
    """
    if not sparse_tables(module):
        return
    takes_both = (torch.optim.SGD, torch.optim.Adagrad)
    torch_own = type(optimizer).__module__.startswith("torch.optim")
    if torch_own and not isinstance(optimizer, takes_both):
        raise ValueError(
            f"the backbone has sparse embeddings, but {type(optimizer).__name__} does not take "
            "sparse and dense gradients together: use invlightning.optim.RowSparseAdam, "
            "torch.optim.SGD or torch.optim.Adagrad, or build the backbone with sparse=False."
        )


def check_sparse_backend(module: pl.LightningModule) -> None:
    """Checks that processes can exchange the gradients of ``sparse=True`` embeddings.

    Raises:
        ValueError: If they communicate by NCCL, which cannot reduce sparse tensors.
    """
    trainer = module.trainer
    strategy = trainer.strategy
    by_device = "nccl" if strategy.root_device.type == "cuda" else "gloo"
    backend = getattr(strategy, "process_group_backend", None) or by_device
    if trainer.world_size > 1 and backend == "nccl" and sparse_tables(module):
        raise ValueError(
            "the backbone has sparse embeddings, whose gradients NCCL cannot reduce: build it "
            "with sparse=False, or use DDPStrategy(process_group_backend='gloo')."
        )


def check_callbacks(trainer: pl.Trainer) -> None:
    """Refuses callbacks of Lightning that silently do nothing under manual optimization.

    Raises:
        ValueError: With a ModelCheckpoint by time or a GradientAccumulationScheduler.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ModelCheckpoint) and saves_by_time(callback):
            raise ValueError(
                "ModelCheckpoint(train_time_interval=...) never saves under manual "
                "optimization: use every_n_train_steps, or InverseGradientCallback."
            )
        if isinstance(callback, GradientAccumulationScheduler):
            raise ValueError(
                "GradientAccumulationScheduler does not work under manual optimization: use "
                "Trainer(accumulate_grad_batches=...), or InverseGradientCallback."
            )


def check_averaging(module: pl.LightningModule) -> None:
    """Refuses weight averaging that would silently average nothing.

    Args:
        module: The module at ``setup``; Lightning's callback has copied it just before.

    Raises:
        ValueError: If the callback came before the parameters were there.
    """
    callbacks = module.trainer.callbacks  # type: ignore[attr-defined]
    averages = any(isinstance(c, StochasticWeightAveraging) for c in callbacks)
    if averages and next(module.parameters(), None) is None:
        raise ValueError(
            "StochasticWeightAveraging copies the model before it is built and would average "
            "nothing: give num_users and num_items to the model, or use EMAWeightAveraging."
        )


def require_unlabeled(batch: LabeledBatch) -> Tensor:
    """The unlabeled items ``(B, K)`` of a batch.

    Raises:
        ValueError: If it has none.
    """
    if batch.unlabeled_items is None:
        raise ValueError(
            "the batch has no unlabeled items: set num_unlabeled of the data module to 1 or "
            "more, or train without an unlabeled loss."
        )
    return batch.unlabeled_items


def require_exposed(batch: LabeledBatch) -> tuple[Tensor, Tensor]:
    """Users and items ``(E,)`` of the exposed rows of a batch.

    Raises:
        ValueError: If it has none.
    """
    if batch.exposed_users is None or batch.exposed_items is None:
        raise ValueError(
            "the batch has no exposed rows: use data with rows that carry no label and num_exposed "
            "above 0, or train without an exposed loss."
        )
    return batch.exposed_users, batch.exposed_items


def check_draws(module: pl.LightningModule) -> None:
    """Checks that pairs are drawn, which tell what was not seen.

    Raises:
        ValueError: If a data module of ours draws none.
    """
    data = implicit_data(module.trainer)
    if data is not None and data.num_unlabeled == 0:
        raise ValueError(
            f"{type(module).__name__} compares what was seen with drawn pairs, but num_unlabeled "
            "is 0: set it to 1 or more."
        )


def check_exposed(trainer: pl.Trainer, criterion: object | None) -> None:
    """Checks that there are exposed rows for a loss of exposed rows.

    Args:
        trainer: The trainer, with its data module.
        criterion: That loss; None asks for none.

    Raises:
        ValueError: If a data module of ours has no exposed training rows.
    """
    data = implicit_data(trainer)
    if criterion is None or data is None:
        return
    if not len(data.rows.exposed_rows) or data.num_exposed == 0:
        raise ValueError(
            f"{type(criterion).__name__} is to train on exposed rows, but the data has "
            f"{len(data.rows.exposed_rows)} of them and num_exposed is {data.num_exposed}: use "
            "data with rows that carry no label (or labeled_fraction below 1), or leave the loss "
            "on exposed rows out."
        )


def varies_in_training(backbone: nn.Module) -> bool:
    """Whether the logits of a backbone may differ between training and evaluation mode.

    What a class says of itself does not hold for a subclass with a ``forward`` of its own.
    """
    classes = type(backbone).__mro__
    says = next((c for c in classes if "varies_in_training" in vars(c)), nn.Module)
    computes = next(c for c in classes if "forward" in vars(c))
    return not issubclass(says, computes) or bool(getattr(backbone, "varies_in_training", True))
