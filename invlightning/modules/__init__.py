"""LightningModules that wrap a backbone."""

from invlightning.modules.entire_space import EntireSpaceRecommender
from invlightning.modules.inverse_gradient import InverseGradientMixin
from invlightning.modules.inverse_recommenders import (
    EntireSpaceInverseGradientRecommender,
    InverseGradientRecommender,
)
from invlightning.modules.recommender import BackboneCallable, Recommender

__all__ = [
    "BackboneCallable",
    "EntireSpaceInverseGradientRecommender",
    "EntireSpaceRecommender",
    "InverseGradientMixin",
    "InverseGradientRecommender",
    "Recommender",
]
