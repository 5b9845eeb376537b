"""The command ``invlightning``: LightningCLI with our classes known by name."""

import os
import platform
import sys
from argparse import ArgumentError
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from typing_extensions import override

from invlightning.cli.configs_lookup import packaged_configs
from invlightning.cli.console import DEBUG, HINT, console
from invlightning.cli.loggers import default_loggers, move_loggers
from invlightning.cli.monitors import FittingMonitor, add_monitor, monitor_everywhere
from invlightning.cli.outputs import COMMANDS, run_output
from invlightning.cli.parser_messages import plain_message
from invlightning.cli.predictions import PredictionWriter
from invlightning.cli.progress import EpochLines, choose_progress
from invlightning.cli.reports import KeptCheckpoint, print_fit_report, print_metrics
from invlightning.cli.resuming import check_checkpoint, resume_callbacks, settle_evaluation
from invlightning.cli.short_help import EPILOG, CommandParser, add_trainer_help, shorten
from invlightning.compat import CheckpointArgument
from invlightning_start import DESCRIPTION

# Without it, every error is preceded by a page that lists all options of the Trainer.
USAGE = "invlightning %s [--config FILE ...] [--model.NAME VALUE ...] [--data.NAME VALUE ...] ..."


class InverseLearningCLI(CheckpointArgument, LightningCLI):
    """LightningCLI that knows the packaged configs and reports what came out and where it lies."""

    @override
    def setup_parser(
        self, add_subcommands: bool, main_kwargs: dict[str, Any], subparser_kwargs: dict[str, Any]
    ) -> None:
        """Sets the parsers up, with short texts."""
        super().setup_parser(add_subcommands, main_kwargs, subparser_kwargs)
        for parser in self._subcommand_parsers.values():
            shorten(parser)

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses the arguments, in which packaged configs may be given by name."""
        try:
            self.config = parser.parse_args(packaged_configs(args))
        except ArgumentError as error:
            if os.environ.get(DEBUG):
                raise
            print(f"error: {plain_message(str(error))}\n{HINT}", file=sys.stderr)
            raise SystemExit(2) from error

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds ``--monitor``, ``--untrained`` and ``--trainer.help``."""
        add_monitor(parser)
        add_trainer_help(parser)
        parser.add_argument(
            "--untrained",
            type=bool,
            default=False,
            help="Whether validate, test and predict may run without ckpt_path, on random weights.",
        )

    @override
    def settle_checkpoint(self, adopt: Callable[[], None]) -> None:
        section = self.config[self.config.subcommand]
        check_checkpoint(section.ckpt_path)
        if self.config.subcommand != "fit" and section.ckpt_path is None and not section.untrained:
            raise ValueError(
                f"{self.config.subcommand} without --ckpt_path would use a model that was never "
                "trained: give the checkpoint that fit wrote, or --untrained true to mean that."
            )
        # When training goes on, the command line decides about hyper-parameters; Lightning would
        # silently prefer those of the checkpoint. Everywhere else the checkpoint decides.
        if self.config.subcommand != "fit":
            adopt()
            settle_evaluation(section.model, self.config[self.config.subcommand])

    @override
    def before_instantiate_classes(self) -> None:
        """Puts what a run writes where it belongs, and lets it monitor what is asked for."""
        section = self.config[self.config.subcommand]
        check_intervals(section.trainer)
        move_loggers(section.trainer.logger, section.trainer.default_root_dir)
        self.prints_epochs = choose_progress(section.trainer)
        if section.monitor is not None:
            monitor_everywhere(section.trainer.callbacks, section.monitor)

    def before_fit(self) -> None:
        """Says which hyper-parameters differ from those of the checkpoint, and sees to them."""
        self.trainer.callbacks.append(KeptCheckpoint())  # type: ignore[attr-defined]
        if self.prints_epochs:
            self.trainer.callbacks.append(EpochLines())  # type: ignore[attr-defined]
        if self.config.fit.monitor is None:
            self.trainer.callbacks.append(FittingMonitor())  # type: ignore[attr-defined]
        self.trainer.callbacks += resume_callbacks(self.config.fit.ckpt_path, self.model)  # type: ignore[attr-defined]

    def after_fit(self) -> None:
        """Tests the best checkpoint and prints the result."""
        print_fit_report(self.trainer, self.model, self.datamodule)

    def validate(self, model: pl.LightningModule, **kwargs: Any) -> None:
        """Prints the validation metrics; see ``Trainer.validate``."""
        print_metrics(self.trainer.validate(model, **{**kwargs, "verbose": False}))

    def test(self, model: pl.LightningModule, **kwargs: Any) -> None:
        """Prints the test metrics; see ``Trainer.test``."""
        print_metrics(self.trainer.test(model, **{**kwargs, "verbose": False}))

    def predict(self, model: pl.LightningModule, **kwargs: Any) -> None:
        """Recommends to users and writes a table; see ``Trainer.predict``."""
        self.trainer.callbacks.append(PredictionWriter())  # type: ignore[attr-defined]
        self.trainer.predict(model, **{**kwargs, "return_predictions": False})


def check_intervals(trainer: Any) -> None:
    """Refuses numbers by which Lightning would divide.

    Args:
        trainer: The parsed arguments of the Trainer.

    Raises:
        ValueError: If one of them is below 1.
    """
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        value = trainer[name]
        if value is not None and value < 1:
            raise ValueError(f"--trainer.{name} is {value}, expected at least 1.")


def version_line() -> str:
    """Versions of what a report of a problem should name, in one line."""
    own = version("invlightning")
    python = platform.python_version()
    lightning = version("pytorch-lightning")
    return f"{own} (pytorch-lightning {lightning}, torch {torch.__version__}, Python {python})"


def run(args: ArgsType = None) -> InverseLearningCLI:
    """Runs the command line, with ``args`` or, where None, with the arguments of the process."""
    return InverseLearningCLI(
        pl.LightningModule,
        pl.LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=42,
        save_config_kwargs={"overwrite": True},
        parser_class=CommandParser,
        trainer_defaults={"logger": default_loggers()},
        parser_kwargs={
            "version": version_line(),
            "exit_on_error": False,
            "description": DESCRIPTION,
            **{
                name: {"usage": USAGE % name, "exit_on_error": False, "epilog": EPILOG}
                for name in LightningCLI.subcommands()
            },
        },
        args=args,
    )


def main() -> None:
    """The console script."""
    with console():
        if sys.argv[1:2] and sys.argv[1] in COMMANDS:
            run_output(sys.argv[1:])
        else:
            run()
