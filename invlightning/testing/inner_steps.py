"""A small model with labeled and unlabeled rows, to take inner steps on."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from invlightning.inverse import (
    Decision,
    DirectionName,
    InverseGradient,
    StepContext,
    StepRecord,
    UnlabeledRows,
)

USERS, ITEMS, WIDTH = 7, 9, 4
UNUSED_USER, UNUSED_ITEM = 6, 8  # in no row


class InnerStepProblem(nn.Module):
    """Factors of users and items, a layer over their product and rows to train on.

    The labeled risk, not the unlabeled loss, depends on ``offset``. Equal arguments give equal
    parameters and rows.

    Args:
        sparse: Whether the gradients of the tables hold the looked-up rows only.
        dtype: Precision of the parameters.
        device: Where the parameters and rows are.
        seed: Of the rows.

    Attributes:
        risk_factor: Factor of the labeled risk.
        logit_factor: Factor of the last unlabeled logit.
        fails_at: Number, from 1, of the forward pass that raises ArithmeticError; 0 for none.
        calls: Number of forward passes.
    """

    def __init__(
        self,
        sparse: bool = False,
        dtype: torch.dtype = torch.float64,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.users = nn.Embedding(USERS, WIDTH, sparse=sparse)
        self.items = nn.Embedding(ITEMS, WIDTH, sparse=sparse)
        self.layer = nn.Linear(WIDTH, 1)
        self.offset = nn.Parameter(torch.zeros(()))
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.to(device, dtype)
        generator.manual_seed(seed)
        columns = (
            torch.randint(UNUSED_USER, (6,), generator=generator),
            torch.randint(UNUSED_ITEM, (6,), generator=generator),
            torch.randint(UNUSED_ITEM, (6, 2), generator=generator),
            torch.randint(2, (6,), generator=generator).to(dtype),
        )
        self.rows = tuple(column.to(device) for column in columns)
        self.risk_factor = self.logit_factor = 1.0
        self.fails_at = self.calls = 0

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Returns logits of pairs."""
        self.calls += 1
        if self.calls == self.fails_at:
            raise ArithmeticError
        logits: Tensor = self.layer(torch.tanh(self.users(users) * self.items(items)))
        return logits.squeeze(-1)

    def unlabeled_logits(self, rows: tuple[Tensor, ...]) -> Tensor:
        """Returns the ``(6, 2)`` logits of the unlabeled pairs."""
        logits: Tensor = self(rows[0].unsqueeze(1), rows[2])
        factors = torch.ones_like(logits)
        factors[-1, -1:] = self.logit_factor
        return logits * factors

    def criterion(self, logits: Tensor) -> Tensor:
        """Returns the mean unlabeled loss, a curved function of each logit."""
        return (F.softplus(logits).square() - 0.3 * logits).mean()

    def labeled_risk(self) -> Tensor:
        """Returns the cross entropy of the labeled rows."""
        users, items, _, labels = self.rows
        logits = self(users, items) + self.offset
        return self.risk_factor * F.binary_cross_entropy_with_logits(logits, labels)

    def step(
        self,
        decision: Decision,
        inner_lr: float = 0.3,
        direction: DirectionName = "sgd",
        context: StepContext | None = None,
    ) -> StepRecord:
        """Takes one inner step in place and returns its record."""
        return InverseGradient(inner_lr, direction, decision).step(
            list(self.parameters()),
            lambda: self.criterion(self.unlabeled_logits(self.rows)),
            self.labeled_risk,
            context,
            UnlabeledRows(self, "unlabeled_logits", self.rows, self.criterion),
        )

    def values(self) -> list[Tensor]:
        """Returns copies of the parameters."""
        return [parameter.detach().clone() for parameter in self.parameters()]
