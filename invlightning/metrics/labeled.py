"""Metrics that rank labeled rows. A user's rows may come in several batches and processes."""

from abc import abstractmethod

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat
from typing_extensions import override

from invlightning.metrics import functional as F
from invlightning.metrics.base import ROW_DTYPES, ExactMetric


class RowMetric(ExactMetric):
    """Collects labeled rows until all of them can be ranked.

    In a ``MetricCollection`` the rows are kept once for all metrics of this kind. Values are
    checked when the metric is computed, not in ``update``: reading them there would make the
    device wait, and an error on one rank alone would leave the others waiting.
    """

    higher_is_better: bool | None = True

    scores: list[Tensor]
    labels: list[Tensor]
    users: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ROW_DTYPES:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    @override
    def update(self, scores: Tensor, labels: Tensor, users: Tensor) -> None:
        """Adds rows.

        Args:
            scores: ``(B,)`` of any float type; higher is better.
            labels: ``(B,)`` 0 or 1, of any type.
            users: ``(B,)`` of any integer type.

        Raises:
            ValueError: If shapes differ or users are no integers.
        """
        F.check_shapes(scores, labels, users)
        self.scores.append(scores.detach().to(ROW_DTYPES["scores"]))
        self.labels.append(labels.to(ROW_DTYPES["labels"]))
        self.users.append(users.to(ROW_DTYPES["users"]))

    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        return dim_zero_cat(self.scores), dim_zero_cat(self.labels), dim_zero_cat(self.users)


class AUC(RowMetric):
    """Area under the ROC curve over all rows; see :func:`functional.auc`."""

    @override
    def compute(self) -> Tensor:
        """Returns a float64 scalar; nan if a class is missing.

        Raises:
            ValueError: If a score is nan or a label is neither 0 nor 1.
        """
        scores, labels, _ = self._rows()
        return F.auc(scores, labels)


class UserMetric(RowMetric):
    """Mean over the users with both classes.

    Attributes:
        num_skipped: Users without a positive or without a negative, counted by the latest
            ``compute()``.
    """

    num_skipped: int = 0

    @abstractmethod
    def measure(self, groups: F.TieGroups) -> F.UserSum:
        """Returns the metric of all users, summed."""

    @override
    def compute(self) -> Tensor:
        """Returns a float64 scalar; nan if no user has both classes.

        Raises:
            ValueError: If a score is nan or a label is neither 0 nor 1.
        """
        summed = self.measure(F.rank_rows(*self._rows()).by_user)
        self.num_skipped = int(summed.num_skipped)
        return summed.mean


class GroupAUC(UserMetric):
    """Unweighted mean of the users' AUC; see :func:`functional.group_auc`."""

    @override
    def measure(self, groups: F.TieGroups) -> F.UserSum:
        return F.auc_by_user(groups)


class MRR(UserMetric):
    """Mean reciprocal rank of each user's first positive; see :func:`functional.mrr`."""

    @override
    def measure(self, groups: F.TieGroups) -> F.UserSum:
        return F.mrr_by_user(groups)


class NDCG(UserMetric):
    """Mean NDCG of each user's labeled rows; see :func:`functional.ndcg`.

    Args:
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1.
    """

    def __init__(self, k: int = 10) -> None:
        super().__init__()
        F.check_cutoff(k)
        self.k = k

    @override
    def measure(self, groups: F.TieGroups) -> F.UserSum:
        return F.ndcg_by_user(groups, self.k)


class HARM(UserMetric):
    """Mean (hits - misses / 2) / k of each user's best rows; see :func:`functional.harm`.

    Args:
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1.
    """

    def __init__(self, k: int = 10) -> None:
        super().__init__()
        F.check_cutoff(k)
        self.k = k

    @override
    def measure(self, groups: F.TieGroups) -> F.UserSum:
        return F.harm_by_user(groups, self.k)


class LabeledMetrics(RowMetric):
    """All metrics of labeled rows, from one sort.

    Args:
        k: Number of ranks that count in NDCG and HARM.

    Attributes:
        num_skipped: Users without a positive or without a negative, counted by the latest
            ``compute()``.

    Raises:
        ValueError: If ``k`` is below 1.
    """

    higher_is_better = None
    num_skipped: int = 0

    def __init__(self, k: int = 10) -> None:
        super().__init__()
        F.check_cutoff(k)
        self.k = k

    @override
    def compute(self) -> dict[str, Tensor]:
        """Returns ``auc``, ``gauc``, ``ndcg@k``, ``mrr``, ``harm@k`` and ``log_loss``.

        Each is a float64 scalar; nan where a class, or a user with both, is missing. So is the log
        loss of one class alone, which a constant would bring to 0.

        Raises:
            ValueError: If a score is nan or a label is neither 0 nor 1.
        """
        scores, labels, users = self._rows()
        ranked = F.rank_rows(scores, labels, users)
        group_auc = F.auc_by_user(ranked.by_user)
        self.num_skipped = int(group_auc.num_skipped)
        overall = F.auc_by_user(ranked.overall).mean
        return {
            "auc": overall,
            "gauc": group_auc.mean,
            f"ndcg@{self.k}": F.ndcg_by_user(ranked.by_user, self.k).mean,
            "mrr": F.mrr_by_user(ranked.by_user).mean,
            f"harm@{self.k}": F.harm_by_user(ranked.by_user, self.k).mean,
            "log_loss": torch.where(overall.isnan(), overall, F.log_loss(scores, labels)),
        }
