"""The entire space: who likes an item if seen, and who sees it at all."""

from typing import Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from invlightning.backbones import Backbone
from invlightning.compat import trainer_of
from invlightning.losses import (
    BinaryCrossEntropy,
    JointLoss,
    LabeledLoss,
    PooledRowsLoss,
    UnlabeledLoss,
)
from invlightning.losses.base import Loss
from invlightning.modules.checks import check_draws, require_unlabeled
from invlightning.modules.evaluation import scores_of
from invlightning.modules.recommender import (
    BackboneCallable,
    Recommender,
    check_factory,
    check_instances,
)
from invlightning.modules.serving import sequence_of
from invlightning.modules.trainer_data import start_fit
from invlightning.types import JointRows, LabeledBatch


class EntireSpaceRecommender(Recommender):
    """Two backbones: the preference f ("liked, if seen") and the exposure e ("seen at all").

    Labeled rows train f, as in :class:`Recommender`, and exposed rows may through ``exposed_loss``.
    That a row was observed at all, judged or not, trains e: observed rows against drawn pairs, by
    ``exposure_loss``. The labeled view, the annotations and all risks are those of f; the catalogue
    is ranked by e + log sigmoid(f), up to a constant of the user the log-probability of "seen and
    liked" where e is a log-odds or softmax score.

    Source: the decomposition of Ma et al., Entire Space Multi-Task Model, SIGIR 2018 (arXiv
    1804.07931), section 2, with exposure in place of clicks; here each factor has a loss of its
    own, since labels are known on a part of what was seen.

    Args:
        backbone: Builds the preference from ``(num_users, num_items)``.
        labeled_loss: Loss of the preference on labeled rows. None means ``BinaryCrossEntropy()``.
        exposed_loss: Loss of the preference on exposed rows. None leaves them to the exposure.
        exposure_backbone: Builds the exposure. None means a second one of ``backbone``.
        exposure_loss: Loss of observed rows, as positives, against the pairs drawn beside them.
            None means cross entropy of both; BPR or a sampled softmax rank the catalogue better.
        exposure_weight: Weight of that loss.
        shared_tables: Whether the exposure looks up the embeddings of the preference, biases
            excepted, which helps few labels and costs the catalogue.
        optimizer: Builds the optimizer from the parameters. None means Adam with learning rate
            1e-3, fused where torch has that.
        lr_scheduler: Builds a scheduler from the optimizer, stepped every epoch. None keeps the
            learning rate.
        num_users: Number of users U. None takes it from the data module.
        num_items: Number of items I. None takes it from the data module.
        label_cutoff: Cut-off k of NDCG and HARM on labeled rows.
        top_k: Cut-off k of the full-catalogue metrics, and the number of items that ``predict``
            and ``recommend`` return.
        item_chunk: Items scored at a time in a full-catalogue ranking; bounds its memory.
        compile: Whether the backbones are compiled, in place; the first steps then take minutes.
        embedding_l2: Weight of the mean squared norm of the embeddings that the preference looks
            up.
        exposure_l2: Likewise for the exposure. None means ``embedding_l2``.
        capture: Whether training steps are captured as CUDA graphs, which takes one CUDA device: a
            step is then one launch and not hundreds, with the same result.

    Raises:
        TypeError: If a backbone is an instance, or an argument cannot be written to a checkpoint.
        ValueError: If a weight is negative, or ``shared_tables`` finds no table that both have.
    """

    exposure_backbone: Backbone
    draws_beside_exposed = True

    def __init__(
        self,
        backbone: BackboneCallable,
        labeled_loss: LabeledLoss | None = None,
        exposed_loss: UnlabeledLoss | None = None,
        exposure_backbone: BackboneCallable | None = None,
        exposure_loss: JointLoss | None = None,
        exposure_weight: float = 1.0,
        shared_tables: bool = False,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        num_users: int | None = None,
        num_items: int | None = None,
        label_cutoff: int = 10,
        top_k: int = 20,
        item_chunk: int = 65536,
        compile: bool = False,
        embedding_l2: float = 0.0,
        exposure_l2: float | None = None,
        capture: bool = False,
    ) -> None:
        weights = {"exposure_weight": exposure_weight, "exposure_l2": exposure_l2 or 0.0}
        for name, value in weights.items():
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}.")
        if exposure_backbone is not None:
            check_factory(exposure_backbone, "exposure_backbone")
        check_instances({"exposure_loss": exposure_loss})
        # Before the base, which may build the model at once.
        self.build_exposure, self.shares_tables = exposure_backbone, shared_tables
        super().__init__(
            backbone=backbone,
            labeled_loss=labeled_loss,
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            num_users=num_users,
            num_items=num_items,
            label_cutoff=label_cutoff,
            top_k=top_k,
            item_chunk=item_chunk,
            compile=compile,
            exposed_loss=exposed_loss,
            embedding_l2=embedding_l2,
            capture=capture,
        )
        self.exposure_criterion = (
            exposure_loss if exposure_loss is not None else PooledRowsLoss(BinaryCrossEntropy())
        )
        self.exposure_weight = exposure_weight
        self.exposure_l2 = embedding_l2 if exposure_l2 is None else exposure_l2

    # ------------------------------------------------------------------------------- set-up

    @override
    def configure_model(self) -> None:
        if hasattr(self, "exposure_backbone"):
            return
        super().configure_model()
        build = self.build_exposure if self.build_exposure is not None else self.build_backbone
        assert self.num_users is not None  # the base saw to it
        assert self.num_items is not None
        self.exposure_backbone = build(self.num_users, self.num_items)
        trainer = trainer_of(self)
        if trainer is not None:
            start_fit(trainer, self.exposure_backbone, observed=True)
        if self.shares_tables:
            share_tables(self.backbone, self.exposure_backbone)
        if self.compiles:
            self.exposure_backbone.compile()

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage != "fit":
            return
        check_draws(self)
        exposure = getattr(self, "exposure_backbone", None)
        start_fit(self.trainer, exposure, self.exposure_criterion, observed=True)

    @override
    def criteria(self) -> list[Loss]:
        return [*super().criteria(), self.exposure_criterion]

    # ----------------------------------------------------------------------------- training

    @override
    def further_loss(self, batch: LabeledBatch) -> Tensor | None:
        loss = self.exposure_weight * self.exposure_loss(batch)
        penalty = super().further_loss(batch)
        if penalty is not None:
            loss = loss + penalty
        if not self.exposure_l2:
            return loss
        users, items, drawn = observed_rows(batch)
        pairs = users.unsqueeze(1).expand_as(drawn).flatten(), drawn.flatten().clamp(min=0)
        users, items = torch.cat([users, pairs[0]]), torch.cat([items, pairs[1]])
        penalty = self.exposure_backbone.embedding_penalty(users, items)
        return loss + self.exposure_l2 * penalty

    def exposure_loss(self, batch: LabeledBatch) -> Tensor:
        """Mean loss of observed rows, labeled and exposed, against drawn pairs, a scalar.

        Raises:
            ValueError: If the batch has no drawn items.
        """
        users, items, drawn = observed_rows(batch)
        mask = drawn >= 0 if batch.unlabeled_mask is not None else None
        drawn = drawn.clamp(min=0)
        logits = self.exposure_backbone(
            users.unsqueeze(1), torch.cat([items.unsqueeze(1), drawn], 1)
        )
        labels = logits.new_ones(len(users))
        rows = JointRows(logits[:, 0], labels, items, logits[:, 1:], drawn, mask, users)
        loss: Tensor = self.exposure_criterion(rows)
        return loss

    # --------------------------------------------------------------------------- evaluation

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        exposure = scores_of(self.exposure_backbone, users, start, stop)
        return exposure + F.logsigmoid(scores_of(self.backbone, users, start, stop))

    @override
    def score_histories(self, histories: list[Tensor], start: int, stop: int) -> Tensor:
        exposure = sequence_of(self.exposure_backbone).score_histories(histories, start, stop)
        return exposure + F.logsigmoid(super().score_histories(histories, start, stop))

    @override
    def set_extra_state(self, state: Any) -> None:
        super().set_extra_state(state)
        self.configure_model()


def observed_rows(batch: LabeledBatch) -> tuple[Tensor, Tensor, Tensor]:
    """The rows that somebody met, labeled and exposed, and what was drawn beside them.

    Returns:
        Users ``(N,)``, items ``(N,)`` and drawn items ``(N, K)``, -1 where there is none.

    Raises:
        ValueError: If nothing was drawn.
    """
    drawn = require_unlabeled(batch)
    if batch.exposed_users is None or batch.exposed_items is None:
        return batch.users, batch.items, drawn
    if batch.exposed_drawn_items is None:
        raise ValueError(
            "nothing was drawn beside the exposed rows of the batch: use a data module of "
            "invlightning, whose trainer knows the model."
        )
    return (
        torch.cat([batch.users, batch.exposed_users]),
        torch.cat([batch.items, batch.exposed_items]),
        torch.cat([drawn, batch.exposed_drawn_items]),
    )


def share_tables(source: Backbone, target: Backbone) -> None:
    """Makes a backbone look up the embeddings of another, but for biases.

    Args:
        source: Has the tables.
        target: Takes those that stand under the same names and have the same shapes.

    Raises:
        ValueError: If there is none.
    """
    tables = {id(table) for side in source.embedding_tables() for table in side}
    found = 0
    for name, table in list(source.named_modules()):
        if id(table) not in tables or table.weight.shape[1] == 1:
            continue
        own = dict(target.named_modules()).get(name)
        if isinstance(own, torch.nn.Embedding) and own.weight.shape == table.weight.shape:
            parent, _, leaf = name.rpartition(".")
            setattr(target.get_submodule(parent), leaf, table)
            found += 1
    if not found:
        raise ValueError(
            f"shared_tables finds no embeddings that {type(source).__name__} and "
            f"{type(target).__name__} have in common: use backbones of one class, or set "
            "shared_tables to false."
        )
