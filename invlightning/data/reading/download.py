"""Fetching and unpacking the archives of public data sets."""

import hashlib
import http.client
import logging
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_logger = logging.getLogger(__name__)
_CHUNK = 2**20
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Archive:
    """Where a data set comes from and which of its files are needed.

    Args:
        title: Name of the data set, for messages.
        url: Address of a zip or tar.gz file.
        folders: Folder that the unpacked files go to, then other names it is found under.
        members: Paths of the needed files inside the folder.
        sha256: Checksum of the archive.
        md5: Checksum of the archive, where its publisher gives no SHA-256.
    """

    title: str
    url: str
    folders: tuple[str, ...]
    members: tuple[str, ...]
    sha256: str | None = None
    md5: str | None = None

    def packed(self, root: str | Path) -> Path:
        """Where the archive lies, or is to be put, under ``root``."""
        return Path(root) / self.url.rsplit("/", 1)[-1]

    def find(self, root: str | Path, member: str) -> Path | None:
        """Looks for an unpacked file.

        Args:
            root: Folder that holds the unpacked folder, at most one level down, or is it.
            member: One of ``members``.

        Returns:
            Its path, or None.
        """
        root = Path(root)
        nested = [path for folder in self.folders for path in root.glob(f"*/{folder}/{member}")]
        direct = [root / folder / member for folder in self.folders]
        flat = [root / member, root / Path(member).name]
        return next((path for path in (*direct, *nested, *flat) if path.is_file()), None)

    def require(self, root: str | Path, member: str) -> Path:
        """As :meth:`find`, for a file that has to be there.

        Raises:
            FileNotFoundError: With where to get the file and where to put it.
        """
        path = self.find(root, member)
        if path is None:
            raise FileNotFoundError(
                f"{self.title} is not under {str(root)!r}: no {member}. Call prepare_data(), which "
                f"downloads it (a Trainer does so by itself), or get {self.url} by hand and put "
                f"it at {self.packed(root)}."
            )
        return path

    def install(self, root: str | Path) -> None:
        """Downloads and unpacks what is not there yet.

        Raises:
            ConnectionError: If the download fails.
            ValueError: If the archive is damaged.
        """
        if all(self.find(root, member) for member in self.members):
            return
        packed = fetch(self.url, self.packed(root), sha256=self.sha256, md5=self.md5)
        for member in self.members:
            extract(packed, member, Path(root) / self.folders[0] / member)


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file that becomes ``target`` at the end, or vanishes on an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def fetch(url: str, target: Path, *, sha256: str | None = None, md5: str | None = None) -> Path:
    """Downloads a file, unless it is there already.

    Args:
        url: Its address.
        target: Where to put it; complete and checked, or not there at all.
        sha256: Expected checksum. None checks none.
        md5: Expected checksum.

    Returns:
        ``target``.

    Raises:
        ConnectionError: If the download fails; says what to get by hand and where to put it.
        ValueError: If the checksum is wrong; the download is deleted.
    """
    if target.is_file():
        return target
    by_hand = f"Get {url} by hand and put it at {target}."
    _logger.info("Downloading %s to %s.", url, target)
    digests = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with replacing(target) as file:
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
                expected = response.headers.get("Content-Length")
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    for digest in digests.values():
                        digest.update(chunk)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            raise ConnectionError(f"could not download {url} ({error}). {by_hand}") from error
        if expected is not None and file.tell() != int(expected):
            raise ConnectionError(
                f"the download of {url} broke off after {file.tell()} of {expected} bytes. "
                f"Try again. {by_hand}"
            )
        for name, sum_ in (("sha256", sha256), ("md5", md5)):
            if sum_ is not None and digests[name].hexdigest() != sum_:
                raise ValueError(
                    f"the download of {url} has the {name} {digests[name].hexdigest()}, expected "
                    f"{sum_}; it was deleted. If you trust another copy, put it at {target}."
                )
    _logger.info("Downloaded %s.", target)
    return target


def extract(packed: Path, member: str, target: Path) -> Path:
    """Unpacks one file of a zip or tar archive.

    Only its content is taken; the paths in the archive never decide where anything is written.

    Args:
        packed: The archive.
        member: How the path of the file inside the archive ends, whole folder names.
        target: Where to put the file.

    Returns:
        ``target``.

    Raises:
        FileNotFoundError: If the archive has no such file.
        ValueError: If the archive is damaged.
    """
    try:
        with _open_member(packed, member) as source, replacing(target) as file:
            shutil.copyfileobj(source, file, _CHUNK)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ValueError(
            f"{packed} is not a whole zip or tar archive ({error}): delete it and try again."
        ) from error
    return target


@contextmanager
def _open_member(packed: Path, member: str) -> Iterator[IO[bytes]]:
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as zipped:
            name = _match(zipped.namelist(), member, packed)
            with zipped.open(name) as source:
                yield source
    else:
        with tarfile.open(packed, "r:gz") as tarred:
            name = _match(tarred.getnames(), member, packed)
            content = tarred.extractfile(name)
            if content is None:
                raise FileNotFoundError(f"{name} in {packed} is not a file.")
            with content:
                yield content


def _match(names: list[str], member: str, packed: Path) -> str:
    for name in names:
        if f"/{name}".endswith(f"/{member}"):
            return name
    raise FileNotFoundError(
        f"{packed} holds no {member}: it is another archive than expected; delete it and try again."
    )
