"""Formulas of the losses, as functions of logits.

Notation: s is a logit, p = sigmoid(s), L+ = softplus(-s) = -log p is the loss towards the positive
label and L- = softplus(s) = -log(1 - p) the loss towards the negative one. Half precision is
computed and returned in float32, every other precision in its own. Losses take ``reduction``, of
which ``mean`` is the default.
"""

from invlightning.losses.functional.contrast import (
    bayesian_personalized_ranking,
    debiased_contrast,
    sampled_rejection,
    sampled_softmax,
)
from invlightning.losses.functional.cross_entropy import (
    cross_entropy,
    naive_negative_loss,
    reweighted_cross_entropy,
    truncated_cross_entropy,
)
from invlightning.losses.functional.hard_pairs import hardest_margin, lower_left_partial_auc
from invlightning.losses.functional.inverse_dual import (
    inverse_dual_loss,
    inverse_dual_weights,
    log_softplus,
)
from invlightning.losses.functional.pairwise import labeled_pairwise_loss
from invlightning.losses.functional.pairwise_softmax import (
    log_arctan_activation,
    log_relu_activation,
    log_tanh_activation,
    pairwise_softmax,
)
from invlightning.losses.functional.positive_unlabeled import non_negative_risk, relevance_risk
from invlightning.losses.functional.reduction import Reduction, as_float, mean_where, reduce
from invlightning.losses.functional.robust import (
    generalized_cross_entropy,
    symmetric_cross_entropy,
)

__all__ = [
    "Reduction",
    "as_float",
    "bayesian_personalized_ranking",
    "cross_entropy",
    "debiased_contrast",
    "generalized_cross_entropy",
    "hardest_margin",
    "inverse_dual_loss",
    "inverse_dual_weights",
    "labeled_pairwise_loss",
    "log_arctan_activation",
    "log_relu_activation",
    "log_softplus",
    "log_tanh_activation",
    "lower_left_partial_auc",
    "mean_where",
    "naive_negative_loss",
    "non_negative_risk",
    "pairwise_softmax",
    "reduce",
    "relevance_risk",
    "reweighted_cross_entropy",
    "sampled_rejection",
    "sampled_softmax",
    "symmetric_cross_entropy",
    "truncated_cross_entropy",
]
