"""Loading trained modules."""

import pickle
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint; weights stay on the disk until they are looked at.

    Args:
        path: A file that a Trainer saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, or holds more than plain values and tensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}: give the path of a .ckpt file.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds Python objects, which could run code, beside weights and plain values: "
            "save the module with hyper-parameters that are plain values."
        ) from error
    except RuntimeError as error:  # what torch raises for a file in another format
        raise ValueError(
            f"{path} is not a checkpoint: give a .ckpt file that a Trainer saved."
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(
            f"{path} holds weights but no checkpoint of a Trainer: give a .ckpt file that "
            "Trainer.fit or Trainer.save_checkpoint wrote."
        )
    return checkpoint


def load(path: str | Path, map_location: str | torch.device | None = None) -> pl.LightningModule:
    """Loads a trained module from a checkpoint, whichever class it has.

    Safe loading (``weights_only=True``) is used: the file can hold no code. A class of your own
    must have been imported before.

    Args:
        path: A checkpoint that a Trainer saved, from the command line or from Python.
        map_location: Where the weights go, for example ``"cpu"``. None puts them where they were.

    Returns:
        The module with its weights and raw ids, ready for ``recommend`` or a Trainer.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, does not say its class, or its class is not imported.
    """
    hparams = read_checkpoint(path).get("hyper_parameters", {})
    if "_class_path" not in hparams:
        raise ValueError(
            f"{path} does not say which class it belongs to: load it by that class, with "
            "YourModule.load_from_checkpoint(path)."
        )
    module: pl.LightningModule = pl.LightningModule.load_from_checkpoint(
        path, map_location=map_location, weights_only=True
    )
    return module
