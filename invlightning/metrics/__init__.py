"""Metrics of labeled rows and of the ranking of all unseen items."""

from invlightning.metrics.disliked import Disliked
from invlightning.metrics.labeled import AUC, HARM, MRR, NDCG, GroupAUC, LabeledMetrics
from invlightning.metrics.log_loss import LogLoss
from invlightning.metrics.ranking import (
    HitRate,
    RankingMetrics,
    RankingMRR,
    RankingNDCG,
    Recall,
)

__all__ = [
    "AUC",
    "HARM",
    "MRR",
    "NDCG",
    "Disliked",
    "GroupAUC",
    "HitRate",
    "LabeledMetrics",
    "LogLoss",
    "RankingMRR",
    "RankingMetrics",
    "RankingNDCG",
    "Recall",
]
