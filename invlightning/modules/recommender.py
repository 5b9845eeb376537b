"""The LightningModule that wraps a backbone: training on labeled and unlabeled rows, evaluation."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from invlightning.backbones import Backbone
from invlightning.compat import CLASS_PATH, INSTANTIATOR, MODULE_INSTANTIATOR, trainer_of
from invlightning.loading import SafelyLoaded
from invlightning.losses import BinaryCrossEntropy, JointLoss, LabeledLoss, UnlabeledLoss
from invlightning.modules.checks import (
    check_averaging,
    check_exposed,
    check_sparse_backend,
    check_sparse_optimizer,
)
from invlightning.modules.monitored import check_monitors
from invlightning.modules.resume import ResumableModule
from invlightning.modules.serving import ServedModule
from invlightning.modules.trained_on import RemembersData
from invlightning.modules.trainer_data import (
    any_data,
    implicit_data,
    start_fit,
)
from invlightning.modules.training import TrainedModule
from invlightning.optim import default_adam
from invlightning.specs import Specified, import_path, to_spec

if TYPE_CHECKING:
    from pytorch_lightning.utilities.types import OptimizerLRScheduler

BackboneCallable = Callable[[int, int], Backbone]


def check_factory(backbone: object, name: str) -> None:
    """Refuses what does not build a backbone.

    Args:
        backbone: What was given.
        name: The argument it was given as.

    Raises:
        TypeError: If it is an instance of a network, or cannot be called.
    """
    if isinstance(backbone, torch.nn.Module) or not callable(backbone):
        kind = type(backbone).__name__
        what = f"an instance of {kind}" if isinstance(backbone, torch.nn.Module) else repr(backbone)
        raise TypeError(
            f"{name} is {what}: pass the class of a backbone, or functools.partial of it, such as "
            "functools.partial(invlightning.backbones.GMF, embedding_dim=32); the sizes come from "
            "the data."
        )


def check_instances(losses: dict[str, object]) -> None:
    """Refuses the class of a loss where an instance is meant.

    Args:
        losses: What was given, by the name of the argument.

    Raises:
        TypeError: If one of them is a class.
    """
    for name, loss in losses.items():
        if isinstance(loss, type):
            raise TypeError(f"{name} is the class {loss.__name__}: pass {loss.__name__}(...).")


class Recommender(
    Specified, SafelyLoaded, RemembersData, ResumableModule, ServedModule, TrainedModule
):
    """Trains a backbone on labeled rows and, with further losses, on drawn and exposed ones.

    The training loss is ``labeled_loss + unlabeled_loss + exposed_loss``, each a mean over its
    rows, from one forward pass. With a labeled loss alone this is the labeled-only control. A
    ``joint_loss`` takes the place of the first two where a method looks at labeled and drawn rows
    together.

    Evaluation reports both views: the labeled rows (``val_auc``, ``val_gauc``,
    ``val_ndcg@10``, ``val_mrr``, ``val_harm@10``, ``val_log_loss``) and the full catalogue of
    unseen items (``val_recall@20``, ``val_full_ndcg@20``, ``val_hit_rate@20``,
    ``val_full_mrr@20``, and of the true negatives ``val_disliked@20``); likewise with ``test_``.

    Args:
        backbone: Builds the network from ``(num_users, num_items)``: a Backbone class, or
            ``functools.partial`` of one.
        labeled_loss: Loss on labeled rows. None means ``BinaryCrossEntropy()``.
        unlabeled_loss: Loss on drawn pairs, which never met. None leaves them out.
        optimizer: Builds the optimizer from the parameters. None means Adam with learning rate
            1e-3, fused where torch has that.
        lr_scheduler: Builds a scheduler from the optimizer, stepped every epoch. None keeps the
            learning rate.
        num_users: Number of users U. None takes it from the data module.
        num_items: Number of items I. None takes it from the data module.
        label_cutoff: Cut-off k of NDCG and HARM on labeled rows.
        top_k: Cut-off k of the full-catalogue metrics, and the number of items that ``predict``
            and :meth:`recommend` return.
        item_chunk: Items scored at a time in a full-catalogue ranking; bounds its memory.
        joint_loss: Loss on labeled and drawn rows together, instead of the two losses above.
        compile: Whether the backbone is compiled, in place; the first steps then take minutes.
        exposed_loss: Loss on exposed rows, which were seen and judged by nobody. None leaves them
            out.
        embedding_l2: Weight of the mean squared norm of the embeddings that a batch looks up:
            labeled, drawn and exposed rows alike, biases too. With few labels it decides more than
            the method.
        capture: Whether training steps are captured as CUDA graphs, which takes one CUDA device: a
            step is then one launch and not hundreds, with the same result.

    Attributes:
        lr: Learning rate in place of that of the optimizer; None keeps the latter. It is what
            ``Tuner(trainer).lr_find(model, datamodule=data)`` sets.

    Raises:
        TypeError: If ``backbone`` is an instance, or an argument cannot be written to a
            checkpoint.
        ValueError: If ``joint_loss`` is given beside one of the losses it replaces, or
            ``embedding_l2`` is negative.
    """

    lr: float | None = None  # replaces the optimizer's; what Tuner.lr_find looks for and sets
    _told_epoch: int | None = None  # so that the losses hear of every epoch once

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
        joint_loss: JointLoss | None = None,
        compile: bool = False,
        exposed_loss: UnlabeledLoss | None = None,
        embedding_l2: float = 0.0,
        capture: bool = False,
    ) -> None:
        super().__init__(label_cutoff, top_k, item_chunk)
        if not embedding_l2 >= 0:
            raise ValueError(f"embedding_l2 must be at least 0, got {embedding_l2}.")
        if joint_loss is not None and (labeled_loss is not None or unlabeled_loss is not None):
            raise ValueError("joint_loss takes the place of labeled_loss and unlabeled_loss.")
        check_factory(backbone, "backbone")
        check_instances(
            {
                "labeled_loss": labeled_loss,
                "unlabeled_loss": unlabeled_loss,
                "exposed_loss": exposed_loss,
                "joint_loss": joint_loss,
            }
        )
        self._save_specs()
        self.build_backbone = backbone
        self.labeled_criterion = labeled_loss if labeled_loss is not None else BinaryCrossEntropy()
        self.unlabeled_criterion = unlabeled_loss
        self.exposed_criterion = exposed_loss
        self.joint_criterion = joint_loss
        self.embedding_l2 = embedding_l2
        self.build_optimizer = optimizer
        self.build_lr_scheduler = lr_scheduler
        self.num_users, self.num_items = num_users, num_items
        self.compiles, self.captures = compile, capture
        if num_users is not None and num_items is not None:
            self.configure_model()

    def _save_specs(self) -> None:
        """Saves the constructor arguments in the form that LightningCLI gives them.

        ``LightningModule.load_from_checkpoint`` then rebuilds any subclass, and a checkpoint made
        in Python is as safe to load as one made on the command line.
        """
        specs = {name: to_spec(value) for name, value in self.init_args.items()}
        self.save_hyperparameters(
            {CLASS_PATH: import_path(type(self)), INSTANTIATOR: MODULE_INSTANTIATOR, **specs}
        )

    # ------------------------------------------------------------------------------- set-up

    @override
    def setup(self, stage: str) -> None:
        """Takes sizes and raw ids from the data module and prepares the losses."""
        self._adopt_sizes(any_data(self.trainer))
        data = implicit_data(self.trainer)
        if data is not None:
            self.vocabularies.adopt(data)
        super().setup(stage)
        if stage == "fit":
            if not self.training:  # as loading leaves it; parts that are frozen are left alone
                self.train()
            check_monitors(self.trainer)
            check_averaging(self)
            check_exposed(self.trainer, self.exposed_criterion)
            start_fit(self.trainer, getattr(self, "backbone", None), *self.criteria())

    def _adopt_sizes(self, data: Any) -> None:
        for name in ("num_users", "num_items"):
            own, found = getattr(self, name), getattr(data, name, None)
            if own is not None and found is not None and own != found:
                raise ValueError(
                    f"the model was built for {name}={own}, but {type(data).__name__} has "
                    f"{found}: use the data it was trained on, or leave {name} out."
                )
            setattr(self, name, own if own is not None else found)

    @override
    def configure_model(self) -> None:
        """Builds the backbone once the sizes are known.

        Raises:
            ValueError: If neither the arguments nor the data module give the sizes.
        """
        if hasattr(self, "backbone"):
            return
        trainer = trainer_of(self)
        if trainer is not None:  # weight averaging builds the model before setup
            self._adopt_sizes(any_data(trainer))
        if self.num_users is None or self.num_items is None:
            raise ValueError(
                "num_users and num_items are unknown: train with a data module of invlightning, "
                "or pass both to the model."
            )
        self.backbone = self.build_backbone(self.num_users, self.num_items)
        if self.compiles:
            self.backbone.compile()
        if trainer is not None:
            start_fit(trainer, self.backbone)
        self.hparams.update(num_users=self.num_users, num_items=self.num_items)

    @override
    def get_extra_state(self) -> Tensor:
        """The sizes ``(2,)``: part of the state dict, see :meth:`set_extra_state`."""
        return torch.tensor([self.num_users or 0, self.num_items or 0])

    @override
    def set_extra_state(self, state: Tensor) -> None:
        """Builds a missing backbone, just before its weights are loaded.

        After ``ddp_fork``, ``ddp_spawn`` or ``ddp_notebook`` the weights come back to a process
        that never saw the data; without a backbone there Lightning would silently drop them.
        """
        if not hasattr(self, "backbone"):
            self.num_users, self.num_items = (int(size) for size in state)
            self.configure_model()

    @override
    def configure_optimizers(self) -> "OptimizerLRScheduler":
        """Builds the optimizer and, where given, the scheduler."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        if self.build_optimizer is None:
            precision = getattr(trainer_of(self), "precision_plugin", None)
            scaler = getattr(precision, "scaler", None)
            optimizer: torch.optim.Optimizer = default_adam(parameters, scaled=scaler is not None)
        else:
            optimizer = self.build_optimizer(parameters)
        if self.lr is not None:
            for group in optimizer.param_groups:
                group["lr"] = self.lr
        check_sparse_optimizer(self, optimizer)
        check_sparse_backend(self)
        if self.build_lr_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.build_lr_scheduler(optimizer)}

    # ----------------------------------------------------------------------------- training

    @override
    def on_train_start(self) -> None:
        """Tells the losses the epoch, which a checkpoint may have left in the middle."""
        super().on_train_start()
        self._told_epoch = None
        self._set_epoch()

    @override
    def on_train_epoch_start(self) -> None:
        """Tells the losses the epoch."""
        self._set_epoch()

    def _set_epoch(self) -> None:
        if self._told_epoch != self.current_epoch:
            self._told_epoch = self.current_epoch
            for criterion in self.criteria():
                criterion.set_epoch(self.current_epoch)

    @override
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Logs the loss every ``log_every_n_steps``; logging every step costs more than it."""
        if (batch_idx + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.log("train_loss", outputs["loss"], prog_bar=True, batch_size=1)
