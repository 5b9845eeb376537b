"""Figures with their targets, as a table and as plain data."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Args:
        name: What was measured.
        measured: The value.
        target: The value to reach; None for figures that are only reported.
        higher_is_better: Whether the target is a lower bound.
        unit: Unit of both; empty for ratios.
        detail: How it came about.
    """

    name: str
    measured: float
    target: float | None = None
    higher_is_better: bool = False
    unit: str = ""
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target. Nothing is rounded first."""
        if self.target is None:
            return None
        if self.higher_is_better:
            return self.measured >= self.target
        return self.measured <= self.target


def table(figures: list[Figure]) -> str:
    """A Markdown table."""
    lines = ["| figure | target | measured | met | how |", "|---|---|---|---|---|"]
    for figure in figures:
        sign = ">=" if figure.higher_is_better else "<="
        target = "" if figure.target is None else f"{sign} {figure.target:.4g} {figure.unit}"
        met = {True: "yes", False: "NO", None: ""}[figure.met]
        measured = f"{figure.measured:.4g} {figure.unit}".strip()
        cells = (figure.name, target.strip(), measured, met, figure.detail)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def brief_table(figures: list[Figure]) -> str:
    """A Markdown table for the site: what was measured, and whether it is what was aimed at."""
    lines = ["| figure | measured | target |", "|---|---|---|"]
    for figure in figures:
        measured = f"{figure.measured:.3g} {figure.unit}".strip()
        missed = " (missed)" if figure.met is False else ""
        sign = "≥" if figure.higher_is_better else "≤"
        target = (
            "" if figure.target is None else f"{sign} {figure.target:.3g} {figure.unit}".strip()
        )
        lines.append(f"| {figure.name} | {measured}{missed} | {target} |")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """Processor, device and versions."""
    names = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "pandas", "pyarrow")
    cuda = torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if cuda else "none",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = info.read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def as_data(figures: list[Figure]) -> list[dict[str, Any]]:
    """The figures as plain containers."""
    return [{**asdict(figure), "met": figure.met} for figure in figures]
