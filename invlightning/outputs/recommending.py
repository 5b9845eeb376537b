"""Recommendations for everybody, as a file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch

from invlightning.data.vocabulary import Vocabulary
from invlightning.evaluation_mode import evaluation_mode, fixed_parameters
from invlightning.loading import load
from invlightning.modules.serving import ServedModule
from invlightning.modules.vocabularies import RawIds, Seen
from invlightning.outputs.table_writer import TableWriter


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        path: The file.
        users: Number of users who were asked for.
        rows: Number of recommendations.
        short: Number of users who got fewer than k, as nothing more was left.
    """

    path: Path
    users: int
    rows: int
    short: int


def recommend(
    model: ServedModule | str | Path,
    output: str | Path,
    users: RawIds | None = None,
    seen: Seen | None = None,
    k: int | None = None,
    candidates: RawIds | None = None,
    part: int = 0,
    parts: int = 1,
    batch_size: int = 512,
    item_chunk: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Writes the best unseen items of users to a file, in batches.

    Args:
        model: A loaded module, or the path of its checkpoint.
        output: The file, ``.csv`` or ``.parquet``, with columns user, item, rank and score. It
            stands there only when it is whole.
        users: Raw ids of the users. None means all.
        seen: What the users know, as in ``recommend`` of the module.
        k: Number of items a user. None means ``top_k`` of the module.
        candidates: Raw ids of the items to choose from. None means all.
        part: Which share of the users this process takes, from 0.
        parts: Number of shares. With several, ``recs.csv`` becomes ``recs-0.csv`` and so on.
        batch_size: Users scored at once; bounds the memory.
        item_chunk: Items scored at once; small blocks stay in the cache of a processor.
        progress: Called with the number of users done and of all, after every batch.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: If there is no such checkpoint or folder.
        ValueError: If an id is unknown, or an argument cannot be.
    """
    if not 0 <= part < parts or batch_size < 1:
        raise ValueError(
            f"part is {part} of {parts} and batch_size {batch_size}: give a part from 0 to parts - "
            "1 and a batch of at least 1."
        )
    module = model if isinstance(model, ServedModule) else served(model)
    known_users = module.vocabularies.users
    count = module.backbone.num_users
    index = torch.arange(count) if users is None else module.encode_users(users)
    index = index[part::parts]
    known, allowed = module.known(index, seen), module.candidate_mask(candidates)
    k = module.checked_k(k, allowed)
    path = Path(output)
    path = path.with_name(f"{path.stem}-{part}{path.suffix}") if parts > 1 else path
    schema = schema_of(known_users, module.vocabularies.items)
    done, rows, short = 0, 0, 0
    with TableWriter(path, schema) as writer, evaluation_mode(module), fixed_parameters(module):
        for batch in index.split(batch_size):
            scores, items = module.top_items(batch, known, k, allowed, item_chunk)
            found = (items >= 0).sum(1)
            writer.write(module.vocabularies.table(batch, items, scores))
            done, rows = done + len(batch), rows + int(found.sum())
            short += int((found < k).sum())
            if progress is not None:
                progress(done, len(index))
    return Written(path, len(index), rows, short)


def served(path: str | Path) -> ServedModule:
    """Loads a module that recommends.

    Raises:
        ValueError: If it does not.
    """
    module = load(path, map_location="cpu")
    if not isinstance(module, ServedModule):
        raise ValueError(
            f"{path} holds {type(module).__name__}, which recommends nothing: give the checkpoint "
            "of a recommender of invlightning."
        )
    return module


def schema_of(users: Vocabulary | None, items: Vocabulary | None) -> pa.Schema:
    """Columns of a table of recommendations; ids are text or int64, as in the data."""
    ids = [pa.string() if ids is not None and ids.is_text else pa.int64() for ids in (users, items)]
    types = (*ids, pa.int64(), pa.float32())
    return pa.schema(list(zip(("user", "item", "rank", "score"), types, strict=True)))
