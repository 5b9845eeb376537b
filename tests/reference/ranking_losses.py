"""Ranking losses in Python floats, row by row, from the formulas."""

import math

from tests.reference.losses import softplus


def tanh(d):
    return math.tanh(d) + 1


def relu(d):
    return max(d + 1, 0.0)


def arctan(d):
    return max(math.atan(d) + 1, 0.0)


def pairwise_softmax(positive, drawn, probabilities, activation, temperature):
    """log of the positive's own 1 and the estimated sum over all others."""
    terms = [
        activation(s - positive) ** (1 / temperature) / q
        for s, q in zip(drawn, probabilities, strict=True)
    ]
    return math.log(1 + sum(terms) / len(terms))


def hardest_margin(positive, drawn, margin):
    return max(0.0, margin + max(drawn) - positive)


def lower_left(rows, alpha, beta):
    """Losses of rows (user, score, scores of drawn items), None where a row takes no part."""
    found = []
    for place, (user, score, drawn) in enumerate(rows):
        own = [(-s, n) for n, (u, s, others) in enumerate(rows) if u == user and others]
        best = sorted(own)[: math.ceil(alpha * len(own))]
        hardest = sorted(drawn, reverse=True)[: math.ceil(beta * len(drawn))]
        if (-score, place) in best and hardest:
            found.append(sum(softplus(s - score) for s in hardest) / len(hardest))
        else:
            found.append(None)
    return found
