"""LightningModules that wrap a backbone."""

from invlightning.modules.inverse_gradient import InverseGradientMixin, InverseGradientRecommender
from invlightning.modules.recommender import Recommender

__all__ = ["InverseGradientMixin", "InverseGradientRecommender", "Recommender"]
