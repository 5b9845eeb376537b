"""Help of a command in a few screens: the options of the Trainer are shown when asked for."""

import argparse
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser
from typing_extensions import override

from invlightning.compat import option_groups, options_of, showing

EPILOG = (
    "Everything of Lightning's Trainer is --trainer.NAME, such as --trainer.max_epochs 5; "
    "--trainer.help lists them. --model.help CLASS and --data.help CLASS list the arguments of a "
    "class, and `invlightning list` what there is to choose from."
)
TRAINER = "trainer"
# In place of what Lightning says: titles by the first option of a group, and help of options.
TITLES = {"model": "the model", "data": "the data", "ckpt_path": "what to go on from, or to use"}
TEXTS = {
    "seed_everything": "Seed of everything random, or true for a random one.",
    "config": "A config file, or the name of a packaged one; later ones override earlier ones.",
    "ckpt_path": "Checkpoint to go on from (fit) or to use (validate, test, predict).",
    "weights_only": "Whether Lightning may read tensors and plain values alone.",
    "print_config": "Print the whole configuration and exit.",
    "model": "Class of the model, by name or dotted path; then --model.NAME for its arguments.",
    "data": "Class of the data, by name or dotted path; then --data.NAME for its arguments.",
}


class CommandParser(LightningArgumentParser):
    """A parser whose help leaves out what is of the Trainer, which ``--trainer.help`` prints."""

    @override
    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """The help without the groups of the Trainer."""
        return self._help_of([group for group in option_groups(self) if not _of_trainer(group)])

    def trainer_help(self) -> str:
        """The options of the Trainer alone."""
        return self._help_of([group for group in option_groups(self) if _of_trainer(group)])

    def _help_of(self, groups: list[Any]) -> str:
        with showing(self, groups):
            return super().format_help()


def shorten(parser: LightningArgumentParser) -> None:
    """Says in a line what Lightning says in paragraphs about the options of a command."""
    for action in options_of(parser):
        if str(action.dest) in TEXTS:
            action.help = TEXTS[str(action.dest)]
    for group in option_groups(parser):
        for action in options_of(group):
            group.title = TITLES.get(str(action.dest), group.title)


class TrainerHelp(argparse.Action):
    """``--trainer.help``: prints the options of the Trainer and exits."""

    @override
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Prints them."""
        assert isinstance(parser, CommandParser)
        print(parser.trainer_help())
        parser.exit()


def add_trainer_help(parser: LightningArgumentParser) -> None:
    """Adds ``--trainer.help`` to a parser."""
    parser.add_argument(
        "--trainer.help",
        action=TrainerHelp,
        nargs=0,
        dest=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
        help="Show the options of the Trainer and exit.",
    )


def _of_trainer(group: Any) -> bool:
    """Whether a group of options is that of the Trainer."""
    names = [str(action.dest) for action in options_of(group)]
    return bool(names) and all(name.split(".")[0] == TRAINER for name in names)
