"""Recommenders trained on extremely sparse, noisy feedback, as PyTorch Lightning modules."""

from invlightning import (
    backbones,
    callbacks,
    data,
    inverse,
    losses,
    metrics,
    modules,
    optim,
    outputs,
)
from invlightning.backbones import Backbone
from invlightning.data import (
    ArrayDataModule,
    CoatDataModule,
    ImplicitDataModule,
    KuaiRandDataModule,
    KuaiRecDataModule,
    MovieLensDataModule,
    NegativeSampler,
    SyntheticDataModule,
    TableDataModule,
    VKLSVDDataModule,
    YambdaDataModule,
)
from invlightning.inverse import Decision
from invlightning.loading import load
from invlightning.losses import JointLoss, LabeledLoss, UnlabeledLoss
from invlightning.modules import (
    EntireSpaceInverseGradientRecommender,
    EntireSpaceRecommender,
    InverseGradientMixin,
    InverseGradientRecommender,
    Recommender,
)
from invlightning.outputs import recommend

__version__ = "0.1.0"

__all__ = [
    "ArrayDataModule",
    "Backbone",
    "CoatDataModule",
    "Decision",
    "EntireSpaceInverseGradientRecommender",
    "EntireSpaceRecommender",
    "ImplicitDataModule",
    "InverseGradientMixin",
    "InverseGradientRecommender",
    "JointLoss",
    "KuaiRandDataModule",
    "KuaiRecDataModule",
    "LabeledLoss",
    "MovieLensDataModule",
    "NegativeSampler",
    "Recommender",
    "SyntheticDataModule",
    "TableDataModule",
    "UnlabeledLoss",
    "VKLSVDDataModule",
    "YambdaDataModule",
    "backbones",
    "callbacks",
    "data",
    "inverse",
    "load",
    "losses",
    "metrics",
    "modules",
    "optim",
    "outputs",
    "recommend",
]
