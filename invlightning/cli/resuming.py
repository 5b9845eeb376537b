"""Checkpoints against the command line: who decides about hyper-parameters, and saying so."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace
from pytorch_lightning.utilities import rank_zero_info, rank_zero_only
from typing_extensions import override

from invlightning.compat import CLASS_PATH, INSTANTIATOR
from invlightning.loading import read_checkpoint
from invlightning.modules.resume import ResumableModule
from invlightning.stored_specs import check_stored

# Taken from the data module where they are not given.
_SIZES = ("num_users", "num_items")
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_OPTIMIZER = "model.optimizer."
# Arguments of evaluation; no weight depends on them.
_EVALUATION = ("label_cutoff", "top_k", "item_chunk")


def check_checkpoint(path: str | None) -> None:
    """Checks a checkpoint before anything else happens.

    Args:
        path: What was given as ``--ckpt_path``. Addresses, folders and the words of Lightning
            (``best``, ``last``, ``hpc``, ``registry:...``) are left to Lightning.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, is damaged, does not say its class, or asks for anything
            but imported classes of the right kind.
    """
    if path == "":
        raise ValueError("--ckpt_path is empty: give the path of a checkpoint, or leave it out.")
    if path is None or not Path(path).is_file():
        if path is not None and "://" not in path and Path(path).suffix == ".ckpt":
            read_checkpoint(path)
        return
    checkpoint = read_checkpoint(path)
    stored = checkpoint.get("hyper_parameters")
    if stored and CLASS_PATH not in stored:
        raise ValueError(
            f"{path} does not say which class it belongs to: save it from a module that is built "
            "on the command line, or from one of invlightning."
        )
    check_stored(checkpoint, path, pl.LightningModule)


def differences(old: Any, new: Any, name: str = "model") -> Iterator[tuple[str, str, str]]:
    """Compares hyper-parameters as configs and checkpoints hold them.

    Args:
        old: A value; mappings are compared entry by entry, where both have it.
        new: The value that holds. Classes are compared by name, since most have several paths.
        name: What it is called on the command line.

    Yields:
        Name, old value and new value of each that differs.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (key for key in new if key in old):
            if key == INSTANTIATOR or (key in _SIZES and None in (old[key], new[key])):
                continue
            plain = key in ("class_path", CLASS_PATH, "init_args")
            yield from differences(old[key], new[key], name if plain else f"{name}.{key}")
    elif _describe(old) != _describe(new):
        yield name, _describe(old), _describe(new)


def _describe(value: Any) -> str:
    text = str(value.get("class_path", value) if isinstance(value, Mapping) else value)
    return text.rpartition(".")[2] if _CLASS_PATH.fullmatch(text) else text


def settle_evaluation(given: Namespace, section: Namespace) -> None:
    """Lets a checkpoint decide about the model, and the command line about its evaluation.

    What the command line says otherwise is not used, which is printed.

    Args:
        given: The ``model`` section as the command line has it.
        section: The whole section of the subcommand, after the hyper-parameters of its
            ``ckpt_path`` came over the model; the arguments of evaluation are set back here.
    """
    wanted = given.get("init_args") or {}
    for name in _EVALUATION:
        if name in wanted and name in section.model.init_args:
            section.model.init_args[name] = wanted[name]
    changes = differences(given.as_dict(), section.model.as_dict())
    _print_changes(f"{section.ckpt_path}, which decides", changes)


class OptimizerArguments(pl.Callback):
    """Gives a restored optimizer the arguments it was now built with.

    Its state brings those of the checkpoint back, against the command line.

    Args:
        names: Arguments to set, such as ``lr``. Where a schedule sets the learning rate, ``lr``
            stays that of the schedule.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the arguments; the state has been restored by now."""
        scheduled = "lr" in self.names and bool(trainer.lr_scheduler_configs)
        names = [name for name in self.names if name != "lr" or not scheduled]
        if scheduled:
            rank_zero_info("model.optimizer.lr is not used: the schedule goes on as it was.")
        for optimizer in trainer.optimizers:
            given = {name: optimizer.defaults[name] for name in names if name in optimizer.defaults}
            for group in optimizer.param_groups:
                group.update(given)


def resume_callbacks(path: str | None, model: pl.LightningModule) -> list[pl.Callback]:
    """Says which hyper-parameters differ from those of the checkpoint.

    Args:
        path: Checkpoint to go on from; None if training starts afresh.
        model: The module as built from the command line.

    Returns:
        What the trainer needs for them to hold.
    """
    if path is None or not Path(path).is_file():
        return []
    stored = read_checkpoint(path).get("hyper_parameters", {})
    changes = list(differences(stored, dict(model.hparams)))
    _print_changes(f"{path}, which training goes on from", changes)
    if isinstance(model, ResumableModule):  # which sees to its optimizer
        return []
    names = [name.removeprefix(_OPTIMIZER) for name, *_ in changes if name.startswith(_OPTIMIZER)]
    return [OptimizerArguments(names)] if names else []


@rank_zero_only
def _print_changes(source: str, changes: Iterable[tuple[str, str, str]]) -> None:
    lines = [f"  {name}: {old} -> {new}" for name, old, new in changes]
    if lines:
        print("\n".join([f"Hyper-parameters that differ from {source}:", *lines]))
