"""Losses in Python floats, from the quotient form of the formulas, row by row."""

import math


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def cross_entropy(logits, labels):
    """Mean of -log p for positives and -log(1 - p) for negatives."""
    rows = [softplus(-s) if y else softplus(s) for s, y in zip(logits, labels, strict=True)]
    return sum(rows) / len(rows)


def dual_weight(logit, temperature=2.0, shift=0.0):
    """Weight of the positive label: a / (a + b) with a = L- / L+ and b = L+ / L-.

    That is the published form, temperature 2; in general the odds a / b are (L- / L+) to the power
    of the temperature, times exp(shift).
    """
    ratio = softplus(logit) / softplus(-logit)
    if temperature == 2 and shift == 0:
        return ratio / (ratio + 1 / ratio)
    return sigmoid(temperature * math.log(ratio) + shift)


def prior_shift(logits, prior, temperature=2.0):
    """Shift of the log-odds that gives the weights the mean ``prior``, by bisection."""
    low, high = -2000.0, 2000.0
    for _ in range(200):
        middle = (low + high) / 2
        mean = sum(dual_weight(s, temperature, middle) for s in logits) / len(logits)
        low, high = (middle, high) if mean < prior else (low, middle)
    return (low + high) / 2


def dual_loss(logit, temperature=2.0, shift=0.0):
    """Inverse Dual Loss of one pair."""
    weight = dual_weight(logit, temperature, shift)
    return weight * softplus(-logit) + (1 - weight) * softplus(logit)


def dual_gradient(logit, temperature=2.0, shift=0.0):
    """Derivative of the Inverse Dual Loss with the weight held constant, by the product rule."""
    weight = dual_weight(logit, temperature, shift)
    return -weight * sigmoid(-logit) + (1 - weight) * sigmoid(logit)
