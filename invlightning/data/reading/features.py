"""Side features of users and items, in the order of their indices."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from invlightning.data.reading.columns import MISSING
from invlightning.data.vocabulary import Vocabulary


def read_features(path: str | Path) -> pd.DataFrame:
    """Reads features from a CSV, TSV or Parquet file whose first column holds raw ids.

    Args:
        path: The file; Parquet is told by its suffix.

    Returns:
        The other columns, under the raw ids as index.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}: pass the path of a table.")
    if Path(path).suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        found = pd.read_csv(path, sep=None, engine="python", nrows=0).columns
        table = pd.read_csv(
            path,
            sep=None,
            engine="python",
            dtype={found[0]: str},  # ids as they are written, so that 007 stays 007
            keep_default_na=False,
            na_values={name: ["", *MISSING] for name in found[1:]},
        )
    return table.set_index(table.columns[0])


def align_features(table: Any, ids: Vocabulary, name: str, ids_are_indices: bool) -> Tensor:
    """Puts features in the order of the indices of users or items.

    Args:
        table: A data frame whose index holds raw ids; features of other ids are left out. Or, if
            the ids are indices, ``(n, F)`` numbers in their order.
        ids: Raw ids by index.
        name: ``"user"`` or ``"item"``, for messages.
        ids_are_indices: Whether raw ids are the indices ``0 .. n-1`` themselves.

    Returns:
        ``(n, F)`` float32.

    Raises:
        ValueError: If ids have no features or several rows, or values are no finite numbers.
    """
    if isinstance(table, pd.DataFrame):
        values = _by_id(table, ids, name)
    elif ids_are_indices:
        values = np.asarray(table.detach().cpu() if isinstance(table, Tensor) else table)
    else:
        raise ValueError(
            f"{name}_features has no ids: give a data frame whose index holds the {name} ids, or "
            f"give num_{name}s, so that row r belongs to the {name} r."
        )
    if values.ndim != 2 or len(values) != len(ids):
        raise ValueError(
            f"{name}_features has the shape {values.shape}, expected ({len(ids)}, number of "
            f"features): one row for each {name}."
        )
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise ValueError(
            f"{name}_features holds values that are not finite numbers: fill gaps, and turn "
            "categories into columns of 0 and 1, for example by pandas.get_dummies."
        )
    return torch.tensor(values, dtype=torch.float32)


def _by_id(table: pd.DataFrame, ids: Vocabulary, name: str) -> Any:
    # As text, for a reader may have found integers where another found text, or floats.
    index = table.index
    if pd.api.types.is_float_dtype(index.dtype) and (index == index // 1).all():
        index = index.astype("int64")
    table = table.set_axis(index.astype(str))
    wanted = pd.Index(ids.ids).astype(str)
    if table.index.has_duplicates:
        raise ValueError(f"{name}_features has several rows for a {name}: keep one for each.")
    missing = wanted.difference(table.index)
    if len(missing):
        raise ValueError(
            f"{name}_features lacks {len(missing)} of {len(ids)} {name}s, for example "
            f"{missing[0]!r}: give a row for every {name} of the data."
        )
    numeric = all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes)
    return table.loc[wanted].to_numpy(np.float64 if numeric else object, na_value=np.nan)
