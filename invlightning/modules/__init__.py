"""LightningModules that wrap a backbone."""

from invlightning.modules.inverse_gradient import InverseGradientMixin, InverseGradientRecommender
from invlightning.modules.recommender import BackboneCallable, Recommender

__all__ = [
    "BackboneCallable",
    "InverseGradientMixin",
    "InverseGradientRecommender",
    "Recommender",
]
