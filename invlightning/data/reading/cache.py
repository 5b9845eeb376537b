"""Prepared rows kept on disk, memory-mapped, so that a second start does not read text again.

A cache is one file that names what it was made from by a digest of the raw files' content and of
the settings. It is written under another name and then renamed, so it is whole or not there at
all, whatever happens and however many processes write it.
"""

import hashlib
import logging
import pickle
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invlightning.data.interactions import Interactions
from invlightning.data.reading.download import replacing
from invlightning.data.vocabulary import Vocabulary

_logger = logging.getLogger(__name__)

# Part of every digest: to be raised whenever the same files and settings give other rows.
_FORMAT = "3"
# Files below this are read in about a second and need no cache.
LEAST_BYTES = 2**24
_CHUNK = 2**20
_COLUMNS = ("users", "items", "labels", "timestamps", "parts")
# What torch.load says of files that are no whole cache.
_DAMAGE = (RuntimeError, OSError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError)


def cached(
    files: Sequence[Path],
    settings: str,
    build: Callable[[], Interactions],
    folder: str | Path | None = None,
) -> Interactions:
    """Returns prepared rows from the cache, or builds and keeps them.

    A cache that is stale or damaged is built again, with one line that says so. So is one that
    cannot be written, each time.

    Args:
        files: The raw files that ``build`` reads, at least one.
        settings: Everything else that its result depends on.
        build: Reads and prepares the rows.
        folder: Where the cache lies. None means beside the first file.

    Returns:
        The rows; from the cache they are memory-mapped, and what is written to them stays in
        memory.
    """
    name = hashlib.blake2b(settings.encode(), digest_size=6).hexdigest()
    path = Path(folder or files[0].parent) / f"{files[0].name}.{name}.cache"
    digest = digest_of(files, settings)
    found = load(path, digest)
    if found is not None:
        return found
    built = build()
    try:
        store(path, digest, built)
    except OSError as error:
        _logger.warning(
            "The cache %s cannot be written (%s), so the next start reads everything again: name "
            "another folder by cache, or set it to False.",
            path,
            error,
        )
    return built


def digest_of(files: Sequence[Path], settings: str) -> str:
    """Digest of the content of files and of the settings.

    Args:
        files: The files; their names and dates play no role.
        settings: Any text.

    Returns:
        A BLAKE2b digest.
    """
    digest = hashlib.blake2b(f"{_FORMAT}\n{len(settings)}\n{settings}\n".encode(), digest_size=32)
    buffer = bytearray(_CHUNK)
    for path in files:
        digest.update(path.stat().st_size.to_bytes(8, "little"))
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                digest.update(memoryview(buffer)[:size])
    return digest.hexdigest()


def store(path: Path, digest: str, rows: Interactions) -> None:
    """Writes a cache.

    Args:
        path: The file.
        digest: What the rows were made from, by :func:`digest_of`.
        rows: The prepared rows.

    Raises:
        OSError: If it cannot be written.
    """
    columns = {name: getattr(rows, name) for name in _COLUMNS}
    tensors = {name: torch.from_numpy(c) for name, c in columns.items() if c is not None}
    for name in ("user_ids", "item_ids"):
        tensors |= {f"{name}.{key}": t for key, t in getattr(rows, name).state_dict().items()}
    content = {
        "digest": digest,
        "checksum": _checksum(tensors),
        "tensors": tensors,
        "notes": list(rows.notes),
    }
    with replacing(path) as file:
        torch.save(content, file)


def load(path: Path, digest: str) -> Interactions | None:
    """Maps a cache into memory.

    Args:
        path: The file.
        digest: What the rows must have been made from.

    Returns:
        The rows; None, with one line that tells why, if there is no cache or it is of no use.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, mmap=True, weights_only=True)
        if content["digest"] != digest:
            _logger.warning("The cache %s is of other data: it is built again.", path)
            return None
        if content["checksum"] != _checksum(content["tensors"]):
            raise ValueError("its checksum is wrong")
        return _rows(content)
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0]
        _logger.warning("The cache %s is damaged (%s): it is built again.", path, reason)
        return None


def _rows(content: dict[str, Any]) -> Interactions:
    tensors: dict[str, Tensor] = content["tensors"]
    columns: dict[str, Any] = {
        name: tensors[name].numpy() if name in tensors else None for name in _COLUMNS
    }
    ids: dict[str, Any] = {
        name: Vocabulary.from_state_dict(
            {key.split(".")[1]: t for key, t in tensors.items() if key.startswith(f"{name}.")}
        )
        for name in ("user_ids", "item_ids")
    }
    return Interactions(**columns, **ids, notes=tuple(content["notes"]))


def _checksum(tensors: dict[str, Tensor]) -> int:
    value = 0
    for name, tensor in tensors.items():
        value = zlib.crc32(f"{name} {tensor.dtype} {len(tensor)}".encode(), value)
        value = zlib.crc32(tensor.numpy().view(np.uint8).data, value)
    return value
