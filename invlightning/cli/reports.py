"""What the command line prints when training is over."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.model_helpers import is_overridden
from typing_extensions import override


class KeptCheckpoint(pl.Callback):
    """Says where the best checkpoint lies when training ends by an error."""

    @rank_zero_only
    @override
    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Prints the path, if there is one, above the error."""
        callback = trainer.checkpoint_callback
        path = callback.best_model_path if isinstance(callback, ModelCheckpoint) else ""
        if path and trainer.state.fn == TrainerFn.FITTING:
            print(f"Training ended early; the best checkpoint so far is {path}", file=sys.stderr)


def print_fit_report(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule | None
) -> None:
    """Tests the best checkpoint of a finished ``fit`` and prints metrics and paths.

    Without a checkpoint (:func:`best_checkpoint`) the weights at hand are tested. An interrupted
    ``fit`` and a module without ``test_step`` are not tested.
    """
    if trainer.interrupted:
        return
    best = best_checkpoint(trainer)
    if is_overridden("test_step", model):
        results = trainer.test(model, datamodule, ckpt_path=best or None, verbose=False)
        print_metrics(results, f"of {'the best checkpoint' if best else 'the final weights'}")
    if not trainer.fast_dev_run:  # type: ignore[attr-defined]
        # Asked for by every process: the answer comes from the first.
        _print_paths(Path(trainer.log_dir or trainer.default_root_dir), best)


def best_checkpoint(trainer: pl.Trainer) -> str:
    """The path of the best checkpoint; empty if there is none.

    There is none after ``fast_dev_run``, with checkpointing switched off, and where a resumed run
    beat nothing and the checkpoint of the run before is out of reach.
    """
    callback = trainer.checkpoint_callback
    path = callback.best_model_path if isinstance(callback, ModelCheckpoint) else ""
    reachable = "://" in path or Path(path).is_file()
    # Every process must come to the same answer, also one that does not see the files of the first.
    best: str = trainer.strategy.broadcast(path if reachable else "")
    return best


@rank_zero_only
def print_metrics(results: Sequence[Mapping[str, float]], whose: str = "") -> None:
    """Prints metrics as a table.

    Args:
        results: What ``Trainer.validate`` or ``Trainer.test`` returned, one mapping a data loader;
            metrics of the same name are the same.
        whose: What has these metrics, for the head line.
    """
    metrics = {name: value for result in results for name, value in result.items()}
    if not metrics:
        print("\nNo metrics: the data has no rows for them.")
        return
    width = max(len(name) for name in metrics)
    print(f"\nMetrics {whose}".rstrip())
    for name, value in metrics.items():
        print(f"  {name:<{width}}  {value:.4f}")


@rank_zero_only
def _print_paths(folder: Path, best: str) -> None:
    paths = {
        "checkpoint": Path(best),
        "config": folder / "config.yaml",
        "metrics": folder / "metrics.csv",
    }
    print()
    for name, path in paths.items():
        if path.is_file():
            print(f"  {name:<10}  {path}")
    if all(path.is_file() for path in paths.values()):
        _print_next(paths["config"], paths["checkpoint"])


def _print_next(config: Path, checkpoint: Path) -> None:
    """What to do with a checkpoint, as commands that can be copied."""
    here, there = shlex.quote(str(config)), shlex.quote(str(checkpoint))
    run = f"--config {here} \\\n    --ckpt_path {there}"
    print(
        f"""
What next?
  invlightning test {run}
  invlightning predict {run}
  invlightning fit {run} --trainer.max_epochs MORE
  in Python: invlightning.load({str(checkpoint)!r}).recommend([USER, ...])"""
    )
