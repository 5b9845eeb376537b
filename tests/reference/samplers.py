"""Naive oracles of the samplers and loaders: dense tables, Python loops, float64."""

import numpy as np


def unlabeled_distribution(known, weights):
    """(U, I) probability of each item for each user; rows without an unlabeled item are 0."""
    table = np.zeros(known.shape)
    for user in range(known.shape[0]):
        for item in range(known.shape[1]):
            if not known[user, item]:
                table[user, item] = weights[item]
        if table[user].sum() > 0:
            table[user] /= table[user].sum()
    return table


def popularity_weights(known, beta):
    """(I,) count ** beta with 0 ** 0 = 1."""
    return np.array([float(sum(column)) ** beta for column in known.T.tolist()])


def chi_square(counts, probabilities):
    """Pearson's statistic and its degrees of freedom over the cells of positive probability."""
    expected = probabilities * counts.sum()
    cells = probabilities > 0
    assert counts[~cells].sum() == 0
    return ((counts - expected)[cells] ** 2 / expected[cells]).sum(), int(cells.sum()) - 1


def ranking_batches(users, kinds, batch_size, rank, world_size):
    """Lists (user, set of items of each kind) for each user of each batch of a rank."""
    own = [user for user in users if user % world_size == rank]
    batches = [own[start : start + batch_size] for start in range(0, len(own), batch_size)]
    lists = [
        [(user, *({i for u, i in pairs if u == user} for pairs in kinds)) for user in batch]
        for batch in batches
    ]
    return lists
