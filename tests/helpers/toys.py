"""A small factorization with two losses."""

import torch
from torch import nn
from torch.nn import functional as F

NAMES = ["none", "inverse", "direct"]


class Factors(nn.Module):
    def __init__(self, sparse=False, dtype=torch.float64):
        super().__init__()
        self.user = nn.Embedding(7, 3, sparse=sparse, dtype=dtype)
        self.item = nn.Embedding(9, 3, sparse=sparse, dtype=dtype)
        self.head = nn.Linear(3, 1, dtype=dtype)

    def forward(self, users, items):
        return self.head(self.user(users) * self.item(items)).squeeze(-1)


def batches(count, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        users = torch.randint(7, (8,), generator=generator)
        items, drawn = torch.randint(9, (2, 8), generator=generator)
        yield users, items, torch.randint(2, (8,), generator=generator).to(dtype), drawn


def labeled(net, batch):
    return F.binary_cross_entropy_with_logits(net(batch[0], batch[1]), batch[2])


def unlabeled(net, batch):
    logits = net(batch[0], batch[3])
    return F.softplus(logits).square().mean() - 0.3 * logits.mean()
