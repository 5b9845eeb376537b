"""KuaiRand-Pure: videos shown by a recommender and at random (Gao et al., CIKM 2022)."""

from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.preparation import concatenate
from invlightning.data.reading.download import Archive
from invlightning.data.reading.files import read_table
from invlightning.data.splits import GivenSplit, Split

STANDARD = (
    "data/log_standard_4_08_to_4_21_pure.csv",
    "data/log_standard_4_22_to_5_08_pure.csv",
)
POSITIVES = ("is_like", "is_follow", "is_forward", "is_comment")
NEGATIVES = ("is_hate",)
RANDOM = "data/log_random_4_22_to_5_08_pure.csv"

ARCHIVE = Archive(
    "KuaiRand-Pure",
    "https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
    ("KuaiRand-Pure",),
    (*STANDARD, RANDOM),
    md5="0820331067a3784d9691136f772b35a7",
)


def find_logs(root: str | Path, random_test: bool) -> dict[str, Path]:
    """The files of the logs, by member; FileNotFoundError with what to do if one is not there."""
    members = (*STANDARD, RANDOM) if random_test else STANDARD
    return {member: ARCHIVE.require(root, member) for member in members}


def read_kuairand(root: str | Path, label_column: str | None, random_test: bool) -> RawTable:
    """Reads the logs.

    Args:
        root: Folder that holds the unpacked folder, or is it.
        label_column: Column of 0 and 1 to take as ratings; None labels by several signals.
        random_test: True adds the log of random exposure as the test part.

    Returns:
        Raw ids, ratings 0 or 1 or labels, and times in milliseconds; parts only with
        ``random_test``.

    Raises:
        FileNotFoundError: If a file is not there.
    """
    logs = find_logs(root, random_test)
    signals = (POSITIVES, NEGATIVES) if label_column is None else ((), ())
    tables = [
        read_table(
            path,
            "user_id",
            "video_id",
            label_column,
            "time_ms",
            positive_columns=signals[0],
            negative_columns=signals[1],
        )
        for path in logs.values()
    ]
    parts = [2 if member == RANDOM else 0 for member in logs]
    table = concatenate(tables, parts)
    return table if random_test else replace(table, parts=None)


@dataclass(eq=False, repr=False, kw_only=True)
class KuaiRandDataModule(ImplicitDataModule):
    """KuaiRand-Pure; the videos shown at random make a test part free of exposure bias.

    Args:
        root: Folder that holds the tar.gz or the unpacked folder. What is missing is downloaded
            there.
        label_column: The one column whose 1 makes a positive and whose 0 a negative, such as
            ``is_click`` or ``long_view``. None takes likes, follows, forwards and comments as
            positives, hates as negatives, and all other videos as exposed: shown, and judged by
            nobody.
        random_test: True takes the log of random exposure as the test part and, by default, a
            tenth of the standard logs for validation. False leaves it out and splits the standard
            logs.
    """

    root: str = "data"
    label_column: str | None = None
    random_test: bool = True

    @override
    def prepare_data(self) -> None:
        """Downloads and unpacks the logs if they are not there."""
        ARCHIVE.install(self.root)
        super().prepare_data()

    @override
    def sources(self) -> list[Path]:
        return list(find_logs(self.root, self.random_test).values())

    @override
    def read(self) -> RawTable:
        return read_kuairand(self.root, self.label_column, self.random_test)

    @override
    def default_split(self) -> Split:
        """The random log for test and a tenth of the rest for validation."""
        if not self.random_test:
            return super().default_split()
        return GivenSplit(val=0.1, seed=self.seed)
