"""Gradients of the unlabeled loss, the same on all processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from invlightning.inverse.context import StepContext

_INDEX = 8  # bytes of an int64


def gradients_of(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients of this process's loss; None where the loss does not depend on a parameter.

    The ``grad`` attributes stay as they were. Gradients of sharded parameters (``DTensor``) are
    averaged over processes already, by the hooks of whoever sharded them.
    """
    if not any(isinstance(p, DTensor) for p in parameters):
        return list(torch.autograd.grad(loss, parameters, allow_unused=True))
    kept = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    torch.autograd.backward(loss)  # the hooks of fully sharded modules need backward itself
    found = [p.grad for p in parameters]
    for p, grad in zip(parameters, kept, strict=True):
        p.grad = grad
    return found


def averaged(
    gradients: Sequence[Tensor | None], parameters: Sequence[Tensor], context: StepContext
) -> list[Tensor | None]:
    """Averages gradients over processes; a missing one counts as zero.

    All dense gradients travel in one flat message. Of row-sparse ones the touched rows of all
    processes travel, in one message and one for their numbers.
    """
    result = list(gradients)
    if context.mean is None:
        return result
    own = [i for i, p in enumerate(parameters) if not isinstance(p, DTensor)]
    by_rows = context.row_sparse if context.gather is not None else frozenset()
    sparse = [i for i in own if id(parameters[i]) in by_rows]
    dense = [i for i in own if id(parameters[i]) not in by_rows]
    if dense:
        parts = [_dense(gradients[i], parameters[i]) for i in dense]
        flat = context.mean(torch.cat([part.reshape(-1) for part in parts]))
        for i, mean in zip(dense, torch.split(flat, [p.numel() for p in parts]), strict=True):
            result[i] = mean.view_as(parameters[i]).to(parameters[i].dtype)
    if sparse and context.gather is not None:
        rows = mean_rows([_row_sparse(gradients[i], parameters[i]) for i in sparse], context.gather)
        for i, mean in zip(sparse, rows, strict=True):
            result[i] = mean
    return result


def mean_rows(gradients: Sequence[Tensor], gather: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Averages row-sparse gradients over processes; only touched rows travel.

    Reading the numbers of rows waits for the device once.

    Args:
        gradients: Coalesced tensors, sparse in their first dimension, of any value types.
        gather: Stacks equally shaped tensors of all P processes to ``(P, ...)``.

    Returns:
        Coalesced tensors, equal on all processes.
    """
    device = gradients[0].device
    counts = gather(torch.tensor([g.indices().shape[1] for g in gradients], device=device)).tolist()
    message = torch.cat([_as_bytes(x) for g in gradients for x in (g.indices()[0], g.values())])
    widths = [_INDEX + g.values()[:0].new_empty(g.shape[1:]).nbytes for g in gradients]
    sizes = [[n * w for n, w in zip(row, widths, strict=True)] for row in counts]
    longest = max(sum(row) for row in sizes)
    received = gather(torch.nn.functional.pad(message, (0, longest - message.numel())))
    parts = [stream[: sum(row)].split(row) for stream, row in zip(received, sizes, strict=True)]
    return [
        _mean_of(list(streams), list(numbers), g)
        for streams, numbers, g in zip(
            zip(*parts, strict=True), zip(*counts, strict=True), gradients, strict=True
        )
    ]


def _as_bytes(values: Tensor) -> Tensor:
    return values.contiguous().flatten().view(torch.uint8)


def _mean_of(streams: Sequence[Tensor], counts: Sequence[int], like: Tensor) -> Tensor:
    """The mean of the row-sparse tensors whose indices and values lie in byte streams."""
    indices, values = [], []
    for stream, n in zip(streams, counts, strict=True):
        # Copies, because a view of another type must start at a multiple of its size.
        indices.append(stream[: _INDEX * n].clone().view(torch.int64))
        values.append(stream[_INDEX * n :].clone().view(like.dtype).view(n, *like.shape[1:]))
    mean = torch.cat(values) / len(streams)
    return torch.sparse_coo_tensor(torch.cat(indices)[None], mean, like.shape).coalesce()


def _dense(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    if gradient is None:
        return torch.zeros_like(parameter)
    return gradient.to_dense() if gradient.is_sparse else gradient


def _row_sparse(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    if gradient is None:
        nothing = torch.empty(1, 0, dtype=torch.int64, device=parameter.device)
        values = parameter.detach()[:0]
        gradient = torch.sparse_coo_tensor(nothing, values, parameter.shape)
    return (gradient if gradient.is_sparse else gradient.to_sparse(1)).coalesce()
