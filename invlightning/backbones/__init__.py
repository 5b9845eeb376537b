"""Networks that score a (user, item) pair."""

from invlightning.backbones.base import Backbone
from invlightning.backbones.biased_mf import BiasedMF
from invlightning.backbones.cml import CML
from invlightning.backbones.deepfm import DeepFM
from invlightning.backbones.dmf import DMF
from invlightning.backbones.ease import EASE
from invlightning.backbones.exposure_mf import ExposureMF
from invlightning.backbones.factorization_machine import FactorizationMachine
from invlightning.backbones.gmf import GMF
from invlightning.backbones.gru4rec import GRU4Rec
from invlightning.backbones.item_knn import ItemKNN
from invlightning.backbones.layers.fitted import FittedBackbone
from invlightning.backbones.layers.propagated import PropagatedBackbone
from invlightning.backbones.layers.sequence import SequenceBackbone
from invlightning.backbones.lightgcn import LightGCN
from invlightning.backbones.mlp import MLP
from invlightning.backbones.neumf import NeuMF
from invlightning.backbones.popularity import Popularity
from invlightning.backbones.sasrec import SASRec
from invlightning.types import TrainingFacts

__all__ = [
    "CML",
    "DMF",
    "EASE",
    "GMF",
    "MLP",
    "Backbone",
    "BiasedMF",
    "DeepFM",
    "ExposureMF",
    "FactorizationMachine",
    "FittedBackbone",
    "GRU4Rec",
    "ItemKNN",
    "LightGCN",
    "NeuMF",
    "Popularity",
    "PropagatedBackbone",
    "SASRec",
    "SequenceBackbone",
    "TrainingFacts",
]
