"""Captured steps on a CUDA device: against eager ones, and whole epochs of them in Lightning."""

import time
import warnings
from collections.abc import Callable
from functools import partial

import pytorch_lightning as pl
import torch

import invlightning as il
from benchmarks.epoch import ITEMS, USERS, Stopwatch, make_data
from benchmarks.figures import Figure
from benchmarks.steps import Rows, Training, draw_rows
from benchmarks.timing import device_clock, interleave
from invlightning.modules.capture import CapturedFunction, CapturedGradients

ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)


class CapturedTraining(Training):
    """The steps of :class:`Training`, captured as the modules capture theirs."""

    def capture(self) -> None:
        """Prepares the capture; the second step of each kind is recorded."""
        self._inner = CapturedFunction(self._inner_step, self.parameters)
        risk, parameters = self.labeled, self.parameters
        self._risk = CapturedGradients(risk, parameters, [], casts_backward=False)
        self._both = CapturedGradients(self._sum, parameters, [], casts_backward=False)

    def _inner_step(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        record = self.engine.step(
            self.parameters, lambda: self.unlabeled(rows), lambda: self.labeled(rows)
        )
        return record.shares, record.risks

    def _sum(self, rows: Rows) -> torch.Tensor:
        labeled, negative = self.together(rows, self.negative)
        return labeled + negative

    def captured_plain(self) -> None:
        """As ``plain``."""
        self._both(next(self.rows))
        self._both.assign()
        self.optimizer.step()

    def captured_ig(self) -> None:
        """As ``inverse_gradient``."""
        rows = next(self.rows)
        self._inner(rows)
        self._risk(rows)
        self._risk.assign()
        self.optimizer.step()


def compare_captured(size: int, rounds: int, device: str) -> dict[str, float]:
    """Seconds of the steps of NeuMF, each with a model of its own."""
    steps: dict[str, Callable[[], None]] = {}
    for name in ("plain", "inverse_gradient", "captured_plain", "captured_ig"):
        torch.manual_seed(0)
        backbone = il.backbones.NeuMF(USERS, ITEMS, 32).to(device)
        training = CapturedTraining(backbone, ADAM, draw_rows(USERS, ITEMS, size, device, 8))
        training.capture()
        steps[name] = getattr(training, name)
    return interleave(steps, rounds, device_clock(device))


class WallClock(Stopwatch):
    """Seconds of the second epoch by the wall clock; the first one records the graphs."""

    def on_train_epoch_start(self, *_: object) -> None:
        """Starts; the start of the last epoch counts."""
        torch.cuda.synchronize()
        self.seconds = -time.perf_counter()

    def on_train_end(self, *_: object) -> None:
        """Stops, when the device has done all."""
        torch.cuda.synchronize()
        self.seconds += time.perf_counter()


def captured_epoch(rows: int, size: int) -> tuple[float, int]:
    """Seconds of an epoch of captured inverse gradients in Lightning, and its steps."""
    neumf = partial(il.backbones.NeuMF, embedding_dim=32)
    model = il.InverseGradientRecommender(neumf, schedule="every_batch", capture=True)
    data, watch = make_data(rows, size, 0.0), WallClock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="gpu",
            devices=1,
            max_epochs=2,
            limit_val_batches=0,
            callbacks=[watch],
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(model, data)
    return watch.seconds, len(data.train_dataloader())


def run(quick: bool = False) -> list[Figure]:
    """The figures; none without a CUDA device."""
    if not torch.cuda.is_available():
        return []
    size, rounds, rows = (1_024, 3, 20_000) if quick else (8_192, 50, 2_000_000)
    seconds = compare_captured(size, rounds, "cuda")
    epoch, steps = captured_epoch(rows, size)
    eager, captured = seconds["inverse_gradient"], seconds["captured_ig"]
    how = ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in seconds.items())
    plain = seconds["captured_plain"] / seconds["plain"]
    return [
        Figure("GPU: captured IG step / eager", captured / eager, 0.2, detail=f"NeuMF d=32: {how}"),
        Figure("GPU: captured plain step / eager", plain),
        Figure(
            "GPU: Lightning epoch of captured IG / bare captured steps",
            epoch / (steps * captured),
            2.0,
            detail=f"{rows:,} rows, batch {size:,}: {1000 * epoch / steps:.2f} ms a batch",
        ),
    ]
