"""Memory of large tables: whether it is there, and how it is allocated."""

from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_CACHE_LINE = 64  # bytes


def empty_table(
    *size: int, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Tensor:
    """Allocates a table whose rows are quick to look up at random; its values are undefined.

    On a processor it lies in large pages, for which numpy asks the system and torch does not:
    with small ones a look-up in a table of gigabytes waits longer for the address of a row than
    for the row. Rows begin where cache lines do.

    Args:
        size: Its shape.
        dtype: None means the default precision.
        device: None means the default device.

    Returns:
        A tensor of that shape.
    """
    like = torch.empty(0, dtype=dtype, device=device)
    if like.device.type != "cpu":
        return like.new_empty(size)
    length = prod(size) * like.element_size()
    buffer = np.empty(length + _CACHE_LINE, dtype=np.uint8)
    start = -buffer.ctypes.data % _CACHE_LINE
    return torch.from_numpy(buffer[start : start + length]).view(like.dtype).view(size)


def check_memory(rows: int, dim: int) -> None:
    """Refuses a table that does not fit into the memory of the device it would be made on.

    Args:
        rows: Number of users or items.
        dim: Numbers in a row, of the default precision.

    Raises:
        MemoryError: With the bytes needed and the bytes available.
    """
    check_bytes(
        rows * dim * torch.get_default_dtype().itemsize,
        torch.empty(0).device,  # the default one, as a trainer or a context sets it
        f"a table of {rows:,} rows with {dim:,} numbers each",
        "lower embedding_dim, remove rare users and items by min_user_count and min_item_count, or "
        "use a larger machine",
    )


def check_bytes(needed: int, device: torch.device, what: str, remedy: str) -> None:
    """Refuses what does not fit into the memory of a device.

    Args:
        needed: Bytes that will be allocated.
        device: Where.
        what: What is allocated, to begin the message.
        remedy: What to do about it, to end the message.

    Raises:
        MemoryError: With the bytes needed and the bytes available.
    """
    available = available_bytes(device)
    if available is not None and needed > available:
        raise MemoryError(
            f"{what} needs {needed:,} bytes, but {available:,} bytes are available on {device}: "
            f"{remedy}."
        )


def available_bytes(device: torch.device) -> int | None:
    """Memory that can still be allocated on a device, in bytes; None where it is not known."""
    if device.type == "cuda":
        unused_by_torch = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused_by_torch
    if device.type != "cpu" or not _MEMINFO.exists():
        return None
    memory = _numbers(_MEMINFO)  # in kibibytes
    available = 1024 * (memory["MemAvailable:"] + memory["SwapFree:"])
    return min(available, _left_in_container(available))


def _left_in_container(otherwise: int) -> int:
    """What the limit of a container leaves; files it has cached give way to allocations."""
    limit = _CGROUP / "memory.max"
    if not limit.exists() or not limit.read_text().strip().isdigit():
        return otherwise
    used = int((_CGROUP / "memory.current").read_text())
    cached = _numbers(_CGROUP / "memory.stat")
    return int(limit.read_text()) - used + cached["active_file"] + cached["inactive_file"]


def _numbers(path: Path) -> dict[str, int]:
    """The numbers of a file with a name and a number in each line."""
    words = (line.split() for line in path.read_text().splitlines())
    return {name: int(number) for name, number, *_ in words}
