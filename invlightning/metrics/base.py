"""What the metrics share: states whose types hold in every process and precision."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

ROW_DTYPES = {"scores": torch.float64, "labels": torch.float32, "users": torch.int64}


class ExactMetric(Metric):
    """A metric whose states have the same type on every rank when they are gathered.

    Tensor states are float64 sums, list states are rows named in ``ROW_DTYPES``. A module in
    bfloat16 would cast the former, and a rank without rows has no type for the latter; a gather of
    unequal types fails or returns garbage.
    """

    is_differentiable = False
    full_state_update = False

    @override
    def sync(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any | None = None,
        should_sync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> None:
        """Gives every state its type, then gathers as torchmetrics does."""
        for name in self._defaults:
            state = getattr(self, name)
            if isinstance(state, Tensor) and name not in ROW_DTYPES:
                setattr(self, name, state.double())
            elif isinstance(state, list) and not state:
                state.append(torch.empty(0, dtype=ROW_DTYPES[name], device=self.device))
        super().sync(dist_sync_fn, process_group, should_sync, distributed_available)
