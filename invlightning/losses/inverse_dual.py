"""Inverse Dual Loss."""

from torch import Tensor
from typing_extensions import override

from invlightning.losses.functional import inverse_dual_weights
from invlightning.losses.pseudo_label import Prior, PseudoLabelLoss


class InverseDualLoss(PseudoLabelLoss):
    """Lets the model annotate unlabeled pairs by their losses towards both labels.

    Each pair gets the soft label w+ of :func:`~invlightning.losses.functional.inverse_dual_weights`
    and cross entropy towards it; the likely label is pushed and the unlikely one held back (Lin et
    al., WSDM 2024, arXiv 2311.08302).

    Nothing in the formula anchors the share of positives: the labeled rows decide where the
    annotations drift. With labeled positives alone every pair ends as a positive, so such data
    needs a ``prior``; with labeled negatives too, a prior near the true share still helps, and a
    later ``start_epoch`` or a smaller ``weight`` lets the labeled rows speak first.

    Args:
        weight: Weight of this loss relative to the labeled loss. Both are means over their rows,
            so with K unlabeled items beside every labeled row, ``weight=K`` gives an unlabeled row
            the weight of a labeled one.
        start_epoch: First epoch, from 0, in which the loss counts; before it the loss is 0.
        temperature: Sharpness of the annotations; 2 is the published form.
        prior: Share of positives that the annotations of a batch have in the mean, strictly between
            0 and 1. ``labeled`` takes the share among the labeled training rows, which is right
            only where unlabeled pairs are alike; None leaves the annotations as they are.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        weight: float = 1.0,
        start_epoch: int = 0,
        temperature: float = 2.0,
        prior: Prior = None,
    ) -> None:
        super().__init__(weight, start_epoch, prior)
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected more than 0, usually 2.")
        self.temperature = temperature

    @override
    def weights(self, logits: Tensor) -> Tensor:
        return inverse_dual_weights(logits, self.temperature, self.estimated_prior())
