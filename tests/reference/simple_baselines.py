"""The baselines without gradients, in float64 (EASE: Steck, 2019; ItemKNN: Deshpande, 2004)."""

import numpy as np


def ease(liked, regularization):
    """Scores of all pairs, from the 0/1 matrix ``(U, I)``."""
    gram = liked.T @ liked + regularization * np.eye(liked.shape[1])
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return liked @ weights


def item_knn(liked, num_neighbors, shrinkage):
    """Scores of all pairs, one item and one neighbor at a time."""
    scores = np.zeros(liked.shape)
    for item, users in enumerate(liked.T):
        similar = []
        for other, others in enumerate(liked.T):
            norm = np.sqrt(users.sum() * others.sum()) + shrinkage
            cosine = (users * others).sum() / norm if norm > 0 and other != item else 0.0
            similar.append((-cosine, other))
        for cosine, other in sorted(similar)[:num_neighbors]:
            scores[:, item] -= cosine * liked[:, other]
    return scores


def ndcg(scores, seen, targets, k):
    """Mean binary NDCG of the first k unseen items, one user at a time; unique scores."""
    found = []
    for row, known, wanted in zip(scores, seen, targets, strict=True):
        if wanted.any():
            best = np.argsort(np.where(known > 0, np.inf, -row), kind="stable")[:k]
            discounts = 1 / np.log2(np.arange(2, k + 2))
            found.append((wanted[best] * discounts).sum() / discounts[: int(wanted.sum())].sum())
    return np.mean(found)
