"""Invented training data for backbones that want it."""

import torch

from invlightning.backbones import TrainingFacts
from tests.reference.sequence_backbones import tie

USERS, ITEMS = 7, 11


def make_facts(rows=40, seed=0, num_users=USERS, num_items=ITEMS, features=(0, 0)):
    """Distinct labeled pairs in no order, some at equal times; the last user has none."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randperm((num_users - 1) * num_items, generator=generator)[:rows]
    times = torch.randint(100, 100 + rows // 2, (rows,), generator=generator)
    labels = (torch.rand(rows, generator=generator) < 0.7).float()
    tables = [
        torch.randn(size, width, generator=generator) if width else None
        for size, width in zip((num_users, num_items), features, strict=True)
    ]
    sizes = num_users, num_items
    return TrainingFacts(pairs // num_items, pairs % num_items, labels, *sizes, times, *tables)


def rows_of(facts):
    """(time, user, item, label, tie) of each row, for the oracle."""
    columns = (facts.timestamps, facts.users, facts.items, facts.labels.long())
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(*row, tie(row[1], row[2], facts.num_items)) for row in rows]


def awake(backbone, facts=None, std=0.5):
    """A backbone in float64 whose parameters are large enough that every one matters."""
    if facts is not None:
        backbone.start_fit(facts)
    torch.manual_seed(0)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return backbone.double()


def state_of(backbone):
    """Parameters by name, as float64 arrays."""
    return {name: value.detach().numpy() for name, value in backbone.named_parameters()}


def all_pairs(num_users=USERS, num_items=ITEMS):
    """Users ``(U, 1)`` and items ``(I,)`` that broadcast to every pair."""
    return torch.arange(num_users).unsqueeze(1), torch.arange(num_items)
