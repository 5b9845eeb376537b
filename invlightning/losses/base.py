"""Contracts of the losses."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from typing_extensions import override

from invlightning.specs import Specified
from invlightning.types import JointRows, TrainingFacts


class Loss(Specified, nn.Module, ABC):
    """What all losses have in common: two calls that most of them do not need."""

    def start_fit(self, facts: TrainingFacts) -> None:
        """Called once before training.

        Args:
            facts: The training rows.

        Raises:
            ValueError: If the data lacks something that the loss needs.
        """

    def set_epoch(self, epoch: int) -> None:
        """Called when an epoch of training starts or is resumed.

        Args:
            epoch: Number of the epoch, counted from 0.
        """


class LabeledLoss(Loss):
    """A loss on rows whose label is known.

    It computes the same in training and in evaluation mode.
    """

    @abstractmethod
    @override
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean loss, a scalar.

        Args:
            logits: ``(B,)`` scores.
            labels: ``(B,)`` 0 or 1.
        """

    def of_rows(self, logits: Tensor, labels: Tensor, users: Tensor) -> Tensor:
        """Returns the mean loss of rows whose users are known, as training calls it.

        Override it in a loss that compares rows of a user.

        Args:
            logits: ``(B,)`` scores.
            labels: ``(B,)`` 0 or 1.
            users: ``(B,)`` user indices.
        """
        loss: Tensor = self(logits, labels)
        return loss


class UnlabeledLoss(Loss):
    """A loss on drawn rows that nobody judged."""

    @abstractmethod
    @override
    def forward(self, logits: Tensor) -> Tensor:
        """Returns the mean loss, a scalar.

        Args:
            logits: Scores of unlabeled pairs, any shape.
        """


class JointLoss(Loss):
    """A loss that needs labeled and unlabeled rows together: pairs, softmax, a risk of both."""

    @abstractmethod
    @override
    def forward(self, rows: JointRows) -> Tensor:
        """Returns the mean loss, a scalar.

        Args:
            rows: Labeled rows ``(B,)`` and the unlabeled rows ``(B, K)`` of the same users.
        """
