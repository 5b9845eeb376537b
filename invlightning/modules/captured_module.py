"""A LightningModule whose training steps can be captured."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from typing_extensions import override

from invlightning.losses.base import Loss
from invlightning.modules.capture import CapturedGradients
from invlightning.modules.capture_checks import (
    check_captured_gradients,
    check_captured_optimizers,
    check_captured_tables,
)


class CapturableModule(pl.LightningModule):
    """Replays the loss and its gradients as one CUDA graph, if it is told to.

    The optimizer, clipping, schedulers and hooks stay those of Lightning. The first batch of a
    shape and a ragged last batch run as usual.

    Attributes:
        captures: Whether steps are captured.
        captured_gradients: Computes the loss of a batch and its gradients while fitting; None where
            nothing is captured.
    """

    captures: bool = False
    captured_gradients: CapturedGradients | None = None

    def step_loss(self, batch: Any) -> Tensor:
        """What the optimizer minimizes at a batch, a scalar."""
        raise NotImplementedError

    def criteria(self) -> list[Loss]:
        """The losses in it."""
        raise NotImplementedError

    @override
    def setup(self, stage: str) -> None:
        """Refuses what cannot be captured."""
        super().setup(stage)
        if stage == "fit" and self.captures:
            check_captured_gradients(self)

    @override
    def on_fit_start(self) -> None:
        """Prepares the capture, now that the parameters lie on their device."""
        super().on_fit_start()
        self.captured_gradients = None
        if self.captures:
            check_captured_tables(self)
            check_captured_optimizers(self.trainer)
            self.captured_gradients = CapturedGradients(
                self.step_loss,
                list(self.parameters()),
                self.criteria(),
                casts_backward=not self.automatic_optimization,
            )

    @override
    def on_fit_end(self) -> None:
        """Lets the graphs and their memory go."""
        super().on_fit_end()
        self.captured_gradients = None

    @override
    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """The backward pass; where it was part of the captured step, what came of it."""
        if self.captured_gradients is None:
            super().backward(loss, *args, **kwargs)
        else:
            self.captured_gradients.assign()
