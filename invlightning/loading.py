"""Loading trained modules."""

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.saving import pl_load  # type: ignore[attr-defined]
from typing_extensions import Self, override

from invlightning.compat import CLASS_PATH
from invlightning.stored_specs import check_stored

MapLocation = Any  # whatever torch.load takes


def check_whole(path: str | Path) -> None:
    """Checks that a checkpoint has every byte that was saved; torch itself looks at none.

    Args:
        path: A local file.

    Raises:
        ValueError: If it is no checkpoint, was cut off, or holds other bytes than were saved.
    """
    try:
        is_packed = zipfile.is_zipfile(path)
        if is_packed:
            with zipfile.ZipFile(path) as packed:
                damaged = packed.testzip()
    # All that zipfile says where lengths, offsets, names or kinds of its entries were changed.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): give another copy of it.") from error
    if not is_packed:
        raise ValueError(
            f"{path} is not a checkpoint: give a .ckpt file that a Trainer saved, in full."
        )
    if damaged is not None:
        raise ValueError(
            f"{path} is damaged: {damaged} in it has other bytes than were saved; give another "
            "copy of it."
        )


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint; weights stay on the disk until they are looked at.

    Args:
        path: A file that a Trainer saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, is damaged, or holds more than plain values and tensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}: give the path of a .ckpt file.")
    check_whole(path)
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

    Nothing in the file is run: it holds plain values and tensors, and what it names is built only
    if it is an imported class of the kind that belongs there. A class of your own must have been
    imported before.

    Args:
        path: A checkpoint that a Trainer saved, from the command line or from Python.
        map_location: Where the weights go, for example ``"cpu"``. None puts them where they were.

    Returns:
        The module with its weights and raw ids, in evaluation mode, ready for ``recommend`` or a
        Trainer.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, is damaged, does not say its class, or asks for anything
            but imported classes of the right kind.
    """
    checkpoint = read_checkpoint(path)
    if CLASS_PATH not in (checkpoint.get("hyper_parameters") or {}):
        raise ValueError(
            f"{path} does not say which class it belongs to: load it by that class, with "
            "YourModule.load_from_checkpoint(path)."
        )
    check_stored(checkpoint, str(path), pl.LightningModule)
    module: pl.LightningModule = pl.LightningModule.load_from_checkpoint(
        path, map_location=map_location, weights_only=True
    )
    return module.eval()


class SafelyLoaded(pl.LightningModule):
    """A LightningModule that is built from a checkpoint only after a look at what that asks for."""

    @classmethod
    @override
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: MapLocation = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Loads a module, as in Lightning, and runs nothing that the file asks for.

        Args:
            checkpoint_path: A file, an address or an open file.
            map_location: Where the weights go.
            hparams_file: A file of hyper-parameters in place of the stored ones; it is trusted.
            strict: Whether the weights have to fit exactly.
            weights_only: None and True refuse a file that could run code. False trusts it.
            **kwargs: Arguments of the class in place of the stored ones, which are not looked at.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file asks for anything but imported classes of the right kind.
        """
        if weights_only is not False:
            source = str(checkpoint_path)
            if isinstance(checkpoint_path, (str, Path)) and Path(checkpoint_path).is_file():
                checkpoint = read_checkpoint(checkpoint_path)
            else:  # read once: the second time it could be another file
                checkpoint = pl_load(checkpoint_path, map_location="cpu", weights_only=True)
                checkpoint_path = io.BytesIO()
                torch.save(checkpoint, checkpoint_path)
                checkpoint_path.seek(0)
            stored = checkpoint.get("hyper_parameters") or {}
            own = {name: value for name, value in stored.items() if name not in kwargs}
            check_stored({**checkpoint, "hyper_parameters": own}, source, cls)
        loaded: Self = super().load_from_checkpoint(
            checkpoint_path,
            map_location,
            hparams_file,
            strict,
            weights_only is not False,
            **kwargs,
        )
        return loaded

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        path = self._trainer.ckpt_path if self._trainer is not None else None
        if path is not None and Path(path).is_file():
            check_whole(path)  # the Trainer has read it without
