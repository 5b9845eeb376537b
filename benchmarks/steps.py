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
        """Loss of the labeled rows, by a pass of their own."""
        loss: Tensor = self.cross_entropy(self.backbone(rows.users, rows.items), rows.labels)
        return loss

    def unlabeled(self, rows: Rows) -> Tensor:
        """Inverse dual loss of the unlabeled rows, by a pass of their own."""
        logits = self.backbone(rows.users.unsqueeze(1), rows.unlabeled)
        loss: Tensor = self.inverse_dual(logits)
        return loss

    def together(self, rows: Rows, criterion: il.UnlabeledLoss) -> tuple[Tensor, Tensor]:
        """Losses of labeled and of unlabeled rows, by one pass."""
        items = torch.cat([rows.items.unsqueeze(1), rows.unlabeled], 1)
        logits = self.backbone(rows.users.unsqueeze(1), items)
        return self.cross_entropy(logits[:, 0], rows.labels), criterion(logits[:, 1:])

    def _outer(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def plain(self) -> None:
        """Cross entropy; unlabeled rows count as negatives."""
        labeled, negative = self.together(next(self.rows), self.negative)
        self._outer(labeled + negative)

    def dual(self) -> None:
        """Cross entropy of labeled rows, inverse dual loss of unlabeled ones."""
        labeled, unlabeled = self.together(next(self.rows), self.inverse_dual)
        self._outer(labeled + unlabeled)

    def apart(self) -> None:
        """As ``plain``, with a pass for each kind of rows: how it was done before."""
        rows = next(self.rows)
        negative = self.negative(self.backbone(rows.users.unsqueeze(1), rows.unlabeled))
        self._outer(self.labeled(rows) + negative)

    @torch.no_grad()
    def two_risks(self) -> None:
        """What no inverse gradient step can do without: of three risks one is the outer loss."""
        rows = next(self.rows)
        for _ in range(2):
            self.labeled(rows)

    def inverse_gradient(self) -> None:
        """An inverse gradient step and the outer step, as the module takes them."""
        rows = next(self.rows)
        record = self.engine.step(
            self.parameters,
            lambda: self.unlabeled(rows),
            lambda: self.labeled(rows),
            keep_graphs=True,
        )
        self._outer(record.loss if record.loss is not None else self.labeled(rows))

    def origin_apart(self) -> None:
        """Direction and outer gradient at the origin, as inverse gradients compute them."""
        rows = next(self.rows)
        torch.autograd.grad(self.unlabeled(rows), self.parameters)
        torch.autograd.grad(self.labeled(rows), self.parameters)

    def origin_together(self) -> None:
        """The same from one pass: each of the two backward passes goes through all rows."""
        labeled, unlabeled = self.together(next(self.rows), self.inverse_dual)
        torch.autograd.grad(unlabeled, self.parameters, retain_graph=True)
        torch.autograd.grad(labeled, self.parameters)


# Step and whether Adam is fused, by the name of the measurement.
STEPS = {
    "plain": ("plain", True),
    "IDL": ("dual", True),
    "IG": ("inverse_gradient", True),
    "two risks": ("two_risks", True),
    "plain before": ("apart", False),
    "IG before": ("inverse_gradient", False),
    "origin, two passes": ("origin_apart", True),
    "origin, one pass": ("origin_together", True),
}


def compare(
    num_users: int, num_items: int, size: int, rounds: int, device: str
) -> dict[str, float]:
    """Seconds of the steps of NeuMF, each with a model of its own."""
    steps: dict[str, Step] = {}
    for name, (method, fused) in STEPS.items():
        torch.manual_seed(0)
        backbone = il.backbones.NeuMF(num_users, num_items, 32).to(device)
        adam = partial(torch.optim.Adam, lr=1e-3, fused=fused)
        training = Training(backbone, adam, draw_rows(num_users, num_items, size, device, 8))
        steps[name] = getattr(training, method)
    return interleave(steps, rounds, device_clock(device))


def figures(seconds: dict[str, float], size: int) -> list[Figure]:
    """The figures of one batch size."""
    shown = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items())
    how = f"NeuMF d=32, 6,041 x 3,953, Adam, one thread: {shown}"
    plain, at = seconds["plain"], f", batch {size:,}"
    before, ig_before = seconds["plain before"], seconds["IG before"]
    passes = seconds["origin, one pass"] / seconds["origin, two passes"]
    small = size <= 1024
    return [
        Figure(f"plain step / apart and unfused{at}", plain / before, 0.65 if small else None),
        Figure(f"IG step / unfused{at}", seconds["IG"] / ig_before, None if small else 0.8),
        Figure(f"IG step / plain step{at}", seconds["IG"] / plain, detail=how),
        Figure(f"1 + two forward passes / plain step{at}", 1 + seconds["two risks"] / plain),
        Figure(f"IDL step / plain step{at}", seconds["IDL"] / plain, 1.3),
        Figure(f"IG's origin by one pass / by two{at}", passes),
    ]


def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    sizes, rounds = ((64, 256), 2) if quick else ((1024, 4096), 40)
    found = []
    with threads(1):
        for size in sizes:
            found += figures(compare(6041, 3953, size, rounds, "cpu"), size)
    return found
