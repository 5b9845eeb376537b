"""Samplers that look beyond the users, small enough for ten items, and what they look at."""

import torch

from invlightning.data import (
    AdaptiveHardnessSampler,
    AdaptiveOversampler,
    BayesianSampler,
    DynamicSampler,
    InBatchSampler,
    ReinforcedSampler,
    RobustSampler,
)

# All fit a catalogue of ten items and choose up to two of them.
SAMPLERS = {
    "dns": lambda: DynamicSampler(num_candidates=8),
    "dns_mn": lambda: DynamicSampler(num_candidates=8, top=3),
    "aobpr": lambda: AdaptiveOversampler(num_candidates=8, rank_share=0.2),
    "ahns": lambda: AdaptiveHardnessSampler(num_candidates=8),
    "bns": lambda: BayesianSampler(num_candidates=3, num_references=5),
    "in_batch": lambda: InBatchSampler(num_tries=2),
    "srns": lambda: RobustSampler(memory_size=3, num_fresh=5, warmup_epochs=2),
    "rns": lambda: ReinforcedSampler(num_candidates=8, embedding_dim=4),
}
LEARNING = ["srns", "rns"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def fixed_score(users, items):
    """Fixed scores that are hardly ever equal; like an embedding, none at -1."""
    assert (items >= 0).all()
    return torch.sin(users * 12.9898 + items * 78.233 + 1)
