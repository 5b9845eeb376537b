"""Metrics of the ranking of all unseen items, kept as sums over users."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.metrics import functional as F
from invlightning.metrics.base import ExactMetric

Formula = Callable[[Tensor, Tensor, int], F.UserSum]


class RankingMetric(ExactMetric):
    """Sums formulas over users, at each cut-off.

    Args:
        formulas: Functions of ``(hits, num_targets, k)``.
        ks: Numbers of ranks that count.

    Attributes:
        num_skipped: Users without targets, counted by the latest ``compute()``.

    Raises:
        ValueError: If ``ks`` is empty or one of them is below 1.
    """

    higher_is_better: bool | None = True
    num_skipped: int = 0

    def __init__(self, formulas: Sequence[Formula], ks: Sequence[int]) -> None:
        super().__init__()
        if not ks:
            raise ValueError("ks is empty: pass at least one number of ranks, such as [20].")
        for k in ks:
            F.check_cutoff(k)
        self.formulas = tuple(formulas)
        self.ks = tuple(ks)
        # A MetricCollection merges metrics whose states have equal names and, after the first
        # batch, equal values, as all of these have if nothing was hit: hence a name of its own.
        self._sums = "_".join([type(self).__name__, *map(str, ks)])
        default = torch.zeros(len(formulas) * len(ks), 3, dtype=torch.float64)
        self.add_state(self._sums, default, dist_reduce_fx="sum")

    @override
    def update(self, hits: Tensor, num_targets: Tensor) -> None:
        """Adds users, each of whom comes once.

        Args:
            hits: ``(B, K)`` bool, True where the item at this rank, best first, is a target. K may
                be below a cut-off only where the catalogue is.
            num_targets: ``(B,)`` held-out targets of each user.

        Raises:
            ValueError: If shapes do not match or hits are not bool.
        """
        parts = [formula(hits, num_targets, k) for formula in self.formulas for k in self.ks]
        rows = [torch.stack([field.double() for field in part]) for part in parts]
        setattr(self, self._sums, getattr(self, self._sums) + torch.stack(rows))

    def _means(self) -> Tensor:
        sums: Tensor = getattr(self, self._sums)
        total, num_users, num_skipped = sums.unbind(1)
        self.num_skipped = int(num_skipped[0])
        return total / num_users


class _SingleMetric(RankingMetric):
    @override
    def compute(self) -> Tensor:
        return self._means()[0]


class Recall(_SingleMetric):
    """Mean share of each user's targets among the first k items; see :func:`functional.recall`.

    Args:
        k: Number of ranks that count.

    Attributes:
        num_skipped: Users without targets, counted by the latest ``compute()``.

    Raises:
        ValueError: If ``k`` is below 1.
    """

    def __init__(self, k: int = 20) -> None:
        super().__init__([F.recall], [k])


class RankingNDCG(_SingleMetric):
    """Mean binary NDCG of the first k items; see :func:`functional.ranking_ndcg`.

    Args:
        k: Number of ranks that count.

    Attributes:
        num_skipped: Users without targets, counted by the latest ``compute()``.

    Raises:
        ValueError: If ``k`` is below 1.
    """

    def __init__(self, k: int = 20) -> None:
        super().__init__([F.ranking_ndcg], [k])


class RankingMRR(_SingleMetric):
    """Mean reciprocal rank of the first hit within k items; see :func:`functional.ranking_mrr`.

    Args:
        k: Number of ranks that count.

    Attributes:
        num_skipped: Users without targets, counted by the latest ``compute()``.

    Raises:
        ValueError: If ``k`` is below 1.
    """

    def __init__(self, k: int = 20) -> None:
        super().__init__([F.ranking_mrr], [k])


class HitRate(_SingleMetric):
    """Share of users with a target among the first k items; see :func:`functional.hit_rate`.

    Args:
        k: Number of ranks that count.

    Attributes:
        num_skipped: Users without targets, counted by the latest ``compute()``.

    Raises:
        ValueError: If ``k`` is below 1.
    """

    def __init__(self, k: int = 20) -> None:
        super().__init__([F.hit_rate], [k])


class RankingMetrics(RankingMetric):
    """Recall, NDCG, hit rate and MRR of full rankings, at one or several cut-offs.

    Args:
        ks: Numbers of ranks that count.

    Attributes:
        num_skipped: Users without targets, counted by the latest ``compute()``.

    Raises:
        ValueError: If ``ks`` is empty or one of them is below 1.
    """

    higher_is_better = None  # a dict has no single answer

    def __init__(self, ks: Sequence[int] = (20,)) -> None:
        super().__init__([F.recall, F.ranking_ndcg, F.hit_rate, F.ranking_mrr], ks)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Returns ``recall@k``, ``full_ndcg@k``, ``hit_rate@k`` and ``full_mrr@k`` for each k.

        Each is a float64 scalar; nan if no user has targets.
        """
        kinds = ("recall", "full_ndcg", "hit_rate", "full_mrr")
        names = [f"{kind}@{k}" for kind in kinds for k in self.ks]
        return dict(zip(names, self._means(), strict=True))
