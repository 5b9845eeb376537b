"""Data modules, one data set a file."""

from invlightning.data.datasets.array import ArrayDataModule
from invlightning.data.datasets.coat import CoatDataModule
from invlightning.data.datasets.kuairand import KuaiRandDataModule
from invlightning.data.datasets.kuairec import KuaiRecDataModule
from invlightning.data.datasets.movielens import MovieLensDataModule
from invlightning.data.datasets.synthetic import SyntheticDataModule
from invlightning.data.datasets.table import TableDataModule
from invlightning.data.datasets.vk_lsvd import VKLSVDDataModule
from invlightning.data.datasets.yambda import YambdaDataModule

__all__ = [
    "ArrayDataModule",
    "CoatDataModule",
    "KuaiRandDataModule",
    "KuaiRecDataModule",
    "MovieLensDataModule",
    "SyntheticDataModule",
    "TableDataModule",
    "VKLSVDDataModule",
    "YambdaDataModule",
]
