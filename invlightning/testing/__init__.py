"""Conformance suites: what the package relies on, as tests that a downstream class inherits.

A suite is a plain class that pytest collects once it is subclassed under a name with ``Test``::

    class TestMyBackbone(BackboneTests):
        backbone = MyBackbone  # or functools.partial(MyBackbone, embedding_dim=8)
"""

from invlightning.testing.backbones import BackboneTests
from invlightning.testing.decisions import DecisionTests
from invlightning.testing.inner_steps import InnerStepProblem
from invlightning.testing.losses import JointLossTests, LabeledLossTests, UnlabeledLossTests
from invlightning.testing.samplers import SamplerTests

__all__ = [
    "BackboneTests",
    "DecisionTests",
    "InnerStepProblem",
    "JointLossTests",
    "LabeledLossTests",
    "SamplerTests",
    "UnlabeledLossTests",
]
