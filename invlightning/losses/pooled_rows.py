"""Any labeled loss over labeled rows and, as negatives, unlabeled ones."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import JointLoss, LabeledLoss
from invlightning.losses.joint_rows import all_rows
from invlightning.types import JointRows, TrainingFacts


class PooledRowsLoss(JointLoss):
    """Applies a labeled loss to all rows of a batch, unlabeled ones with label 0.

    The way to train a noise-robust loss on implicit feedback, where the drawn negatives are the
    noisy labels. Every row counts alike, whereas ``labeled_loss`` plus
    :class:`~invlightning.losses.NaiveNegativeLoss` adds two means.

    Args:
        loss: Loss of a row and its label, such as
            :class:`~invlightning.losses.GeneralizedCrossEntropy`.
    """

    def __init__(self, loss: LabeledLoss) -> None:
        super().__init__()
        self.loss = loss

    @override
    def start_fit(self, facts: TrainingFacts) -> None:
        self.loss.start_fit(facts)

    @override
    def set_epoch(self, epoch: int) -> None:
        self.loss.set_epoch(epoch)

    @override
    def forward(self, rows: JointRows) -> Tensor:
        logits, labels, mask = all_rows(rows)
        if mask is not None:
            logits, labels = logits[mask], labels[mask]
        value: Tensor = self.loss(logits, labels)
        return value
