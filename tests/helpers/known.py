"""Known pairs as training rows, for samplers without a data module."""

import torch

from invlightning.data import KnownPairs
from invlightning.types import TrainingFacts


def pairs_of(table):
    """The pairs where a ``(U, I)`` table of booleans is true."""
    return KnownPairs.from_pairs(*torch.as_tensor(table).nonzero(as_tuple=True), *table.shape)


def facts_of(known, negative=None):
    """Pairs as training rows, all of them positive but for those of ``negative``."""
    users, items = known.users(), known.items.long()
    labels = torch.ones(len(items))
    if negative is not None:
        labels[negative.contains(users, items)] = 0.0
    return TrainingFacts(users, items, labels, known.num_users, known.num_items)


def item_facts(labels, items=None, num_items=None):
    """Labeled rows of one user each, for losses that look at labels and items."""
    labels = torch.as_tensor(labels).float()
    users = torch.arange(len(labels))
    items = users if items is None else items
    return TrainingFacts(users, items, labels, max(len(labels), 1), num_items or len(labels))
