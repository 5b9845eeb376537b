"""What every method costs, keeps and needs: ``python -m benchmarks.costs [--quick]``.

Prints a table, writes it to ``results/costs.json`` and puts it into the page about methods.
"""

import argparse
import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.epoch import alternate, lightning_epoch
from benchmarks.figures import machine
from benchmarks.method_list import METHODS, Method
from benchmarks.pages import METHODS as PAGE
from benchmarks.pages import publish
from benchmarks.timing import threads

HERE = Path(__file__).parent
BCE = "naive (sampled = negative)"
SIZES = {"num_users": 6_040, "num_items": 3_706, "interactions_per_user": 165, "batch_size": 4_096}
TINY = {"num_users": 40, "num_items": 240, "interactions_per_user": 20, "batch_size": 256}
BEGIN = "<!-- methods: written by python -m benchmarks.costs -->"
END = "<!-- methods: end -->"


def epoch_of(method: Method, sizes: dict[str, int]) -> Callable[[], float]:
    """An epoch of a method, which returns its CPU-seconds.

    The module, the data module and the sampler are those that a config builds; what waits for a
    later epoch starts at once.
    """
    arguments = [f"--data.{name}={value}" for name, value in sizes.items()]
    model, data = method.build("--config=backbone/gmf.yaml", *arguments)
    for part in (data.sampler, data.resampler):
        if hasattr(part, "start_epoch"):
            part.start_epoch = 0
    return partial(lightning_epoch, model, data, shows=False)


def measure(quick: bool = False, known: dict[str, float] | None = None) -> dict[str, float]:
    """Seconds of an epoch over the same labeled rows, by method.

    Args:
        quick: Tiny sizes.
        known: Seconds of methods that are not measured again. The reference runs beside the others
            all the same, and their seconds are brought to its known ones.
    """
    known = known or {}
    sizes, rounds = (TINY, 1) if quick else (SIZES, 5)
    missing = [m for m in METHODS if m.name not in known or m.name == BCE]
    with threads(1):
        found = alternate({m.name: epoch_of(m, sizes) for m in missing}, rounds)
    scale = known.get(BCE, found[BCE]) / found[BCE]
    return {m.name: known.get(m.name, scale * found.get(m.name, 0.0)) for m in METHODS}


def table(seconds: dict[str, float]) -> str:
    """A Markdown table of all methods.

    Args:
        seconds: Seconds by name of the method, as of :func:`measure`.

    Raises:
        ValueError: If they are not those of all methods.
    """
    if list(seconds) != [method.name for method in METHODS]:
        raise ValueError(
            "the measured methods are not those of benchmarks/method_list.py: run "
            "python -m benchmarks.costs."
        )
    head = ("method", "config", "reference", "rows beside the labeled", "cost", "state", "labels")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for method in METHODS:
        option = "".join(f" `{option}`" for option in method.options)
        cost = f"{seconds[method.name] / seconds[BCE]:.1f}"
        cells = [
            method.name,
            f"`method/{method.overlay}`{option}",
            method.reference,
            method.rows,
            cost,
        ]
        lines.append(f"| {' | '.join([*cells, method.state, method.labels])} |")
    return "\n".join(lines)


def save(seconds: dict[str, float], results: Path, page: Path) -> None:
    """Writes what was measured to the results and the page.

    Args:
        seconds: Seconds by name of the method.
        results: JSON file.
        page: Markdown file with the two comments.
    """
    content: dict[str, Any] = {"machine": machine(), "sizes": SIZES, "seconds_an_epoch": seconds}
    results.write_text(json.dumps(content, indent=2) + "\n")
    publish(table(seconds), page, BEGIN, END)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, saves nothing")
    parser.add_argument("--missing", action="store_true", help="only methods without a figure")
    options = parser.parse_args(arguments)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    results = HERE / "results" / "costs.json"
    known = json.loads(results.read_text())["seconds_an_epoch"] if options.missing else None
    seconds = measure(options.quick, known)
    print(f"\n{table(seconds)}")
    if not options.quick:
        save(seconds, results, PAGE)


if __name__ == "__main__":
    main()
