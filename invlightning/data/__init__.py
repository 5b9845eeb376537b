"""Data: tables, splits, samplers and the data modules."""

from invlightning.data.datasets import (
    ArrayDataModule,
    CoatDataModule,
    KuaiRandDataModule,
    KuaiRecDataModule,
    MovieLensDataModule,
    SyntheticDataModule,
    TableDataModule,
)
from invlightning.data.interactions import Interactions, RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.samplers import (
    ItemWeightSampler,
    KnownPairs,
    NegativeSampler,
    PopularitySampler,
    UniformSampler,
)
from invlightning.data.splits import (
    GivenSplit,
    LeaveLastOut,
    RandomSplit,
    Split,
    TemporalSplit,
    UserRandomSplit,
)

__all__ = [
    "ArrayDataModule",
    "CoatDataModule",
    "GivenSplit",
    "ImplicitDataModule",
    "Interactions",
    "ItemWeightSampler",
    "KnownPairs",
    "KuaiRandDataModule",
    "KuaiRecDataModule",
    "LeaveLastOut",
    "MovieLensDataModule",
    "NegativeSampler",
    "PopularitySampler",
    "RandomSplit",
    "RawTable",
    "Split",
    "SyntheticDataModule",
    "TableDataModule",
    "TemporalSplit",
    "UniformSampler",
    "UserRandomSplit",
]
