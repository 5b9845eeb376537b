"""Adam for models with large embedding tables."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.memory import empty_table
from invlightning.sparse import row_totals, write_rows


class RowSparseAdam(torch.optim.Optimizer):
    """Adam for sparse and dense gradients together, in one optimizer.

    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1. Dense
    gradients are those of ``torch.optim.Adam``, to the bit. Of a parameter with row-sparse
    gradients, as ``nn.Embedding(sparse=True)`` gives them, only the rows in the gradient are read
    and written: time does not depend on the size of the table. The moments of the other rows do
    not decay meanwhile and the rows stay where they are, as with ``torch.optim.SparseAdam``; the
    bias correction counts the steps of the table. ``eps`` is added where Adam adds it, after the
    bias correction (SparseAdam adds it before, which damps the first steps of small gradients),
    so that a table all of whose rows occur in every batch trains as with Adam.

    The state of a table is two numbers an entry, as with Adam, held side by side for each row.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay of the first and of the second moment, in [0, 1).
        eps: Added to the denominator.
        weight_decay: Decoupled weight decay as in AdamW; of row-sparse parameters the rows in the
            gradient decay.

    Raises:
        ValueError: If an argument is out of its range.
    """

    # Rows stepped since `forget`, by table, None where too many; None before it. Not saved: copies
    # and pickles start without.
    _used: dict[Tensor, list[Tensor] | None] | None = None

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value in {"lr": lr, "eps": eps, "weight_decay": weight_decay}.items():
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}.")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be two numbers in [0, 1), got {betas}.")
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def forget(self) -> None:
        """Forgets the moments and the number of steps of all parameters.

        As ``state.clear()``, which costs what the tables cost; from the second time on this costs
        what the rows cost that were stepped meanwhile.
        """
        used = self._used if self._used is not None else {}
        for parameter in list(self.state):
            rows = used.get(parameter)
            if rows is None or "row_moments" not in self.state[parameter]:
                del self.state[parameter]
                continue
            self.state[parameter]["step"] = 0
            for stepped in rows:
                self.state[parameter]["row_moments"].index_fill_(0, stepped, 0.0)
        self._used = {}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As that of any optimizer."""
        super().load_state_dict(state_dict)
        self._used = None

    @torch.no_grad()
    @override
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes one step.

        Args:
            closure: Evaluates the loss again and returns it. None takes the gradients as they are.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_parameter(parameter, group)
        return loss

    def _step_parameter(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        state["step"] = state.get("step", 0) + 1
        if not gradient.is_sparse:
            update(parameter, gradient, *_moments(parameter, state), state["step"], group)
            return
        rows, totals = row_totals(gradient)
        table = _row_moments(parameter, state)
        if self._used is not None:
            noted = self._used.setdefault(parameter, [])
            # Where the rows are as many as the table has, a new table is cheaper.
            if noted is not None and len(noted) * len(rows) > len(parameter):
                self._used[parameter] = None
            elif noted is not None:
                noted.append(rows)
        moments, values = table.index_select(0, rows), parameter.index_select(0, rows)
        mean, square = moments.unbind(1)
        update(values, totals, mean, square, state["step"], group)
        write_rows(table, rows, moments)
        write_rows(parameter, rows, values)


def update(
    values: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    group: dict[str, Any],
) -> None:
    """Adam, in place.

    Args:
        values: Parameters, any shape.
        gradient: Their gradient.
        mean: Their first moment.
        square: Their second moment.
        step: Number of this step, from 1.
        group: ``lr``, ``betas``, ``eps`` and ``weight_decay``.
    """
    lr, (beta1, beta2) = group["lr"], group["betas"]
    if group["weight_decay"]:
        values.mul_(1 - lr * group["weight_decay"])
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    # Contiguous, because the square root of a view takes ten times as long.
    denominator = square.contiguous().sqrt().div_((1 - beta2**step) ** 0.5).add_(group["eps"])
    values.addcdiv_(mean, denominator, value=-lr / (1 - beta1**step))


def _moments(parameter: Tensor, state: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Both moments of a parameter whose gradients are dense."""
    if "row_moments" in state:  # earlier gradients were sparse
        mean, square = state["row_moments"].unbind(1)
        return mean, square
    if "exp_avg" not in state:
        state["exp_avg"] = torch.zeros_like(parameter)
        state["exp_avg_sq"] = torch.zeros_like(parameter)
    return state["exp_avg"], state["exp_avg_sq"]


def _row_moments(parameter: Tensor, state: dict[str, Any]) -> Tensor:
    """Both moments of each row, ``(N, 2, ...)``: one place in memory to fetch instead of two."""
    if "exp_avg" in state:  # earlier gradients were dense
        state["row_moments"] = torch.stack([state.pop("exp_avg"), state.pop("exp_avg_sq")], 1)
    if "row_moments" not in state:
        size = (parameter.shape[0], 2, *parameter.shape[1:])
        empty = empty_table(*size, dtype=parameter.dtype, device=parameter.device)
        state["row_moments"] = empty.zero_()
    moments: Tensor = state["row_moments"]
    return moments
