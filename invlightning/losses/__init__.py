"""Losses of labeled and of unlabeled rows."""

from invlightning.losses import functional
from invlightning.losses.base import JointLoss, LabeledLoss, UnlabeledLoss
from invlightning.losses.bce import BinaryCrossEntropy
from invlightning.losses.bpr import BPRLoss
from invlightning.losses.debiased_contrastive import DebiasedContrastiveLoss
from invlightning.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from invlightning.losses.inverse_dual import InverseDualLoss
from invlightning.losses.labeled_pairwise import LabeledPairwiseLoss
from invlightning.losses.naive_negative import NaiveNegativeLoss
from invlightning.losses.non_negative_pu import NonNegativePULoss
from invlightning.losses.pairwise_softmax import (
    PairwiseSoftmaxLoss,
    PSLArctanLoss,
    PSLReLULoss,
    PSLTanhLoss,
)
from invlightning.losses.partial_auc import LowerLeftPartialAUCLoss
from invlightning.losses.pooled_rows import PooledRowsLoss
from invlightning.losses.pseudo_label import PseudoLabelLoss
from invlightning.losses.relevance import RelevanceLoss
from invlightning.losses.reweighted import ReweightedLoss
from invlightning.losses.sampled_softmax import SampledSoftmaxLoss
from invlightning.losses.simplified_cross_entropy import SimCELoss
from invlightning.losses.soft_label import SoftLabel
from invlightning.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from invlightning.losses.truncated import TruncatedLoss

__all__ = [
    "BPRLoss",
    "BinaryCrossEntropy",
    "DebiasedContrastiveLoss",
    "GeneralizedCrossEntropy",
    "InverseDualLoss",
    "JointLoss",
    "LabeledLoss",
    "LabeledPairwiseLoss",
    "LowerLeftPartialAUCLoss",
    "NaiveNegativeLoss",
    "NonNegativePULoss",
    "PSLArctanLoss",
    "PSLReLULoss",
    "PSLTanhLoss",
    "PairwiseSoftmaxLoss",
    "PooledRowsLoss",
    "PseudoLabelLoss",
    "RelevanceLoss",
    "ReweightedLoss",
    "SampledSoftmaxLoss",
    "SimCELoss",
    "SoftLabel",
    "SymmetricCrossEntropy",
    "TruncatedLoss",
    "UnlabeledLoss",
    "functional",
]
