"""The cost of one training step: inverse learning against plain cross entropy on the same rows."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import NamedTuple

import torch
from torch import Tensor

import invlightning as il
from benchmarks.figures import Figure
from benchmarks.timing import device_clock, interleave, threads
from invlightning.inverse import BatchSign, InverseGradient
from invlightning.losses import BinaryCrossEntropy, InverseDualLoss, NaiveNegativeLoss

Step = Callable[[], object]


class Rows(NamedTuple):
    """Labeled rows ``(B,)`` with one unlabeled item beside each, ``(B, 1)``."""

    users: Tensor
    items: Tensor
    labels: Tensor
    unlabeled: Tensor


def draw_rows(num_users: int, num_items: int, size: int, device: str, count: int) -> Iterator[Rows]:
    """Random rows, for ever; ``count`` different batches."""
    batches = [
        Rows(
            torch.randint(num_users, (size,), device=device),
            torch.randint(num_items, (size,), device=device),
            torch.randint(2, (size,), device=device).float(),
            torch.randint(num_items, (size, 1), device=device),
        )
        for _ in range(count)
    ]
    return cycle(batches)


class Training:
    """A backbone, an optimizer and rows; its methods are the steps that are compared."""

    def __init__(
        self,
        backbone: il.Backbone,
        optimizer: Callable[..., torch.optim.Optimizer],
        rows: Iterator[Rows],
    ) -> None:
        self.backbone = backbone
        self.parameters = list(backbone.parameters())
        self.optimizer = optimizer(self.parameters)
        self.rows = rows
        self.engine = InverseGradient(1e-3, "adam", BatchSign())
        self.cross_entropy = BinaryCrossEntropy()
        self.inverse_dual, self.negative = InverseDualLoss(), NaiveNegativeLoss()

    def labeled(self, rows: Rows) -> Tensor:
        """Loss of the labeled rows."""
        loss: Tensor = self.cross_entropy(self.backbone(rows.users, rows.items), rows.labels)
        return loss

    def unlabeled(self, rows: Rows, criterion: il.UnlabeledLoss) -> Tensor:
        """Loss of the unlabeled rows."""
        loss: Tensor = criterion(self.backbone(rows.users.unsqueeze(1), rows.unlabeled))
        return loss

    def _joint(self, criterion: il.UnlabeledLoss) -> None:
        rows = next(self.rows)
        self.optimizer.zero_grad()
        (self.labeled(rows) + self.unlabeled(rows, criterion)).backward()
        self.optimizer.step()

    def plain(self) -> None:
        """Cross entropy; unlabeled rows count as negatives."""
        self._joint(self.negative)

    def dual(self) -> None:
        """Cross entropy of labeled rows, inverse dual loss of unlabeled ones."""
        self._joint(self.inverse_dual)

    @torch.no_grad()
    def two_risks(self) -> None:
        """What no inverse gradient step can do without: of three risks one is the outer loss."""
        rows = next(self.rows)
        for _ in range(2):
            self.labeled(rows)

    def inverse_gradient(self) -> None:
        """An inverse gradient step and the outer step, as the module takes them."""
        rows = next(self.rows)
        self.optimizer.zero_grad()
        record = self.engine.step(
            self.parameters,
            lambda: self.unlabeled(rows, self.inverse_dual),
            lambda: self.labeled(rows),
            keep_graphs=True,
        )
        loss = record.loss if record.loss is not None else self.labeled(rows)
        loss.backward()
        self.optimizer.step()


def compare(
    num_users: int, num_items: int, size: int, rounds: int, device: str
) -> dict[str, float]:
    """Seconds of the steps of NeuMF, each with a model of its own."""
    steps: dict[str, Step] = {}
    for name in ("plain", "dual", "inverse_gradient", "two_risks"):
        torch.manual_seed(0)
        backbone = il.backbones.NeuMF(num_users, num_items, 32).to(device)
        rows = draw_rows(num_users, num_items, size, device, 8)
        training = Training(backbone, partial(torch.optim.Adam, lr=1e-3), rows)
        steps[name] = getattr(training, name)
    return interleave(steps, rounds, device_clock(device))


def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    size, rounds = (256, 2) if quick else (4096, 40)
    with threads(1):
        seconds = compare(6041, 3953, size, rounds, "cpu")
    shown = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items())
    how = f"NeuMF d=32, 6,041 x 3,953, batch {size:,}, Adam, one thread: {shown}"
    plain, risks = seconds["plain"], seconds["two_risks"]
    return [
        Figure("IG step / plain BCE step", seconds["inverse_gradient"] / plain, 1.3, detail=how),
        Figure("1 + its two extra forward passes / plain BCE step", 1 + risks / plain, detail=how),
        Figure("IDL step / plain BCE step", seconds["dual"] / plain, 1.3, detail=how),
    ]
