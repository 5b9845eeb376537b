"""Measures every published figure: ``python -m benchmarks [--only NAME ...] [--quick]``."""

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    accelerator,
    captured,
    epoch,
    metrics,
    reading,
    sampling,
    scale,
    scoring,
    steps,
)
from benchmarks.figures import Figure, as_data, brief_table, machine, table
from benchmarks.pages import README, SPEED, publish
from benchmarks.plot import plot

RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- speed: written by python -m benchmarks -->", "<!-- speed: end -->"
IN_SHORT = (  # what the README shows
    "IDL step / plain step, batch 4,096",
    "IG step / plain step, batch 4,096",
    "IG step at 10,000,000 x 1,000,000 / at 10,000 x 10,000",
    "exact uniform sampling, 4 a row",
    "Lightning epoch / bare PyTorch loop",
    "NeuMF full-catalogue scoring, pairwise / ours",
    "20,000,000 rows of CSV: read, encode, split",
)
BENCHMARKS: dict[str, Callable[[bool], list[Figure]]] = {
    "steps": steps.run,
    "scale": scale.run,
    "sampling": sampling.run,
    "epoch": epoch.run,
    "metrics": metrics.run,
    "scoring": scoring.run,
    "reading": reading.run,
    "accelerator": accelerator.run,
    "captured": captured.run,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="run these, save nothing")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    host = machine()
    print("\n".join(f"{name}: {value}" for name, value in host.items()), flush=True)
    figures: list[Figure] = []
    for name in options.only or BENCHMARKS:
        start = time.perf_counter()
        figures += BENCHMARKS[name](options.quick)
        print(f"{name} took {time.perf_counter() - start:.0f} s", flush=True)
    print(f"\n{table(figures)}")
    if options.only:
        return
    curve = scale.curve(options.quick)
    options.output.mkdir(parents=True, exist_ok=True)
    content = {"machine": host, "figures": as_data(figures), "step_time": curve}
    (options.output / "speed.json").write_text(json.dumps(content, indent=2) + "\n")
    plot(curve, options.output / "speed.png")
    if options.output == RESULTS and not options.quick:
        show(figures)


def show(figures: list[Figure]) -> None:
    """Writes all figures into the page about speed, and some into the README."""
    publish(brief_table(figures), SPEED, BEGIN, END)
    short = [figure for figure in figures if figure.name in IN_SHORT]
    publish(brief_table(short), README, BEGIN, END)


if __name__ == "__main__":
    main()
