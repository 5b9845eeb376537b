"""Scoring a whole catalogue with NeuMF: the first layer once a user and once an item."""

import torch
from torch import Tensor, nn

import invlightning as il
from benchmarks.figures import Figure
from benchmarks.timing import interleave, threads


class Pairwise(nn.Module):
    """The same network, every layer for every pair, as implementations of the paper do it."""

    def __init__(self, backbone: il.backbones.NeuMF) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits ``(B,)``."""
        factors, tower = self.backbone.factors, self.backbone.tower
        hidden = torch.cat([tower.users(users), tower.items(items)], dim=1)
        hidden = tower.layers(tower.pair(hidden))
        features = torch.cat([factors(users, items), hidden], dim=1)
        logits: Tensor = self.backbone.output(features).squeeze(1)
        return logits

    def score_all(self, users: Tensor) -> Tensor:
        """``(B, I)`` logits, in blocks of pairs that fit into memory."""
        blocks = []
        for items in torch.arange(self.backbone.num_items).split(256):
            pairs = torch.cartesian_prod(users, items)
            blocks.append(self(pairs[:, 0], pairs[:, 1]).view(len(users), len(items)))
        return torch.cat(blocks, dim=1)


@torch.no_grad()
def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    size, num_items, rounds = (4, 200, 2) if quick else (128, 4_000, 5)
    torch.manual_seed(0)
    backbone = il.backbones.NeuMF(6_000, num_items, 32).eval()
    pairwise = Pairwise(backbone)
    users = torch.arange(size)
    torch.testing.assert_close(backbone.score_all(users), pairwise.score_all(users))
    candidates = {
        "pairwise": lambda: pairwise.score_all(users),
        "ours": lambda: backbone.score_all(users),
    }
    with threads(1):
        seconds = interleave(candidates, rounds, warm_up=1)
    shown = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
    return [
        Figure(
            "NeuMF full-catalogue scoring, pairwise / ours",
            seconds["pairwise"] / seconds["ours"],
            3.5,
            higher_is_better=True,
            detail=f"6,000 x {num_items:,}, d=32, {size} users at a time, one thread: {shown}",
        )
    ]
