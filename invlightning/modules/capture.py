"""Training steps captured as CUDA graphs: recorded once and replayed by one launch.

A step of a recommender is hundreds of small kernels, and launching them takes longer than running
them. A graph launches all of them at once. It reads its batch from buffers and writes to memory of
its own, so what it computes is what the recorded step computes, bit for bit; whatever Python looked
at while it was recorded is part of it, which is why a step is recorded anew when that changes.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


def record_graph(function: Callable[[], T]) -> tuple[Callable[[], None], T]:
    """Records what a function does on the CUDA device, without doing it.

    Args:
        function: Does the same in every call; what it looks at lies in tensors that stay.

    Returns:
        A function that does it, and the result that this writes to.
    """
    graph = torch.cuda.CUDAGraph()
    torch.clear_autocast_cache()  # a copy from before would never be renewed
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = function()
    torch.clear_autocast_cache()
    return graph.replay, result


class CapturedFunction(Generic[T]):
    """A function of a batch that is captured when two batches of one form follow each other.

    The first batch of a form runs as it is written, which also lets libraries set themselves up. So
    does a ragged last batch, whose form never comes twice in a row.

    Args:
        function: Computes tensors from a batch, a named tuple, and from parameters.
        parameters: Those parameters. A function is captured anew when one of them was frozen or
            lies elsewhere.
        criteria: Losses in the function: likewise when a plain number or truth value of one
            changed, as by ``set_epoch``.
    """

    def __init__(
        self,
        function: Callable[[Any], T],
        parameters: Sequence[Tensor],
        criteria: Iterable[nn.Module] = (),
    ) -> None:
        self.function, self.parameters = function, parameters
        self.losses = [m for criterion in criteria for m in criterion.modules()]
        self._graphs: dict[object, tuple[Any, Callable[[], None], T]] = {}
        self._settings: object = None
        self._last: object = None

    def __call__(self, batch: Any) -> T:
        """What the function returns; overwritten by the next call.

        Raises:
            TypeError: If the batch is no named tuple.
            RuntimeError: If the function does something that no graph can hold.
        """
        settings, form = self._current_settings(), form_of(batch)
        if settings != self._settings:
            self._graphs.clear()
            self._settings, self._last = settings, None
        if form not in self._graphs:
            repeated, self._last = form == self._last, form
            if not repeated:
                return self.function(batch)
            self._graphs[form] = self._capture(batch)
        self._last = form
        buffers, replay, result = self._graphs[form]
        for buffer, value in zip(tensors_of(buffers), tensors_of(batch), strict=True):
            buffer.copy_(value)
        replay()
        return result

    def _capture(self, batch: Any) -> tuple[Any, Callable[[], None], T]:
        buffers = batch._make(v.clone() if isinstance(v, Tensor) else v for v in batch)
        try:
            replay, result = record_graph(lambda: self.function(buffers))
        except RuntimeError as error:
            raise RuntimeError(
                "the training step cannot be captured: it reads a value from the device, or does "
                "something else that a CUDA graph cannot hold (see the error above). Set capture "
                "to false."
            ) from error
        return buffers, replay, result

    def _current_settings(self) -> object:
        """What a graph holds that Python may change."""
        places = [(p.data_ptr(), p.requires_grad) for p in self.parameters]
        plain = (int, float, str, type(None))
        numbers = [v for m in self.losses for v in vars(m).values() if isinstance(v, plain)]
        return places, numbers


def tensors_of(batch: Any) -> list[Tensor]:
    """The tensors of a batch, in order."""
    return [value for value in batch if isinstance(value, Tensor)]


def form_of(batch: Any) -> object:
    """The shapes and types of the tensors of a batch, and all else in it but its seed.

    Raises:
        TypeError: If the batch is no named tuple.
    """
    if not hasattr(batch, "_asdict"):
        raise TypeError(
            f"captured steps read batches that are named tuples of tensors, got "
            f"{type(batch).__name__}: use a data module of invlightning, or leave capture out."
        )
    return tuple(
        (value.shape, value.dtype) if isinstance(value, Tensor) else value
        for name, value in batch._asdict().items()
        if name != "seed"
    )


class CapturedGradients:
    """The loss of a batch and its gradients, captured.

    Args:
        loss: Computes the loss of a batch, with a graph.
        parameters: Take the gradients; frozen ones have none.
        criteria: The losses in it, see :class:`CapturedFunction`.
        casts_backward: Whether autocast covers the backward pass too, as in Lightning's manual
            optimization, where it is part of the training step.
    """

    def __init__(
        self,
        loss: Callable[[Any], Tensor],
        parameters: Sequence[Tensor],
        criteria: Iterable[nn.Module],
        casts_backward: bool,
    ) -> None:
        self.loss, self.parameters, self.casts_backward = loss, parameters, casts_backward
        self._captured = CapturedFunction(self._compute, parameters, criteria)
        self._gradients: list[Tensor | None] = []

    def __call__(self, batch: Any) -> Tensor:
        """The loss, a scalar without a graph; :meth:`assign` then gives its gradients."""
        loss, self._gradients = self._captured(batch)
        return loss.clone()

    def assign(self) -> None:
        """Gives the parameters the gradients of the last batch; the next batch overwrites them."""
        for parameter, gradient in zip(self.parameters, self._gradients, strict=True):
            parameter.grad = gradient

    def _compute(self, batch: Any) -> tuple[Tensor, list[Tensor | None]]:
        for parameter in self.parameters:
            parameter.grad = None
        loss = self.loss(batch)
        as_is = self.casts_backward
        with nullcontext() if as_is else torch.autocast(loss.device.type, enabled=False):
            loss.backward()
        return loss.detach(), [parameter.grad for parameter in self.parameters]
