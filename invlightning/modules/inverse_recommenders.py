"""Ready recommenders that train with inverse gradients."""

from typing import Any

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from typing_extensions import override

from invlightning.inverse import Decision, DirectionName
from invlightning.losses import InverseDualLoss, JointLoss, LabeledLoss, UnlabeledLoss
from invlightning.modules.checks import varies_in_training
from invlightning.modules.driver import OuterState, Schedule
from invlightning.modules.entire_space import EntireSpaceRecommender
from invlightning.modules.inverse_gradient import InverseGradientMixin
from invlightning.modules.recommender import BackboneCallable, Recommender


class InverseGradientRecommender(InverseGradientMixin, Recommender):
    """A recommender trained with inverse gradients.

    On the supervised part of an epoch it takes plain steps on the labeled loss. On the meta part
    (``schedule="phased"``) or on every batch (``schedule="every_batch"``) it first tries the direct
    step, the inverse step and none along the gradient of the unlabeled loss, goes to the one with
    the lowest labeled loss, and takes the plain step from there.

    Reference: Lin et al., Inverse Learning with Extremely Sparse Feedback for Recommendation,
    WSDM 2024 (arXiv 2311.08302), Inverse Gradient. Departures from the released code: gradients
    are zeroed between steps, and the optimizer keeps its state (``outer_state="fresh"`` does not).

    Args:
        backbone: Builds the network from ``(num_users, num_items)``: a Backbone class, or
            ``functools.partial`` of one.
        labeled_loss: Loss on labeled rows, and the risk that judges the candidates. None means
            ``BinaryCrossEntropy()``.
        unlabeled_loss: Loss on drawn pairs whose gradient is tried. None leaves them out if there
            is an exposed loss, and else means ``InverseDualLoss()``.
        optimizer: Builds the outer optimizer from the parameters. None means Adam with learning
            rate 1e-3.
        lr_scheduler: Builds a scheduler from the optimizer, stepped every epoch. None keeps the
            learning rate.
        num_users: Number of users U. None takes it from the data module.
        num_items: Number of items I. None takes it from the data module.
        inner_lr: Length of the inner step.
        direction: Rule of the inner step: ``adam`` (first step of a fresh Adam), ``sgd`` or
            ``sign``.
        schedule: ``phased`` (a supervised pass, then inverse gradients on the meta part of the
            data) or ``every_batch`` (inverse gradients on every batch).
        decision: Judges the step. None means one choice a batch, as in the paper.
        outer_state: ``persistent`` keeps the state of the optimizer; ``fresh`` forgets it at
            every inverse gradient step, as the released code does.
        label_cutoff: Cut-off k of NDCG and HARM on labeled rows.
        top_k: Cut-off k of the full-catalogue metrics, and the number of items that ``predict``
            and ``recommend`` return.
        item_chunk: Items scored at a time in a full-catalogue ranking; bounds its memory.
        compile: Whether the backbone is compiled, in place; the first steps then take minutes.
        exposed_loss: Loss on exposed rows whose gradient is tried, with that of the drawn pairs if
            both are given. None leaves them out.
        embedding_l2: Weight of the mean squared norm of the embeddings that a batch looks up.
        l2_in_risk: Whether that penalty is part of the risk that judges the candidates, and not of
            the outer step alone.
        capture: Whether training steps are captured as CUDA graphs, which takes one CUDA device: a
            step is then one launch and not hundreds, with the same result.

    Raises:
        ValueError: At set-up, if the data module has no meta part for ``phased``, or the Trainer
            uses what inverse gradients cannot work with; the message names the alternative.
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
        inner_lr: float = 1e-3,
        direction: DirectionName = "adam",
        schedule: Schedule = "phased",
        decision: Decision | None = None,
        outer_state: OuterState = "persistent",
        label_cutoff: int = 10,
        top_k: int = 20,
        item_chunk: int = 65536,
        compile: bool = False,
        exposed_loss: UnlabeledLoss | None = None,
        embedding_l2: float = 0.0,
        l2_in_risk: bool = False,
        capture: bool = False,
    ) -> None:
        if unlabeled_loss is None and exposed_loss is None:
            unlabeled_loss = InverseDualLoss()
        super().__init__(
            backbone=backbone,
            labeled_loss=labeled_loss,
            unlabeled_loss=unlabeled_loss,
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
        self.inner_lr, self.direction, self.decision = inner_lr, direction, decision
        self.schedule, self.outer_state = schedule, outer_state
        self.l2_in_risk = l2_in_risk
        _ = self.driver  # refuses wrong values now, not at set-up

    @override
    def on_fit_start(self) -> None:
        self.varies_in_training = differs_in_training(self)
        super().on_fit_start()


class EntireSpaceInverseGradientRecommender(InverseGradientMixin, EntireSpaceRecommender):
    """The entire space, whose preference learns from exposed rows by inverse gradients.

    Before a step on the labeled loss, the exposure loss and the penalties, it tries the direct
    step, the inverse step and none along the gradient of the exposed loss of the preference, and
    goes to the one with the lowest labeled loss. See :class:`EntireSpaceRecommender` and
    :class:`InverseGradientRecommender`.

    Args:
        backbone: Builds the preference from ``(num_users, num_items)``.
        labeled_loss: Loss of the preference on labeled rows. None means ``BinaryCrossEntropy()``.
        exposed_loss: Loss of the preference on exposed rows whose gradient is tried. None means
            ``InverseDualLoss(prior="labeled")``.
        exposure_backbone: Builds the exposure. None means a second one of ``backbone``.
        exposure_loss: Loss of observed rows, as positives, against the pairs drawn beside them.
            None means cross entropy of both; BPR or a sampled softmax rank the catalogue better.
        exposure_weight: Weight of that loss.
        shared_tables: Whether the exposure looks up the embeddings of the preference, biases
            excepted, which helps few labels and costs the catalogue.
        inner_lr: Length of the inner step.
        direction: Rule of the inner step: ``adam`` (first step of a fresh Adam), ``sgd`` or
            ``sign``.
        schedule: ``every_batch`` (inverse gradients on every batch) or ``phased`` (on the meta part
            of the data).
        decision: Judges the step. None means one choice a batch, as in the paper.
        outer_state: ``persistent`` keeps the state of the optimizer; ``fresh`` forgets it at
            every inverse gradient step.
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
        l2_in_risk: Whether the penalty of the preference is part of the risk that judges the
            candidates, and not of the outer step alone.
        capture: Whether training steps are captured as CUDA graphs, which takes one CUDA device: a
            step is then one launch and not hundreds, with the same result.

    Raises:
        TypeError: If a backbone is an instance, or an argument cannot be written to a checkpoint.
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        backbone: BackboneCallable,
        labeled_loss: LabeledLoss | None = None,
        exposed_loss: UnlabeledLoss | None = None,
        exposure_backbone: BackboneCallable | None = None,
        exposure_loss: JointLoss | None = None,
        exposure_weight: float = 1.0,
        shared_tables: bool = False,
        inner_lr: float = 1e-3,
        direction: DirectionName = "adam",
        schedule: Schedule = "every_batch",
        decision: Decision | None = None,
        outer_state: OuterState = "persistent",
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
        l2_in_risk: bool = False,
        capture: bool = False,
    ) -> None:
        if exposed_loss is None:
            exposed_loss = InverseDualLoss(prior="labeled")
        super().__init__(
            backbone=backbone,
            labeled_loss=labeled_loss,
            exposed_loss=exposed_loss,
            exposure_backbone=exposure_backbone,
            exposure_loss=exposure_loss,
            exposure_weight=exposure_weight,
            shared_tables=shared_tables,
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            num_users=num_users,
            num_items=num_items,
            label_cutoff=label_cutoff,
            top_k=top_k,
            item_chunk=item_chunk,
            compile=compile,
            embedding_l2=embedding_l2,
            exposure_l2=exposure_l2,
            capture=capture,
        )
        self.inner_lr, self.direction, self.decision = inner_lr, direction, decision
        self.schedule, self.outer_state = schedule, outer_state
        self.l2_in_risk = l2_in_risk
        _ = self.driver  # refuses wrong values now, not at set-up

    @override
    def on_fit_start(self) -> None:
        self.varies_in_training = differs_in_training(self)
        super().on_fit_start()


def differs_in_training(module: Recommender) -> bool:
    """Whether the labeled loss may differ between training and evaluation mode."""
    labeled_loss: Any = type(module).labeled_loss
    return labeled_loss is not Recommender.labeled_loss or varies_in_training(module.backbone)
