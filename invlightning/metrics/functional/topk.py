"""The best unseen items of each user, by a running top-k over chunks of the catalogue."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from invlightning.metrics.functional.cutoffs import check_cutoff


def stable_topk(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns the k largest entries of each row; of equal ones, those that come first.

    Entries of -inf stand for nothing at all and keep no order among themselves.

    Args:
        values: ``(B, N)`` without nan.
        k: At most N are returned.

    Returns:
        ``(B, min(k, N))`` values, descending, and their int64 positions.

    Example:
        >>> stable_topk(torch.tensor([[1.0, 3.0, 3.0]]), k=2)
        (tensor([[3., 3.]]), tensor([[1, 2]]))
    """
    k = min(k, values.shape[1])
    top, positions = values.topk(min(k + 1, values.shape[1]), dim=1)
    # topk chooses among equal values as it likes. Only where the last one that gets in equals the
    # first one left out does it matter which; those rows are sorted in full.
    tied = (top[:, k - 1] == top[:, -1]) & (top[:, -1] > -torch.inf)
    if top.shape[1] > k and tied.any():
        ordered = values[tied].argsort(dim=1, descending=True, stable=True)
        positions[tied] = ordered[:, : k + 1]
    positions = positions[:, :k].sort(dim=1).values
    top, order = values.gather(1, positions).sort(dim=1, descending=True, stable=True)
    return top, positions.gather(1, order)


def _unseen_chunks(
    score_range: Callable[[int, int], Tensor],
    num_items: int,
    seen_rows: Tensor,
    seen_items: Tensor,
    item_chunk: int,
) -> Iterator[tuple[int, Tensor]]:
    """Yields the first item of each chunk and its ``(B, n)`` scores, -inf for seen items."""
    seen_items, order = seen_items.sort()
    seen_rows = seen_rows[order]
    starts = [*range(0, num_items, item_chunk), num_items]
    cuts = torch.searchsorted(seen_items, torch.tensor(starts, device=seen_items.device)).tolist()
    if cuts[0] != 0 or cuts[-1] != len(seen_items):
        raise ValueError(
            f"seen_items range from {int(seen_items[0])} to {int(seen_items[-1])}: expected items "
            f"0 to {num_items - 1}."
        )
    for (start, stop), (first, last) in zip(pairwise(starts), pairwise(cuts), strict=True):
        scores = score_range(start, stop).detach()
        if scores.dim() != 2 or scores.shape[1] != stop - start:
            raise ValueError(
                f"score_range({start}, {stop}) returned the shape {tuple(scores.shape)}: expected "
                f"(B, {stop - start})."
            )
        where = (seen_rows[first:last], seen_items[first:last] - start)
        yield start, scores.index_put(where, scores.new_tensor(-torch.inf))


def top_unseen(
    score_range: Callable[[int, int], Tensor],
    num_items: int,
    k: int,
    seen_rows: Tensor,
    seen_items: Tensor,
    item_chunk: int,
) -> tuple[Tensor, Tensor]:
    """Ranks the items that each user has not seen; memory grows with the chunk, not the catalogue.

    Equal scores are ranked by item index, the lowest first, so the result depends neither on the
    chunk nor on the device.

    Args:
        score_range: Given ``(start, stop)``, returns ``(B, stop - start)`` scores of these items.
        num_items: Size of the catalogue.
        k: Length of the lists; at most ``num_items``.
        seen_rows: ``(S,)`` row of each seen pair.
        seen_items: ``(S,)`` item of each seen pair.
        item_chunk: Items scored at once; above ``64 * k`` top-k is fastest on the CPU.

    Returns:
        ``(B, min(k, num_items))`` scores, descending, and int64 items. A row with fewer unseen
        items ends in score -inf and item -1. So does an item the model itself scores -inf.

    Raises:
        ValueError: If ``k``, ``num_items`` or ``item_chunk`` is below 1, a seen item is outside the
            catalogue, a score is nan, or ``score_range`` returns another shape.
    """
    check_cutoff(k)
    if num_items < 1 or item_chunk < 1:
        raise ValueError(
            f"num_items is {num_items} and item_chunk {item_chunk}: both must be at least 1."
        )
    best: list[tuple[Tensor, Tensor]] = []
    for start, scores in _unseen_chunks(score_range, num_items, seen_rows, seen_items, item_chunk):
        top, positions = stable_topk(scores, k)
        best.append((top, positions + start))
        # Earlier chunks stand first, so of equal scores the lower item stays in front.
        pool, items = (torch.cat(part, dim=1) for part in zip(*best, strict=True))
        top, positions = stable_topk(pool, k)
        best = [(top, items.gather(1, positions))]
    [(top, items)] = best
    # nan counts as the largest value in torch, so one at the top tells of any.
    if top.isnan().any():
        raise ValueError(
            "scores of unseen items are nan and cannot be ranked: the model has diverged, try a "
            "smaller learning rate."
        )
    return top, items.masked_fill(top == -torch.inf, -1)
