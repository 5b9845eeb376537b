"""Losses of the compared methods in Python floats, row by row, from the formulas.

Lists of (logit, label) for rows; ``drawn`` lists the scores of the unlabeled items of a row.
"""

import math

from tests.reference.losses import sigmoid, softplus


def likelihood(logit, label):
    return sigmoid(logit) if label else sigmoid(-logit)


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def truncated(rows, drop_rate):
    """Sorted by loss times label, the rows kept are the first of them, but all negatives."""
    losses = sorted(
        (softplus(-s) if y else 0.0, softplus(-s) if y else softplus(s)) for s, y in rows
    )
    positives = sum(y for _, y in rows)
    # Rounded, because 0.7 * 10 is a little more than 7 in binary.
    num_drop = min(math.ceil(round(drop_rate * len(rows), 9)), int(positives))
    return mean(loss for _, loss in losses[: len(losses) - num_drop])


def reweighted(rows, alpha):
    """Value, and the derivative in each logit with the weights held constant."""
    weights = [likelihood(s, y) ** alpha for s, y in rows]
    value = mean(-w * math.log(likelihood(s, y)) for w, (s, y) in zip(weights, rows, strict=True))
    slopes = [w * (sigmoid(s) - y) / len(rows) for w, (s, y) in zip(weights, rows, strict=True)]
    return value, slopes


def generalized(rows, q):
    return mean((1 - likelihood(s, y) ** q) / q for s, y in rows)


def symmetric(rows, alpha, beta, log_zero):
    """Both entropies as sums over the two classes."""
    total = 0.0
    for s, y in rows:
        p = [sigmoid(-s), sigmoid(s)]
        log_label = [0.0, log_zero] if y == 0 else [log_zero, 0.0]
        forward = -math.log(p[int(y)])
        reverse = -sum(p[k] * log_label[k] for k in range(2))
        total += alpha * forward + beta * reverse
    return total / len(rows)


def non_negative(positives, unlabeled, prior, beta, gamma, logistic):
    """Value, and the function of scores whose gradient the step follows, by algorithm 1."""

    def loss(z):
        return softplus(-z) if logistic else 1 / (1 + math.exp(z))

    def parts(pos, unl):
        toward = prior * mean(loss(s) for s in pos)
        away = mean(loss(-s) for s in unl) - prior * mean(loss(-s) for s in pos)
        return toward, away

    toward, away = parts(positives, unlabeled)
    if away >= -beta:
        return toward + away, lambda pos, unl: sum(parts(pos, unl))
    return toward - beta, lambda pos, unl: -gamma * parts(pos, unl)[1]


def relevance(rows, propensities, weight):
    top = bottom = 0.0
    for (s, y), t in zip(rows, propensities, strict=True):
        p = sigmoid(s)
        top += y / t * (1 - p) ** 2 + weight * (1 - y / t) * p**2
        bottom += y + weight * (1 - y)
    return top / bottom


def popularity(items, labels, num_items, clip):
    counts = [
        sum(1 for i, y in zip(items, labels, strict=True) if i == j and y == 1)
        for j in range(num_items)
    ]
    return [max(math.sqrt(n / max(counts)), clip) for n in counts]


def ranking(positive, drawn):
    return mean(-math.log(sigmoid(positive - s)) for s in drawn)


def softmax(positive, others):
    """Cross entropy of the positive over the whole catalogue."""
    return -math.log(math.exp(positive) / sum(math.exp(s) for s in [positive, *others]))


def sampled_softmax(positive, drawn, probabilities, temperature):
    others = mean(math.exp(s / temperature) / q for s, q in zip(drawn, probabilities, strict=True))
    own = math.exp(positive / temperature)
    return -math.log(own / (own + others))


def sampled_rejection(disliked, drawn, probabilities, temperature):
    others = mean(math.exp(s / temperature) / q for s, q in zip(drawn, probabilities, strict=True))
    own = math.exp(disliked / temperature)
    return -math.log(1 - own / (own + others))


def debiased(positive, drawn, prior, floor, temperature):
    own, count = math.exp(positive / temperature), len(drawn)
    sum_drawn = sum(math.exp(s / temperature) for s in drawn)
    negative = (sum_drawn - prior * count * own) / (1 - prior)
    negative = max(negative, count * math.exp(floor / temperature))
    return -math.log(own / (own + negative))
