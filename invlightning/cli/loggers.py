"""Where a run writes its metrics unless told otherwise."""

from importlib.util import find_spec
from typing import Any

FOLDER = "runs"


def default_loggers() -> list[dict[str, Any]]:
    """CSV files always, TensorBoard where it is installed; as the command line describes them."""
    csv = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": FOLDER}}
    board = {
        "class_path": "pytorch_lightning.loggers.TensorBoardLogger",
        "init_args": {"save_dir": FOLDER, "name": "tensorboard"},
    }
    return [csv, board] if find_spec("tensorboard") else [csv]
