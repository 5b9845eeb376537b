"""Log loss of labeled rows."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.metrics import functional as F
from invlightning.metrics.base import ExactMetric


class LogLoss(ExactMetric):
    """Mean negative log-likelihood of the labels, in nats; see :func:`functional.log_loss`."""

    higher_is_better = False

    log_loss: Tensor

    def __init__(self) -> None:
        super().__init__()
        # (sum, rows). Named for the class: a MetricCollection merges metrics whose states have
        # equal names and, after the first batch, equal values.
        self.add_state("log_loss", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    @override
    def update(self, scores: Tensor, labels: Tensor, users: Tensor | None = None) -> None:
        """Adds rows.

        Args:
            scores: ``(B,)`` logits of any float type.
            labels: ``(B,)`` 0 or 1, of any type.
            users: Not needed; taken so that all metrics of labeled rows are called alike.

        Raises:
            ValueError: If shapes differ.
        """
        F.check_shapes(scores, labels, users)
        losses = F.log_losses(scores, labels)
        self.log_loss = self.log_loss + torch.stack([losses.sum(), losses.new_tensor(len(losses))])

    @override
    def compute(self) -> Tensor:
        """Returns a float64 scalar; nan if there is no row.

        Raises:
            ValueError: If a logit was nan or a label neither 0 nor 1.
        """
        total, num_rows = self.log_loss.unbind()
        if total.isnan():
            raise ValueError(
                "the log loss is nan: a score is nan (the model has diverged, try a smaller "
                "learning rate) or a label is neither 0 nor 1 (turn ratings into labels by a "
                "threshold)."
            )
        return total / num_rows
