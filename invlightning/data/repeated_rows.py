"""Rows that are taken pass after pass, each pass in an order of its own."""

from typing import Generic

from invlightning.data.row_tuples import Rows, check_rows, take, widened
from invlightning.data.seeding import mix_seed
from invlightning.data.sharding import EpochOrder


class RepeatedRows(Generic[Rows]):
    """Batches without end: batch t is the one of number ``t % n`` of pass ``t // n``.

    A pass takes every row once and depends on ``(seed, salt, pass)`` alone, so that batch t is the
    same whatever came before. Only the order of one pass is held.

    Args:
        rows: A tuple of tensors ``(N, ...)``.
        order: Which rows this process takes, in batches.
        seed: Seed of the permutations.
        salt: Keeps rows of another kind under the same seed in another order.
        shuffle: False keeps the rows in the given order in every pass.

    Raises:
        ValueError: If the columns differ in length, or the order has no batch.
    """

    def __init__(
        self, rows: Rows, order: EpochOrder, seed: int, salt: int, shuffle: bool = True
    ) -> None:
        check_rows(rows)
        if not len(order):
            raise ValueError(
                f"{order.num_rows} exposed rows give no batch on {order.world_size} processes: add "
                "rows, or set num_exposed to 0."
            )
        self.rows, self.order = rows, order
        self.seed, self.salt, self.shuffle = seed, salt, shuffle
        self._pass: tuple[int, Rows] | None = None

    @property
    def layout(self) -> dict[str, int]:
        """What a position counts in, by name."""
        order = self.order
        return {"exposed rows": order.num_rows, "exposed a global batch": order.global_batch_size}

    def batch(self, number: int) -> Rows:
        """Returns batch ``number`` of all passes, counted from 0, widened for a batch."""
        turn, index = divmod(number, len(self.order))
        if self._pass is None or self._pass[0] != turn:
            seed = mix_seed(self.seed, self.salt, turn) if self.shuffle else None
            self._pass = (turn, take(self.rows, self.order.places(seed)))
        return widened(take(self._pass[1], self.order.batch(index)))
