"""Internals of torch and Lightning that the package relies on, all of them in this one place.

Each entry says what it stands for and in which version it was seen; ``tests/test_compat.py`` shows
that the installed versions still have it. Nothing of Lightning is imported here, since the ground
floor stands on this file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

if TYPE_CHECKING:
    from argparse import Action, ArgumentParser, _ArgumentGroup

    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.cli import LightningCLI

    # The class below stands left of a LightningCLI; for the type checker it is one.
    _CLI = LightningCLI
else:
    _CLI = object


@contextmanager
def showing(parser: "ArgumentParser", groups: "list[_ArgumentGroup]") -> Iterator[None]:
    """Lets the help of a parser show some groups of its options alone.

    Python 3.11: ``ArgumentParser._action_groups``.
    """
    everything = parser._action_groups
    parser._action_groups = groups
    try:
        yield
    finally:
        parser._action_groups = everything


def option_groups(parser: "ArgumentParser") -> "list[_ArgumentGroup]":
    """The groups of options of a parser.

    Python 3.11: ``ArgumentParser._action_groups``.
    """
    return parser._action_groups


def options_of(group: "ArgumentParser | _ArgumentGroup") -> "list[Action]":
    """The options of a group, or all of a parser.

    Python 3.11: ``ArgumentParser._actions``, ``_ArgumentGroup._group_actions``.
    """
    own = getattr(group, "_group_actions", None)
    return own if own is not None else group._actions


# Among the hyper-parameters of a checkpoint, Lightning looks here for the class to build and for
# the function that builds it. Lightning 2.6.6: ``core.saving._load_state``.
CLASS_PATH = "_class_path"
INSTANTIATOR = "_instantiator"
MODULE_INSTANTIATOR = "pytorch_lightning.cli.instantiate_module"


def edit_count(tensor: Tensor) -> int:
    """How often a tensor was edited in place. Torch 2.13: ``Tensor._version``."""
    return tensor._version


def sparse_entries(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Indices ``(D, E)`` and values of a sparse tensor that need not be coalesced.

    The public ``indices()`` and ``values()`` refuse those that are not. Torch 2.13:
    ``Tensor._indices``, ``Tensor._values``.
    """
    return gradient._indices(), gradient._values()


def is_compiled(module: nn.Module) -> bool:
    """Whether ``Module.compile`` was called on a module or one within it.

    Torch 2.13: ``Module._compiled_call_impl``.
    """
    return any(m._compiled_call_impl is not None for m in module.modules())


class TravelingTensors(nn.Module):
    """A module whose plain tensor attributes travel with it to another device or precision.

    For tensors made of the training data. They are no buffers: their sizes depend on the data, and
    DDP would send buffers to all processes before every forward pass. What a checkpoint needs goes
    through ``get_extra_state``. Torch 2.13: ``Module._apply``.
    """

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "TravelingTensors":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, fn(value))
        return self


def trainer_of(module: "pl.LightningModule") -> "pl.Trainer | None":
    """The trainer that a module is attached to; None without one, where ``trainer`` raises.

    Lightning 2.6.6: ``LightningModule._trainer``.
    """
    return module._trainer


def logged_step(trainer: "pl.Trainer") -> int:
    """The step that Lightning writes beside what a module logs in training.

    It counts batches after which the optimizer stepped, also under manual optimization. Lightning
    2.6.6: ``_TrainingEpochLoop._batches_that_stepped``.
    """
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def saves_by_time(callback: "ModelCheckpoint") -> bool:
    """Whether a ModelCheckpoint was given ``train_time_interval``.

    Lightning 2.6.6: ``ModelCheckpoint._train_time_interval``.
    """
    return callback._train_time_interval is not None


class FitProgress:
    """How far training had come when a Trainer wrote a checkpoint; edited in place.

    Lightning 2.6.6: the state of ``_FitLoop`` and ``_TrainingEpochLoop``. Counters there are
    *ready* (handed out), *started*, *processed* and *completed* (with the hooks at the end), each
    for the current epoch or run and in total.

    Args:
        checkpoint: The checkpoint.

    Attributes:
        loaders: States of the training loaders; empty if they have none.
    """

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        fit = checkpoint["loops"]["fit_loop"]
        self.loaders: list[dict[str, Any]] = fit["state_dict"].get("combined_loader", [])
        self._epochs = fit["epoch_progress"]
        self._batches = fit["epoch_loop.batch_progress"]
        self._log = fit["epoch_loop.state_dict"]

    @property
    def epochs_done(self) -> int:
        """Epochs that count as trained on."""
        return int(self._epochs["current"]["processed"])

    @property
    def batches_done(self) -> int:
        """Batches of the epoch that were trained on."""
        return int(self._batches["current"]["processed"])

    @property
    def is_in_flight(self) -> bool:
        """Whether a further batch had been handed out."""
        return int(self._batches["current"]["ready"]) > self.batches_done

    @property
    def is_last_batch(self) -> bool:
        """Whether the batch that was handed out last is the last one of the epoch."""
        return bool(self._batches["is_last_batch"])

    def reopen(self, epoch: int, is_last_batch: bool, stepped: bool) -> None:
        """Makes it the progress right after the last batch that was trained on.

        Args:
            epoch: The epoch of that batch.
            is_last_batch: Whether it is the last one of the epoch.
            stepped: Whether the optimizer stepped after it.
        """
        done = self.batches_done
        self._batches["is_last_batch"] = is_last_batch
        _set_counters(self._epochs, started=epoch + 1, processed=epoch, pending=0)
        # The hooks at the end of a batch count it as completed; one is left to count on resuming.
        _set_counters(self._batches, started=done, processed=done, pending=min(done, 1))
        if stepped:
            self._log["_batches_that_stepped"] -= 1  # likewise


def _set_counters(progress: dict[str, Any], started: int, processed: int, pending: int) -> None:
    """Sets the counters of this run and moves those of all runs by as much."""
    current, total = progress["current"], progress["total"]
    before = total["processed"] - current["processed"]
    for counters, offset in ((current, 0), (total, before)):
        counters["ready"] = counters["started"] = started + offset
        counters["processed"] = processed + offset
        counters["completed"] = processed + offset - pending


class CheckpointArgument(_CLI):
    """Lets a LightningCLI to its right decide what ``--ckpt_path`` means for the arguments.

    Lightning 2.6.6: ``LightningCLI._parse_ckpt_path``, which is called once the arguments are
    parsed and before anything is built.
    """

    def settle_checkpoint(self, adopt: Callable[[], None]) -> None:
        """Called once the arguments are parsed.

        Args:
            adopt: Puts the hyper-parameters of the checkpoint over those of the command line.
        """
        adopt()

    @override
    def _parse_ckpt_path(self) -> None:
        self.settle_checkpoint(super()._parse_ckpt_path)
