"""Settings that a checkpoint was trained with against those that training goes on with."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info

from invlightning.compat import CLASS_PATH
from invlightning.stored_specs import imported

# Arguments of optimizers that no state depends on.
_FREE = {"lr", "weight_decay", "betas", "eps"}
_FREE_OF_SGD = {"momentum", "dampening", "nesterov"}  # a buffer is made where there is none


def check_same_network(module: pl.LightningModule, checkpoint: Mapping[str, Any]) -> None:
    """Refuses a checkpoint whose parameters do not fit, before torch lists them all.

    Args:
        module: The module that the weights are for.
        checkpoint: A checkpoint that a Trainer wrote.

    Raises:
        ValueError: If a parameter is missing or has another shape.
    """
    stored = checkpoint.get("state_dict")
    if not stored or not module.strict_loading:
        return
    for name, parameter in module.named_parameters(remove_duplicate=False):
        found = "missing" if name not in stored else str(tuple(stored[name].shape))
        if found != str(tuple(parameter.shape)):
            raise ValueError(
                f"the checkpoint is of another model: {name} is {found} in it and "
                f"{tuple(parameter.shape)} here ({_network(module.hparams)} here, "
                f"{_network(checkpoint.get('hyper_parameters') or {})} there): give the "
                "backbone and sizes it was trained with, or train afresh without ckpt_path."
            )


def optimizer_changes(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Names the arguments of the optimizer that differ from those of a checkpoint.

    Args:
        stored: Hyper-parameters of the checkpoint.
        given: Hyper-parameters that training goes on with.

    Raises:
        ValueError: If the optimizer is of another class, or an argument differs on which its state
            depends.
    """
    if CLASS_PATH not in stored or CLASS_PATH not in given:
        return []
    old, new = (_optimizer(hparams) for hparams in (stored, given))
    if old[0] != new[0]:
        raise ValueError(
            f"the checkpoint was trained with the optimizer {old[0]}, and {new[0]} cannot go on "
            f"from its state: give {old[0]}, or load the weights by invlightning.load and fit "
            "them without ckpt_path."
        )
    cls = imported(_path(stored.get("optimizer")))
    parameters = inspect.signature(cls).parameters if cls is not None else {}
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    changed = [
        name
        for name in dict.fromkeys([*old[1], *new[1]])
        if _plain(old[1].get(name, defaults.get(name)))
        != _plain(new[1].get(name, defaults.get(name)))
    ]
    free = _FREE | (_FREE_OF_SGD if old[0] == "SGD" else set())
    bound = [name for name in changed if name not in free]
    if bound:
        raise ValueError(
            f"the checkpoint was trained with another {bound[0]} of {old[0]}, on which the state "
            f"of the optimizer depends: leave {bound[0]} as it was, or load the weights by "
            "invlightning.load and fit them without ckpt_path."
        )
    return changed


def take_up(trainer: pl.Trainer, names: list[str]) -> None:
    """Gives restored optimizers the arguments they were now built with, and says so.

    Args:
        trainer: A trainer whose optimizers have been restored.
        names: Arguments such as ``lr``; where a schedule sets the learning rate, it goes on.
    """
    if "lr" in names and trainer.lr_scheduler_configs:
        rank_zero_info("model.optimizer.lr is not used: the schedule goes on as it was.")
        names = [name for name in names if name != "lr"]
    for optimizer in trainer.optimizers:
        given = {name: optimizer.defaults[name] for name in names if name in optimizer.defaults}
        for group in optimizer.param_groups:
            group.update(given)
        for name, value in given.items():
            rank_zero_info(f"Training goes on with {name}={value} of the optimizer.")


def _optimizer(hparams: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    spec = hparams.get("optimizer")
    arguments = spec.get("init_args") if isinstance(spec, Mapping) else None
    return _path(spec).rpartition(".")[2], dict(arguments or {})


def _path(spec: Any) -> str:
    """The import path of an optimizer; none given means Adam, as in ``Recommender``."""
    if isinstance(spec, Mapping):
        return str(spec.get("class_path"))
    return str(spec) if spec else "torch.optim.Adam"


def _network(hparams: Mapping[str, Any]) -> str:
    spec = hparams.get("backbone")
    if not isinstance(spec, Mapping):
        return str(spec)
    given = ", ".join(f"{name}={value}" for name, value in (spec.get("init_args") or {}).items())
    return f"{str(spec.get('class_path')).rpartition('.')[2]}({given})"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
