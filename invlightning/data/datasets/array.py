"""Interactions that are in memory already."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.reading.features import align_features


@dataclass(eq=False, repr=False)
class ArrayDataModule(ImplicitDataModule):
    """Interactions from lists, arrays, tensors or columns of a data frame.

    Args:
        users: ``(N,)`` user ids, integers or text.
        items: ``(N,)`` item ids.
        ratings: ``(N,)`` numbers; 0 and 1 need no threshold. None or NaN in a row makes it an
            exposed row, seen and judged by nobody. None takes every row as a positive.
        timestamps: ``(N,)`` times; needed for splits by time.
        num_users: Number of users; the user ids are then indices ``0 .. num_users-1``. None
            takes any ids and counts those that occur.
        num_items: Number of items; the item ids are then indices.
        user_features: Side features of users, for backbones that take them: a data frame of
            numbers whose index holds the user ids, or ``(U, F)`` numbers if ``num_users`` is given.
        item_features: Side features of items, likewise.

    Raises:
        ValueError: If the columns differ in length.
    """

    users: Any
    items: Any
    ratings: Any = None
    timestamps: Any = None
    _: KW_ONLY
    num_users: int | None = None
    num_items: int | None = None
    user_features: Any = None
    item_features: Any = None

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        self._table = RawTable(
            users=as_column(self.users),
            items=as_column(self.items),
            ratings=None if self.ratings is None else as_column(self.ratings),
            timestamps=None if self.timestamps is None else as_column(self.timestamps),
            num_users=self.num_users,
            num_items=self.num_items,
        )

    @override
    def read(self) -> RawTable:
        return self._table

    @override
    def side_features(self) -> tuple[Tensor | None, Tensor | None]:
        table, found = self._table, self.interactions
        sides = (
            ("user", self.user_features, found.user_ids, table.num_users),
            ("item", self.item_features, found.item_ids, table.num_items),
        )
        users, items = (
            None if values is None else align_features(values, ids, name, size is not None)
            for name, values, ids, size in sides
        )
        return users, items


def as_column(values: Any) -> NDArray[Any]:
    """Returns a list, array, tensor, series or pyarrow column as a numpy array.

    Raises:
        ValueError: If it has more than one dimension.
    """
    column = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if column.ndim != 1:
        raise ValueError(f"a column must have one dimension, got the shape {column.shape}.")
    return column
