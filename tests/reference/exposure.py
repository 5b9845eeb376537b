"""Exposure matrix factorization in float64, one pair at a time (Liang et al., 2016)."""

import numpy as np


def density(x, mean, precision):
    return np.sqrt(precision / (2 * np.pi)) * np.exp(-precision / 2 * (x - mean) ** 2)


def exposed(label, prediction, mu, precision):
    """Posterior of exposure, by Bayes' rule; a labeled pair is known to be exposed."""
    if label >= 0:
        return 1.0
    seen = mu * density(0.0, prediction, precision)
    return seen / (seen + 1 - mu)


def iteration(labels, users, items, mu, regularization, precision):
    """One round: users, then items, then exposures."""
    num_users, num_items = labels.shape
    users, items = users.copy(), items.copy()
    for own, other, at in (
        (users, items, lambda row, column: (row, column)),
        (items, users, lambda row, column: (column, row)),
    ):
        for row in range(len(own)):
            gram, side = regularization * np.eye(own.shape[1]), np.zeros(own.shape[1])
            for column in range(len(other)):
                u, i = at(row, column)
                a = exposed(labels[u, i], own[row] @ other[column], mu[i], precision)
                gram += precision * a * np.outer(other[column], other[column])
                side += precision * a * max(labels[u, i], 0) * other[column]
            own[row] = np.linalg.solve(gram, side)
    new = np.empty_like(mu)
    for i in range(num_items):
        total = sum(
            exposed(labels[u, i], users[u] @ items[i], mu[i], precision) for u in range(num_users)
        )
        new[i] = total / num_users  # the mode under a flat beta prior
    return users, items, new


def log_posterior(labels, users, items, mu, regularization, precision):
    """Logarithm of the density of the parameters and the labels, up to a constant."""
    value = -regularization / 2 * ((users**2).sum() + (items**2).sum())
    for (u, i), label in np.ndenumerate(labels):
        chance = mu[i] * density(max(label, 0), users[u] @ items[i], precision)
        value += np.log(chance if label >= 0 else chance + 1 - mu[i])
    return value
