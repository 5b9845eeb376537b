"""MovieLens: ratings of films (Harper and Konstan 2015, ACM TiiS 5(4))."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.reading.download import Archive
from invlightning.data.reading.files import read_table

Variant = Literal["100k", "1m", "10m", "20m", "25m", "latest-small"]

_BASE = "https://files.grouplens.org/datasets/movielens/"
_COLUMNS = ("userId", "movieId", "rating", "timestamp")

# SHA-256 as the TensorFlow Datasets project records them; of 10M the publisher gives the MD5 only.
ARCHIVES: dict[str, Archive] = {
    "100k": Archive(
        "MovieLens 100K",
        f"{_BASE}ml-100k.zip",
        ("ml-100k",),
        ("u.data",),
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    "1m": Archive(
        "MovieLens 1M",
        f"{_BASE}ml-1m.zip",
        ("ml-1m",),
        ("ratings.dat",),
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    "10m": Archive(
        "MovieLens 10M",
        f"{_BASE}ml-10m.zip",
        ("ml-10M100K", "ml-10m"),
        ("ratings.dat",),
        md5="ce571fd55effeba0271552578f2648bd",
    ),
    "20m": Archive(
        "MovieLens 20M",
        f"{_BASE}ml-20m.zip",
        ("ml-20m",),
        ("ratings.csv",),
        sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ),
    "25m": Archive(
        "MovieLens 25M",
        f"{_BASE}ml-25m.zip",
        ("ml-25m",),
        ("ratings.csv",),
        sha256="8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    ),
    # This one is updated by its publisher from time to time; the sum then has to follow.
    "latest-small": Archive(
        "MovieLens latest-small",
        f"{_BASE}ml-latest-small.zip",
        ("ml-latest-small",),
        ("ratings.csv",),
        sha256="696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
}


def find_inter(root: str | Path, variant: str) -> Path | None:
    """Looks for a RecBole file, ``ml-100k.inter`` for the variant ``100k``, and so on."""
    name = f"ml-{variant}"
    places = (Path(root) / f"{name}.inter", Path(root) / name / f"{name}.inter")
    return next((path for path in places if path.is_file()), None)


def find_ratings(root: str | Path, variant: str) -> Path:
    """The file of the ratings; FileNotFoundError with what to do if it is not there."""
    archive = ARCHIVES[variant]
    return find_inter(root, variant) or archive.require(root, archive.members[0])


def read_movielens(root: str | Path, variant: str) -> RawTable:
    """Reads the ratings of a variant.

    Args:
        root: Folder that holds the unpacked folder or a RecBole ``.inter`` file, or is the
            unpacked folder.
        variant: A key of ``ARCHIVES``.

    Returns:
        Raw ids, ratings from 0.5 or 1 to 5, and times in seconds.

    Raises:
        FileNotFoundError: If the files are not there.
    """
    path = find_ratings(root, variant)
    if path.suffix == ".inter":
        return read_table(path, "user_id", "item_id", "rating", "timestamp")
    headerless = path.suffix != ".csv"
    return read_table(path, *_COLUMNS, column_names=_COLUMNS if headerless else None)


@dataclass(eq=False, repr=False, kw_only=True)
class MovieLensDataModule(ImplicitDataModule):
    """MovieLens; a rating above 3 stars is a positive, others are negatives.

    GroupLens allows research use, no commercial use and no redistribution.

    Args:
        root: Folder that holds the zip, the unpacked folder or a RecBole ``.inter`` file, or is
            the unpacked folder. What is missing is downloaded there.
        variant: Which of the data sets: by number of ratings, or ``latest-small``.
        positive_threshold: A rating above it is a true positive.
    """

    root: str = "data"
    variant: Variant = "100k"
    positive_threshold: float | None = 3.0

    @override
    def prepare_data(self) -> None:
        """Downloads and unpacks the ratings if they are not there."""
        if find_inter(self.root, self.variant) is None:
            ARCHIVES[self.variant].install(self.root)
        super().prepare_data()

    @override
    def sources(self) -> list[Path]:
        return [find_ratings(self.root, self.variant)]

    @override
    def read(self) -> RawTable:
        return read_movielens(self.root, self.variant)
