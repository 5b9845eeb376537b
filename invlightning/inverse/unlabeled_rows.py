"""Unlabeled rows one by one: what decisions about each row need to know of a module."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from invlightning.compat import is_compiled
from invlightning.sparse import row_totals

Criterion = Callable[[Tensor], Tensor]


class UnlabeledRows:
    """The logits of the unlabeled rows of a batch, as a function of the parameters.

    Every look at them starts from the same random numbers, so that dropout drops the same entries
    for the logits, their slopes and their tangents; the generators stay where they were.

    Rows of several kinds, drawn and exposed, each with a loss of its own, stand one kind after the
    other; the loss is the sum of theirs.

    Args:
        module: The module whose parameters move.
        method: Name of its method that returns the logits of the unlabeled rows of a batch.
        batch: The batch.
        loss: Mean loss of logits: the mean over rows of a function of each logit. A loss whose
            rows also depend on the batch as a whole has a method ``row_losses``, see
            :meth:`losses`.
        more: Further kinds of rows: the name of a method and its loss.
    """

    def __init__(
        self,
        module: nn.Module,
        method: str,
        batch: Any,
        loss: Criterion,
        *more: tuple[str, Criterion],
    ) -> None:
        self.module = module
        self.batch = batch
        self.methods = (method, *(name for name, _ in more))
        self.criteria = (loss, *(criterion for _, criterion in more))
        self._sizes: list[int] = []

    def logits(self) -> Tensor:
        """Logits of the unlabeled rows, any shape, with a graph."""
        with _same_numbers(self.module):
            kinds = [getattr(self.module, name)(self.batch) for name in self.methods]
        self._sizes = [kind.numel() for kind in kinds]
        return kinds[0] if len(kinds) == 1 else torch.cat([kind.flatten() for kind in kinds])

    def loss(self, logits: Tensor) -> Tensor:
        """Sum of the mean losses of the kinds of rows, a scalar.

        Args:
            logits: Those of :meth:`logits`.
        """
        if len(self.criteria) == 1:
            return self.criteria[0](logits)
        kinds = zip(self.criteria, torch.split(logits, self._sizes), strict=True)
        # A kind without a row in this batch says nothing.
        losses = [loss(rows) for loss, rows in kinds if len(rows)]
        return torch.stack(losses).sum() if losses else logits.sum()

    def slopes(self, logits: Tensor) -> Tensor:
        """Derivative of the loss of each row in its logit, without a graph.

        Args:
            logits: Those of :meth:`logits`; their graph stays.
        """
        leaf = logits.detach().requires_grad_()
        if not leaf.numel():
            return leaf.detach()
        # The mean loss gives each row 1/M of its slope.
        [slopes] = torch.autograd.grad(self.loss(leaf), leaf)
        return slopes.detach() * leaf.numel()

    def losses(self, logits: Tensor) -> Tensor:
        """Loss of each row, in the shape of the logits, without a graph.

        It is what ``loss.row_losses(logits)`` returns, if the loss has that method, and else the
        mean loss of a batch of that row alone.

        Args:
            logits: Those of :meth:`logits`.
        """
        logits = logits.detach()
        if len(self.criteria) == 1:
            return _row_losses(self.criteria[0], logits)
        kinds = zip(self.criteria, torch.split(logits, self._sizes), strict=True)
        return torch.cat([_row_losses(loss, rows) for loss, rows in kinds])

    def tangent(
        self, parameters: Sequence[Tensor], displacement: Sequence[Tensor | None]
    ) -> Tensor:
        """Derivative of every logit along a displacement of the parameters.

        One forward-mode pass, whatever the number of rows. A row-sparse displacement of a table
        costs its rows alone, as long as the module only looks rows up in that table (by
        ``nn.Embedding`` or ``nn.functional.embedding``), which is what a row-sparse gradient is
        made by.

        Args:
            parameters: Parameters of the module.
            displacement: For each of them a tensor of its shape, dense or sparse in its first
                dimension; None stands for zero.

        Returns:
            The derivatives, in the shape of the logits.
        """
        names = {id(p): name for name, p in self.module.named_parameters()}
        looked_up = {id(t.weight) for t in self.module.modules() if isinstance(t, nn.Embedding)}
        dense, by_rows = {}, {}
        for p, v in zip(parameters, displacement, strict=True):
            if v is not None and v.is_sparse and id(p) in looked_up:
                by_rows[id(p)] = row_totals(v)
            elif v is not None:
                dense[f"module.{names[id(p)]}"] = v.to_dense()
        call = _Call(self.module, self.methods)
        with forward_ad.dual_level(), torch.no_grad(), _same_numbers(self.module):
            duals = {
                name: forward_ad.make_dual(call.get_parameter(name).detach(), v)
                for name, v in dense.items()
            }
            with _RowTangents(by_rows), _uncompiled(self.module):
                logits = torch.func.functional_call(call, duals, (self.batch,))
            derivative = forward_ad.unpack_dual(logits).tangent
        return torch.zeros_like(logits) if derivative is None else derivative


def _row_losses(loss: Criterion, logits: Tensor) -> Tensor:
    own: Criterion | None = getattr(loss, "row_losses", None)
    if own is not None:
        return own(logits).detach()
    if not logits.numel():
        return logits
    return torch.vmap(loss)(logits.flatten()).detach().view_as(logits)


def _same_numbers(module: nn.Module) -> AbstractContextManager[Any]:
    """Puts random generators back afterwards; their states lie on the host, so nothing waits.

    Where there is no dropout or the like they are left alone, as no CUDA graph could hold this.
    """
    if not getattr(module, "varies_in_training", True):
        return nullcontext()
    device = next(module.parameters()).device
    devices = [] if device.type == "cpu" else [device]
    return torch.random.fork_rng(devices, device_type=device.type)


def _uncompiled(module: nn.Module) -> AbstractContextManager[Any]:
    """Runs what was compiled as it was written; else it is compiled again in every step."""
    # The compiler is asked only then, as that loads it.
    return torch.compiler.set_stance("force_eager") if is_compiled(module) else nullcontext()


class _RowTangents(TorchFunctionMode):
    """Gives looked-up rows of some tables a tangent.

    Args:
        tables: By the ``id`` of a table its displaced rows, ascending, and their displacements.
    """

    def __init__(self, tables: dict[int, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.tables = tables

    @override
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is not F.embedding:
            return found
        indices, weight = args[:2]
        if id(weight) not in self.tables:
            return found
        rows, totals = self.tables[id(weight)]
        if not len(rows):
            return found
        # Not every looked-up row is displaced: one that is not finds its neighbor.
        places = torch.searchsorted(rows, indices).clamp(max=len(rows) - 1)
        tangent = totals[places] * (rows[places] == indices).unsqueeze(-1)
        return forward_ad.make_dual(found, tangent.to(found.dtype))


class _Call(nn.Module):
    """Makes methods of a module the forward of another, as ``functional_call`` wants it."""

    def __init__(self, module: nn.Module, methods: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.methods = methods

    @override
    def forward(self, batch: Any) -> Tensor:
        kinds: list[Tensor] = [getattr(self.module, name)(batch) for name in self.methods]
        return kinds[0] if len(kinds) == 1 else torch.cat([kind.flatten() for kind in kinds])
