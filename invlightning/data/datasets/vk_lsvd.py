"""VK-LSVD: short videos shown by a recommender, with likes and dislikes (VK, 2025)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.preparation import concatenate
from invlightning.data.reading.files import read_table
from invlightning.data.reading.hub import HubFiles
from invlightning.data.splits import GivenSplit, Split

HUB = HubFiles("VK-LSVD", "https://huggingface.co/datasets/deepvk/VK-LSVD/resolve/main")
TRAIN_WEEKS, VAL_WEEK, TEST_WEEK = 25, 25, 26


def week_files(subset: str, weeks: int) -> dict[str, int]:
    """Paths of the files of a subset, in the order of time, and the part of each.

    Args:
        subset: Name of a subsample such as ``ur0.01``, or ``all``.
        weeks: Latest training weeks to take, from 1 to 25.
    """
    folder = "interactions" if subset == "all" else f"subsamples/{subset}"
    train = range(TRAIN_WEEKS - weeks, TRAIN_WEEKS)
    files = {f"{folder}/train/week_{week:02}.parquet": 0 for week in train}
    files[f"{folder}/validation/week_{VAL_WEEK}.parquet"] = 1
    files[f"{folder}/test/week_{TEST_WEEK}.parquet"] = 2
    return files


@dataclass(eq=False, repr=False, kw_only=True)
class VKLSVDDataModule(ImplicitDataModule):
    """VK-LSVD: likes are positives, dislikes negatives, all other shown videos exposed rows.

    40 billion videos shown in six months, with 2.9 % likes and 0.03 % dislikes; the published
    split by weeks is used. The rows carry no times: their order, which is that of time, stands for
    them. Licence: Apache-2.0.

    Args:
        root: Folder that holds the files as the data set lays them out. What is missing is
            downloaded there; its size is told before.
        subset: Which subsample: ``ur0.01`` (a hundredth of the users, about 3 GB), others as the
            data set names them, or ``all`` (hundreds of gigabytes).
        weeks: Latest training weeks to take, from 1 to 25.

    Raises:
        ValueError: If there are no such weeks.
    """

    root: str = "data"
    subset: str = "ur0.01"
    weeks: int = TRAIN_WEEKS

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.weeks <= TRAIN_WEEKS:
            raise ValueError(f"weeks must be from 1 to {TRAIN_WEEKS}, got {self.weeks}.")

    @override
    def prepare_data(self) -> None:
        HUB.install(self.root, list(week_files(self.subset, self.weeks)))
        super().prepare_data()

    @override
    def sources(self) -> list[Path]:
        return [HUB.require(self.root, name) for name in week_files(self.subset, self.weeks)]

    @override
    def read(self) -> RawTable:
        tables = []
        start = 0
        for path in self.sources():
            table = read_table(
                path,
                "user_id",
                "item_id",
                positive_columns=["like"],
                negative_columns=["dislike"],
            )
            times = np.arange(start, start + len(table.users))
            start += len(times)
            tables.append(
                RawTable(
                    table.users, table.items, None, times, labels=table.labels, notes=table.notes
                )
            )
        return concatenate(tables, list(week_files(self.subset, self.weeks).values()))

    @override
    def default_split(self) -> Split:
        return GivenSplit()
