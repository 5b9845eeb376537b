"""Samplers of unlabeled items."""

from invlightning.data.samplers.base import NegativeSampler
from invlightning.data.samplers.item_weight import ItemWeightSampler
from invlightning.data.samplers.known_pairs import KnownPairs
from invlightning.data.samplers.popularity import PopularitySampler
from invlightning.data.samplers.uniform import UniformSampler

__all__ = [
    "ItemWeightSampler",
    "KnownPairs",
    "NegativeSampler",
    "PopularitySampler",
    "UniformSampler",
]
