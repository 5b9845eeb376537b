"""The meta-learning step in plain PyTorch; needs nothing of Lightning."""

from invlightning.inverse.context import StepContext
from invlightning.inverse.decisions import BatchSign, Decision, StepRecord
from invlightning.inverse.direct import Direct
from invlightning.inverse.directions import DirectionName
from invlightning.inverse.engine import InverseGradient
from invlightning.inverse.meta_weight_net import MetaWeightNet
from invlightning.inverse.per_example import (
    PerExampleDecision,
    PerExampleReweight,
    PerExampleSign,
)
from invlightning.inverse.step import InnerStep
from invlightning.inverse.unlabeled_rows import UnlabeledRows

__all__ = [
    "BatchSign",
    "Decision",
    "Direct",
    "DirectionName",
    "InnerStep",
    "InverseGradient",
    "MetaWeightNet",
    "PerExampleDecision",
    "PerExampleReweight",
    "PerExampleSign",
    "StepContext",
    "StepRecord",
    "UnlabeledRows",
]
