"""The formulas behind the metrics: functions of tensors, without state."""

from invlightning.metrics.functional.by_user import (
    auc_by_user,
    harm_by_user,
    mrr_by_user,
    ndcg_by_user,
)
from invlightning.metrics.functional.cutoffs import check_cutoff, cumulative_discounts
from invlightning.metrics.functional.labeled import auc, group_auc, harm, mrr, ndcg
from invlightning.metrics.functional.log_loss import log_loss, log_losses
from invlightning.metrics.functional.ranking import (
    hit_rate,
    ranking_hits,
    ranking_mrr,
    ranking_ndcg,
    recall,
)
from invlightning.metrics.functional.sums import UserSum
from invlightning.metrics.functional.ties import (
    RankedRows,
    TieGroups,
    check_shapes,
    check_values,
    rank_rows,
    tie_groups,
)
from invlightning.metrics.functional.topk import stable_topk, top_unseen

__all__ = [
    "RankedRows",
    "TieGroups",
    "UserSum",
    "auc",
    "auc_by_user",
    "check_cutoff",
    "check_shapes",
    "check_values",
    "cumulative_discounts",
    "group_auc",
    "harm",
    "harm_by_user",
    "hit_rate",
    "log_loss",
    "log_losses",
    "mrr",
    "mrr_by_user",
    "ndcg",
    "ndcg_by_user",
    "rank_rows",
    "ranking_hits",
    "ranking_mrr",
    "ranking_ndcg",
    "recall",
    "stable_topk",
    "tie_groups",
    "top_unseen",
]
