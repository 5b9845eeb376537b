"""The cut-off k of a ranking and the discounts of its ranks."""

import torch
from torch import Tensor


def check_cutoff(k: int) -> None:
    """Checks the length of a ranking.

    Args:
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}: a ranking needs at least one rank, pass k >= 1.")


def cumulative_discounts(k: int, device: torch.device) -> Tensor:
    """Returns the discounts of NDCG, summed from the top rank down.

    The discount of rank r, counted from 1, is 1 / log2(r + 1) (Jaervelin and Kekaelaeinen 2002,
    in the form of Burges et al. 2005).

    Args:
        k: Number of ranks that count.
        device: Where the result is to live.

    Returns:
        ``(k + 1,)`` float64; entry n is the sum over ranks 1 to n.

    Raises:
        ValueError: If ``k`` is below 1.

    Example:
        >>> cumulative_discounts(2, torch.device("cpu"))
        tensor([0.0000, 1.0000, 1.6309], dtype=torch.float64)
    """
    check_cutoff(k)
    ranks = torch.arange(k + 1, dtype=torch.float64, device=device)
    return (1 / (ranks + 1).log2()).masked_fill(ranks == 0, 0).cumsum(0)
