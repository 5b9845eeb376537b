"""The commands that use a trained model, which need neither a config nor a Trainer."""

import sys
from argparse import ArgumentError

import pandas as pd
from jsonargparse import ArgumentParser

from invlightning.cli.parser_messages import plain_message
from invlightning.data.reading.files import read_table
from invlightning.modules.vocabularies import Seen
from invlightning.outputs import recommend


def recommend_command(
    ckpt_path: str,
    output: str,
    users: str | None = None,
    seen: str | None = None,
    include_seen: bool = False,
    candidates: str | None = None,
    top_k: int | None = None,
    part: int = 0,
    parts: int = 1,
    batch_size: int = 512,
) -> None:
    """Writes the best unseen items of users to a CSV or Parquet file.

    Args:
        ckpt_path: Checkpoint of the model.
        output: The file, .csv or .parquet, with columns user, item, rank and score.
        users: A table with a column user. None means everybody.
        seen: A table with columns user and item of what users know. None takes what the checkpoint
            keeps.
        include_seen: Whether items that users know are recommended, too.
        candidates: A table with a column item, of the items to choose from. None means all.
        top_k: Number of items a user. None means that of the model.
        part: Which share of the users this process takes, from 0.
        parts: Number of shares, each written to a file of its own.
        batch_size: Users scored at once; bounds the memory.
    """
    known: Seen | None = {} if include_seen else None if seen is None else pairs_of(seen)
    done = recommend(
        ckpt_path,
        output,
        None if users is None else ids_of(users, "user"),
        known,
        top_k,
        None if candidates is None else ids_of(candidates, "item"),
        part,
        parts,
        batch_size,
        progress=show_progress,
    )
    less = f"; {done.short} users got fewer, as nothing more was left" if done.short else ""
    print(f"\n  {done.rows} recommendations for {done.users} users{less}  {done.path}")


def show_progress(done: int, total: int) -> None:
    """Shows at a terminal how far it is."""
    if sys.stderr.isatty():
        print(f"\r  {done} of {total} users", end="", file=sys.stderr, flush=True)


def ids_of(path: str, column: str) -> list[int | str]:
    """The ids in a column of a table."""
    return list(pd.Series(read_table(path, column, column).users).tolist())


def pairs_of(path: str) -> pd.DataFrame:
    """The columns user and item of a table."""
    table = read_table(path)
    return pd.DataFrame({"user": pd.Series(table.users), "item": pd.Series(table.items)})


COMMANDS = {"recommend": recommend_command}


def run_output(arguments: list[str]) -> None:
    """Runs a command of :data:`COMMANDS`, whose name comes first; exits if arguments are wrong."""
    name, *options = arguments
    try:
        given = parser_of(name).parse_args(options)
    except ArgumentError as error:
        print(f"error: {plain_message(str(error))}", file=sys.stderr)
        raise SystemExit(2) from error
    COMMANDS[name](**given.as_dict())


def parser_of(name: str) -> ArgumentParser:
    """The parser of a command of :data:`COMMANDS`."""
    parser = ArgumentParser(prog=f"invlightning {name}", exit_on_error=False)
    parser.add_function_arguments(COMMANDS[name], as_positional=False)
    return parser
