"""Where a run writes its metrics unless told otherwise."""

from importlib.util import find_spec
from typing import Any

from jsonargparse import Namespace

FOLDER = "runs"


def default_loggers() -> list[dict[str, Any]]:
    """CSV files always, TensorBoard where it is installed; as the command line describes them."""
    csv = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": FOLDER}}
    board = {
        "class_path": "pytorch_lightning.loggers.TensorBoardLogger",
        "init_args": {"save_dir": FOLDER, "name": "tensorboard"},
    }
    return [csv, board] if find_spec("tensorboard") else [csv]


def move_loggers(loggers: Any, folder: str | None) -> None:
    """Lets ``--trainer.default_root_dir`` decide where the default loggers write.

    Checkpoints lie beside what the first logger writes, so they move as well.

    Args:
        loggers: The loggers as the command line has them; others than the default ones stay.
        folder: What was given; None keeps ``runs``.
    """
    if folder is None or not isinstance(loggers, list):
        return
    for logger in loggers:
        if isinstance(logger, Namespace) and logger.get("init_args.save_dir") == FOLDER:
            logger.init_args.save_dir = folder
