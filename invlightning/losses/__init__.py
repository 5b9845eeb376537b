"""Losses of labeled and of unlabeled rows."""

from invlightning.losses import functional
from invlightning.losses.base import JointLoss, LabeledLoss, UnlabeledLoss
from invlightning.losses.bce import BinaryCrossEntropy
from invlightning.losses.inverse_dual import InverseDualLoss
from invlightning.losses.sampled_negative import SampledNegativeLoss

__all__ = [
    "BinaryCrossEntropy",
    "InverseDualLoss",
    "JointLoss",
    "LabeledLoss",
    "SampledNegativeLoss",
    "UnlabeledLoss",
    "functional",
]
