"""Single files of data sets on the Hugging Face hub, which tells their checksums."""

import http.client
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

from invlightning.data.reading.download import fetch

_logger = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 30
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Remote(NamedTuple):
    """A file on the hub.

    Attributes:
        size: Bytes.
        sha256: Checksum.
    """

    size: int
    sha256: str


class _Stay(urllib.request.HTTPRedirectHandler):
    """Does not follow: the checksum stands in the answer that redirects."""

    @override
    def redirect_request(self, *args: Any) -> None:
        return None


@dataclass(frozen=True)
class HubFiles:
    """Files of a data set on the hub, kept under a folder as they lie there.

    Args:
        title: Name of the data set, for messages.
        url: Address that the paths of the files are put behind.
    """

    title: str
    url: str

    def require(self, root: str | Path, member: str) -> Path:
        """The path of a file that has to be there.

        Raises:
            FileNotFoundError: With where to get the file and where to put it.
        """
        path = Path(root) / member
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.title} is not under {str(root)!r}: no {member}. Call prepare_data(), which "
                f"downloads it (a Trainer does so by itself), or get {self.url}/{member} by hand "
                f"and put it at {path}."
            )
        return path

    def install(self, root: str | Path, members: Sequence[str]) -> None:
        """Downloads the files that are not there yet, after saying how large they are.

        Args:
            root: Folder to put them under.
            members: Their paths.

        Raises:
            ConnectionError: If the hub cannot be reached or a download breaks off.
            ValueError: If a file is not what the hub says it is.
        """
        missing = [member for member in members if not (Path(root) / member).is_file()]
        if not missing:
            return
        remote = {member: self.look_up(member) for member in missing}
        total = sum(file.size for file in remote.values())
        _logger.warning(
            "%s: downloading %d files, %.2f GB in all, to %s.",
            self.title,
            len(missing),
            total / 1e9,
            root,
        )
        for member, file in remote.items():
            fetch(f"{self.url}/{member}", Path(root) / member, sha256=file.sha256)

    def look_up(self, member: str) -> Remote:
        """Asks the hub for size and checksum of a file.

        Raises:
            ConnectionError: If it does not answer, or has no such file.
        """
        address = f"{self.url}/{member}"
        request = urllib.request.Request(address, method="HEAD")
        try:
            headers = self._head(request)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            raise ConnectionError(
                f"could not ask for {address} ({error}): get it by hand, or see what subsets "
                f"{self.title} has."
            ) from error
        sha256 = (headers.get("X-Linked-ETag") or "").strip('"')
        size = headers.get("X-Linked-Size")
        if not _SHA256.fullmatch(sha256) or size is None:
            raise ConnectionError(
                f"{address} does not tell its checksum: get it by hand and put it in place."
            )
        return Remote(int(size), sha256)

    def _head(self, request: urllib.request.Request) -> Any:
        try:
            opener = urllib.request.build_opener(_Stay)
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                return response.headers
        except urllib.error.HTTPError as error:
            if error.code in (301, 302, 303, 307, 308):
                return error.headers
            raise
