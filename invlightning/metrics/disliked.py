"""How many of the items that a user turned out to dislike are recommended."""

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import override

from invlightning.metrics import functional as F
from invlightning.metrics.ranking import RankingMetric


class Disliked(RankingMetric):
    """Mean share of each user's held-out dislikes among the first k items; the lower, the better.

    It is the recall of true negatives (see :func:`functional.recall`), so a ranking of everything
    has 1 and a random one k out of the number of unseen items. Users without held-out dislikes are
    skipped. A ready module updates it with the dislikes in place of the targets.

    Args:
        ks: Numbers of ranks that count.

    Attributes:
        num_skipped: Users without dislikes, counted by the latest ``compute()``.

    Raises:
        ValueError: If ``ks`` is empty or one of them is below 1.
    """

    higher_is_better = False

    def __init__(self, ks: Sequence[int] = (20,)) -> None:
        super().__init__([F.recall], ks)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Returns ``disliked@k`` for each k, a float64 scalar; nan if nobody has dislikes."""
        names = [f"disliked@{k}" for k in self.ks]
        return dict(zip(names, self._means(), strict=True))
