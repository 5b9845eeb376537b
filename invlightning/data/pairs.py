"""The pairs of a table of interactions."""

import numpy as np
import torch
from numpy.typing import NDArray

from invlightning.data.interactions import Interactions
from invlightning.data.known_pairs import KnownPairs


def pairs_of(interactions: Interactions, rows: NDArray[np.int64] | NDArray[np.bool_]) -> KnownPairs:
    """Indexes the pairs of some rows.

    Args:
        interactions: The prepared rows.
        rows: Which of them, by position or by a mask of all.

    Returns:
        Their distinct pairs.
    """
    return KnownPairs.from_pairs(
        torch.from_numpy(interactions.users[rows]),
        torch.from_numpy(interactions.items[rows]),
        interactions.num_users,
        interactions.num_items,
    )
