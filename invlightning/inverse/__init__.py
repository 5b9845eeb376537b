"""The meta-learning step in plain PyTorch; needs nothing of Lightning."""

from invlightning.inverse.decisions import BatchSign, Decision, StepRecord
from invlightning.inverse.directions import DirectionName
from invlightning.inverse.engine import InnerStep, InverseGradient
from invlightning.inverse.surroundings import Surroundings

__all__ = [
    "BatchSign",
    "Decision",
    "DirectionName",
    "InnerStep",
    "InverseGradient",
    "StepRecord",
    "Surroundings",
]
