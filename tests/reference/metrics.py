"""Naive metrics in pure Python, from their definitions."""

from itertools import permutations, product
from math import log2, nan
from statistics import fmean


def split_users(scores, labels, users):
    """Rows of each user, as {user: (scores, labels)}."""
    rows = {}
    for score, label, user in zip(scores, labels, users, strict=True):
        own_scores, own_labels = rows.setdefault(user, ([], []))
        own_scores.append(score)
        own_labels.append(label)
    return rows


def mean_over_users(metric, scores, labels, users):
    """Mean of metric(scores, labels) over users with both classes, and the number of others."""
    lists = split_users(scores, labels, users).values()
    values = [metric(*rows) for rows in lists if set(rows[1]) == {0, 1}]
    return (fmean(values) if values else nan), len(lists) - len(values)


def auc(scores, labels):
    """Share of (positive, negative) pairs in order, one pair after the other."""
    positives = [s for s, y in zip(scores, labels, strict=True) if y == 1]
    negatives = [s for s, y in zip(scores, labels, strict=True) if y == 0]
    if not positives or not negatives:
        return nan
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives]
    return fmean(wins)


def expected(metric):
    """The mean of metric(labels, best first) over every order of rows with equal scores."""

    def over_tie_orders(scores, labels):
        groups = [
            [y for s, y in zip(scores, labels, strict=True) if s == score]
            for score in sorted(set(scores), reverse=True)
        ]
        orders = product(*(permutations(group) for group in groups))
        return fmean(metric([y for group in order for y in group]) for order in orders)

    return over_tie_orders


def dcg(labels, k):
    return sum((2**y - 1) / log2(rank + 1) for rank, y in enumerate(labels[:k], start=1))


def ndcg(k):
    return expected(lambda labels: dcg(labels, k) / dcg(sorted(labels, reverse=True), k))


def harm(k):
    return expected(lambda labels: sum(1.0 if y == 1 else -0.5 for y in labels[:k]) / k)


mrr = expected(lambda labels: 1 / (labels.index(1) + 1))


def rank_unseen(scores, seen, k):
    """Items of one user, best first and lowest index first; -1 pads where too few are unseen."""
    unseen = [item for item in range(len(scores)) if item not in seen]
    ranked = sorted(unseen, key=lambda item: (-scores[item], item))
    length = min(k, len(scores))
    return (ranked + [-1] * length)[:length]


def full_ranking(ranked, targets, k):
    """Recall, NDCG, hit rate and MRR at k of one user, from ranked items and the set of targets."""
    hits = [int(item in targets) for item in ranked[:k]]
    ideal = [1] * len(targets)
    first = next((1 / rank for rank, hit in enumerate(hits, start=1) if hit), 0.0)
    return sum(hits) / len(targets), dcg(hits, k) / dcg(ideal, k), float(any(hits)), first
