"""Samplers of unlabeled items."""

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.adaptive_hardness import AdaptiveHardnessSampler
from invlightning.data.samplers.adaptive_oversampler import AdaptiveOversampler
from invlightning.data.samplers.base import Draw, NegativeSampler
from invlightning.data.samplers.bayesian import BayesianSampler
from invlightning.data.samplers.candidates import Candidates, CandidateSampler
from invlightning.data.samplers.dynamic import DynamicSampler
from invlightning.data.samplers.hard import HardSampler
from invlightning.data.samplers.in_batch import InBatchSampler
from invlightning.data.samplers.item_weight import ItemWeightSampler
from invlightning.data.samplers.popularity import PopularitySampler
from invlightning.data.samplers.positive_resampler import PositiveResampler
from invlightning.data.samplers.reinforced import ReinforcedSampler
from invlightning.data.samplers.robust import RobustSampler
from invlightning.data.samplers.true_negative import TrueNegativeSampler
from invlightning.data.samplers.uniform import UniformSampler

__all__ = [
    "AdaptiveHardnessSampler",
    "AdaptiveOversampler",
    "BayesianSampler",
    "CandidateSampler",
    "Candidates",
    "Draw",
    "DynamicSampler",
    "HardSampler",
    "InBatchSampler",
    "ItemWeightSampler",
    "KnownPairs",
    "NegativeSampler",
    "PopularitySampler",
    "PositiveResampler",
    "ReinforcedSampler",
    "RobustSampler",
    "TrueNegativeSampler",
    "UniformSampler",
]
