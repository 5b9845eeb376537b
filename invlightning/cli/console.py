"""What turns :func:`invlightning.cli.run` into a command of the shell."""

import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pytorch_lightning.utilities.exceptions import (  # type: ignore[attr-defined]
    MisconfigurationException,
)

_UNWRITABLE = {errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}
DEBUG = "INVLIGHTNING_DEBUG"
LIGHTNING_LOG = "pytorch_lightning.utilities.rank_zero"
HINT = f"(Set {DEBUG}=1 to see where it was raised.)"


def input_error(error: BaseException | None) -> BaseException | None:
    """Finds the error that the package itself raised.

    Args:
        error: An error; the parser wraps what a constructor raises, so its causes count too.

    Returns:
        The ``ValueError`` or ``OSError`` (missing file, failed download) whose ``raise`` stands in
        this package, what Lightning or an optimizer of torch says about an argument, what the
        system says about a folder or disk that cannot be written, or None.
    """
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        name = frames[-1].f_globals.get("__name__", "") if frames else ""
        ours = name.partition(".")[0] == "invlightning" and isinstance(error, ValueError | OSError)
        ours = ours and not isinstance(error, BrokenPipeError)  # of ``| head``, no error at all
        # What a Trainer or an optimizer says about its arguments is about the input, too.
        of_optimizer = name.startswith("torch.optim") and isinstance(error, ValueError)
        of_trainer = name.endswith("accelerator_connector") and isinstance(error, ValueError)
        # So is a folder or a disk that takes nothing more, wherever that shows.
        full = isinstance(error, OSError) and error.errno in _UNWRITABLE
        if (
            ours
            or of_optimizer
            or of_trainer
            or full
            or isinstance(error, MisconfigurationException)
        ):
            return error
        error = error.__cause__
    return None


def is_no_advertisement(record: logging.LogRecord) -> bool:
    """Whether Lightning says something about the run, and not about somebody's service."""
    return not record.getMessage().startswith("💡 Tip:")


@contextmanager
def console() -> Iterator[None]:
    """Runs a command for a person at a terminal.

    An error of the input (:func:`input_error`) is printed as one sentence, and the command exits
    with code 2. Every other error is a bug, in whosever code, and keeps its traceback. So does
    any error if the environment variable ``INVLIGHTNING_DEBUG`` is set.
    """
    # Files in the working directory are modules, as they are for ``python -m invlightning``.
    sys.path.insert(0, os.getcwd())
    # Lightning 2.6 on torch 2.13 warns about itself at every start.
    warnings.filterwarnings("ignore", r"`isinstance.treespec, LeafSpec.` is", FutureWarning)
    # So does torch itself, where it loads its forward mode for decisions about single rows.
    warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
    # A checkpoint is used in a new folder by every command but the one that wrote it.
    warnings.filterwarnings("ignore", r"The dirpath has changed from", UserWarning)
    logging.getLogger(LIGHTNING_LOG).addFilter(is_no_advertisement)
    try:
        yield
    except Exception as error:
        found = input_error(error)
        if found is None or os.environ.get(DEBUG):
            raise
        print(f"error: {found}\n{HINT}", file=sys.stderr)
        raise SystemExit(2) from error
