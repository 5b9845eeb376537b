"""Each user's true positives against that user's true negatives."""

from torch import Tensor
from torch.nn import functional as F

from invlightning.losses.functional.reduction import Reduction, as_float, reduce


def labeled_pairwise_loss(
    logits: Tensor, labels: Tensor, users: Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Mean of softplus(s_j - s_i) over all pairs of a positive i and a negative j of the same user.

    A smooth form of one minus the area under the curve within users. Source: Rendle et al., UAI
    2009, arXiv 1205.2618, section 4, with true negatives in place of pairs that never met. Time
    and memory grow with the square of the number of rows.

    Args:
        logits: ``(B,)`` scores.
        labels: ``(B,)`` 0 or 1.
        users: ``(B,)`` user indices.
        reduction: ``mean`` over the pairs, ``sum``, or ``none``, which gives ``(B, B)`` with 0
            where row and column are no pair.

    Returns:
        The loss; float32 for half precision; 0 with zero gradients if no user has both.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> logits, labels = torch.tensor([2.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])
        >>> users = torch.tensor([0, 0, 1])
        >>> labeled_pairwise_loss(logits, labels, users)
        tensor(0.3133)
    """
    scores = as_float(logits)
    positive = labels > 0.5
    compared = (users.unsqueeze(1) == users) & positive.unsqueeze(1) & ~positive
    return reduce(F.softplus(scores - scores.unsqueeze(1)), reduction, compared)
