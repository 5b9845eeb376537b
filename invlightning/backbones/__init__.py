"""Networks that score a (user, item) pair."""

from invlightning.backbones.base import Backbone
from invlightning.backbones.biased_mf import BiasedMF
from invlightning.backbones.gmf import GMF
from invlightning.backbones.mlp import MLP
from invlightning.backbones.neumf import NeuMF

__all__ = ["GMF", "MLP", "Backbone", "BiasedMF", "NeuMF"]
