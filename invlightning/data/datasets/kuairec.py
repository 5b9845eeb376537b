"""KuaiRec: watch ratios of short videos (Gao et al., CIKM 2022)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.reading.download import Archive
from invlightning.data.reading.files import read_table

ARCHIVE = Archive(
    "KuaiRec",
    "https://zenodo.org/records/18164998/files/KuaiRec.zip",
    ("KuaiRec", "KuaiRec 2.0"),
    ("data/big_matrix.csv", "data/small_matrix.csv"),
    md5="261550d472c48eff4990fb13c0e5bcf7",
)


def find_matrix(root: str | Path, matrix: str) -> Path:
    """The file of a matrix; FileNotFoundError with what to do if it is not there."""
    return ARCHIVE.require(root, f"data/{matrix}_matrix.csv")


def read_kuairec(root: str | Path, matrix: str) -> RawTable:
    """Reads one of the matrices.

    The timestamps are left out, since many rows of the small matrix have none.

    Args:
        root: Folder that holds the unpacked folder, or is it.
        matrix: ``"big"`` or ``"small"``.

    Returns:
        Raw ids; the ratings are watch ratios, time watched by length of the video.

    Raises:
        FileNotFoundError: If the file is not there.
    """
    return read_table(find_matrix(root, matrix), "user_id", "video_id", "watch_ratio")


@dataclass(eq=False, repr=False, kw_only=True)
class KuaiRecDataModule(ImplicitDataModule):
    """KuaiRec; a video watched for more than twice its length is a positive.

    One that was left within a tenth of its length is a negative; what lies between was shown, and
    judged by nobody.

    Args:
        root: Folder that holds the zip or the unpacked folder. What is missing is downloaded
            there.
        matrix: ``big`` is sparse as logged; in ``small`` nearly every pair is known, so there is
            next to nothing unlabeled in it.
        positive_threshold: A watch ratio above it is a true positive.
        negative_threshold: A watch ratio at or below it is a true negative.
    """

    root: str = "data"
    matrix: Literal["big", "small"] = "big"
    positive_threshold: float | None = 2.0
    negative_threshold: float | None = 0.1

    @override
    def prepare_data(self) -> None:
        """Downloads and unpacks the matrices if they are not there."""
        if ARCHIVE.find(self.root, f"data/{self.matrix}_matrix.csv") is None:
            ARCHIVE.install(self.root)
        super().prepare_data()

    @override
    def sources(self) -> list[Path]:
        return [find_matrix(self.root, self.matrix)]

    @override
    def read(self) -> RawTable:
        return read_kuairec(self.root, self.matrix)
