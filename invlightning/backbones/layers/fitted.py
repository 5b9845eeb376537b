"""Backbones whose scores are fitted in closed form, before the first gradient step."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.base import Backbone
from invlightning.compat import TravelingTensors


class FittedTable(TravelingTensors):
    """A tensor that is fitted, not trained; there is none before.

    Args:
        name: What it belongs to, for the message.
        dtype: Its type. None means the default precision.

    Attributes:
        values: The tensor; empty until it is fitted.
    """

    def __init__(self, name: str, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.name = name
        self.values = torch.empty(0, dtype=dtype)

    @override
    def get_extra_state(self) -> Tensor:
        """The tensor, for the checkpoint."""
        return self.values

    @override
    def set_extra_state(self, state: Tensor) -> None:
        """Takes the tensor that :meth:`get_extra_state` gave."""
        self.values = state.to(self.values, copy=True)

    def fitted(self) -> Tensor:
        """Returns the tensor.

        Raises:
            RuntimeError: If it is not fitted.
        """
        if len(self.values) == 0:
            raise RuntimeError(
                f"{self.name} is not fitted: train it in a Trainer with a data module of "
                "invlightning, or call its start_fit with TrainingFacts."
            )
        return self.values


class FittedBackbone(Backbone):
    """A backbone whose logit is a s + b, where the score s is fitted when training starts.

    Gradients never touch the scores. What an optimizer trains is the scale a > 0 and the offset b,
    which make a logit of a score and leave rankings as they are: one epoch is enough.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        scale: The scale a at the start.
        offset: The offset b at the start.
    """

    def __init__(
        self, num_users: int, num_items: int, scale: float = 4.0, offset: float = -2.0
    ) -> None:
        super().__init__(num_users, num_items)
        self.log_scale = nn.Parameter(torch.full((1,), math.log(scale)))
        self.offset = nn.Parameter(torch.full((1,), offset))

    @property
    @override
    def varies_in_training(self) -> bool:
        return False

    @abstractmethod
    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        """Fitted scores of pairs, of the broadcast shape; see :meth:`Backbone.forward`."""

    @abstractmethod
    def range_scores(self, users: Tensor, start: int, stop: int) -> Tensor:
        """Fitted scores ``(B, stop - start)`` of a range of items for each user ``(B,)``."""

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        return self._logits(self.pair_scores(users, items))

    @override
    def score_range(self, users: Tensor, start: int, stop: int) -> Tensor:
        return self._logits(self.range_scores(users, start, stop))

    def _logits(self, scores: Tensor) -> Tensor:
        return scores * self.log_scale.exp() + self.offset
