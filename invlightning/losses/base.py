"""Contracts of the losses."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from invlightning.specs import Specified
from invlightning.types import JointRows


class LabeledLoss(Specified, nn.Module, ABC):
    """A loss on rows whose label is known.

    It computes the same in training and in evaluation mode.
    """

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean loss, a scalar.

        Args:
            logits: ``(B,)`` scores.
            labels: ``(B,)`` 0 or 1.
        """


class UnlabeledLoss(Specified, nn.Module, ABC):
    """A loss on drawn rows that nobody judged."""

    @abstractmethod
    def forward(self, logits: Tensor) -> Tensor:
        """Returns the mean loss, a scalar.

        Args:
            logits: Scores of unlabeled pairs, any shape.
        """

    def start_fit(self, labels: Tensor) -> None:
        """Called once before training with the labels of all training rows.

        Args:
            labels: ``(N,)`` 0 or 1.
        """

    def start_epoch(self, epoch: int) -> None:
        """Called at the start of every training epoch, counted from 0."""


class JointLoss(Specified, nn.Module, ABC):
    """A loss that needs labeled and unlabeled rows together: pairs, softmax, a risk of both."""

    @abstractmethod
    def forward(self, rows: JointRows) -> Tensor:
        """Returns the mean loss, a scalar.

        Args:
            rows: Labeled rows ``(B,)`` and the unlabeled rows ``(B, K)`` of the same users.
        """

    def start_fit(self, labels: Tensor, items: Tensor, num_items: int) -> None:
        """Called once before training with all labeled training rows.

        Args:
            labels: ``(N,)`` 0 or 1.
            items: ``(N,)`` item indices.
            num_items: Number of items I.
        """
