"""A large CSV file: read, encode and split it, for the first time and from the cache."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.figures import Figure
from benchmarks.timing import memory


def write_table(path: Path, rows: int) -> None:
    """Writes ratings in the form and with the sizes of MovieLens 20M."""
    generator = np.random.default_rng(0)
    step = 2_000_000
    with path.open("wb") as file:
        for start in range(0, rows, step):
            size = min(step, rows - start)
            columns = {
                "userId": generator.integers(1, 138_494, size),
                "movieId": generator.integers(1, 27_000, size),
                "rating": generator.integers(1, 11, size) / 2,
                "timestamp": generator.integers(789_652_009, 1_427_784_002, size),
            }
            header = pacsv.WriteOptions(include_header=start == 0)
            pacsv.write_csv(pa.table(columns), file, header)


def prepare(path: Path) -> dict[str, float]:
    """Reads, encodes and splits; to be called in a process of its own, whose peak it reports."""
    from invlightning.data import RandomSplit, TableDataModule

    start, cpu = time.perf_counter(), time.process_time()
    data = TableDataModule(
        path=str(path),
        user_column="userId",
        item_column="movieId",
        rating_column="rating",
        timestamp_column="timestamp",
        positive_threshold=3.0,
    )
    rows = data.load_rows()
    RandomSplit()(rows)
    return {
        "rows": len(rows),
        "wall": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak": memory("VmHWM") / 1e9,
    }


def start(path: Path) -> dict[str, float]:
    """As :func:`prepare`, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.reading", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    rows = 700_000 if quick else 20_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        write_table(path, rows)
        first = start(path)
        second = start(path)
    what = f"{rows:,} rows of CSV"
    cpu = "wall time; {:.1f} CPU-s".format
    return [
        Figure(
            f"{what}: read, encode, split",
            first["wall"],
            40.0,
            unit="s",
            detail=cpu(first["cpu"]),
        ),
        Figure(
            f"{what}: the same from the cache",
            second["wall"],
            2.0,
            unit="s",
            detail=cpu(second["cpu"]),
        ),
        Figure(
            f"{what}: peak resident memory",
            max(first["peak"], second["peak"]),
            1.5,
            unit="GB",
            detail=f"with all imports; {second['peak']:.2f} GB from the cache",
        ),
    ]


if __name__ == "__main__":
    print(json.dumps(prepare(Path(sys.argv[1]))))
