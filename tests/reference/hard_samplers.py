"""Naive oracles of the samplers that choose among candidates: all tuples, loops, float64."""

import itertools
import math

import numpy as np


def pool_distribution(free, num_items, size, choose):
    """(I,) probability of an item that ``choose`` picks from ``size`` uniform draws from ``free``.

    ``choose`` takes the tuple of candidates and returns a list of (position, probability).
    """
    table = np.zeros(num_items)
    for pool in itertools.product(free, repeat=size):
        for position, probability in choose(pool):
            table[pool[position]] += probability / len(free) ** size
    return table


def descending(pool, scores):
    """Positions of a pool, the highest scored first."""
    return sorted(range(len(pool)), key=lambda position: -scores[pool[position]])


def highest(scores, top):
    """DNS(M, N): one of the ``top`` highest scored candidates."""
    return lambda pool: [(position, 1 / top) for position in descending(pool, scores)[:top]]


def geometric_rank(scores, rank_share):
    """AOBPR: rank r with probability proportional to exp(-r / (rank_share * N))."""

    def choose(pool):
        weights = [math.exp(-rank / (rank_share * len(pool))) for rank in range(len(pool))]
        order = descending(pool, scores)
        return [(p, w / sum(weights)) for p, w in zip(order, weights, strict=True)]

    return choose


def nearest(scores, positive_score, alpha, beta, power):
    """AHNS: the candidate whose score is nearest to beta (s + alpha) ** (power + 1)."""

    def choose(pool):
        base = positive_score + alpha
        if base <= 0:
            return [(descending(pool, scores)[0], 1.0)]
        target = beta * base ** (power + 1)
        return [(min(range(len(pool)), key=lambda p: abs(scores[pool[p]] - target)), 1.0)]

    return choose


def least_risk(scores, positive_score, counts, weight, num_candidates):
    """BNS: the candidate of least risk; the rest of the pool estimates the distribution F."""

    def risk(item, references):
        not_above = sum(scores[other] <= scores[item] for other in references)
        share = (not_above + 0.5) / (len(references) + 1)
        prior = counts[item] / sum(counts)
        unbias = (1 - share) * (1 - prior) / (1 - share - prior + 2 * share * prior)
        info = 1 - 1 / (1 + math.exp(-(positive_score - scores[item])))
        return info * (1 - unbias) - weight * unbias * info

    def choose(pool):
        risks = [risk(item, pool[num_candidates:]) for item in pool[:num_candidates]]
        return [(risks.index(min(risks)), 1.0)]

    return choose


def in_batch(known, user, items, num_tries):
    """(I,) the first unknown of ``num_tries`` rows of the batch, else uniform over the unknown."""
    unknown = [item for item in items if not known[user, item]]
    none = (1 - len(unknown) / len(items)) ** num_tries
    table = none * ~known[user] / (~known[user]).sum()
    for item in unknown:
        table[item] += (1 - none) / len(unknown)
    return table


def robust_choice(memory, history, scores, positive_score, alpha, epoch, warmup):
    """SRNS: the item of largest sigmoid(s_uk - s_ui) + alpha min(1, t / T0) std_k.

    ``history[k]`` lists the scores of the k-th item in the last epochs, the newest among them.
    """

    def squash(score):
        return 1 / (1 + math.exp(positive_score - score))

    best, chosen = -math.inf, None
    for item, past in zip(memory, history, strict=True):
        values = [squash(score) for score in past]
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        value = squash(scores[item]) + alpha * min(1.0, epoch / warmup) * deviation
        if value > best:
            best, chosen = value, item
    return chosen


def renewed_memories(memory, free, scores, num_fresh, temperature):
    """SRNS: probability of each next memory, a sorted tuple, over all draws of fresh items."""
    table = {}
    for fresh in itertools.product(free, repeat=num_fresh):
        pool = sorted({*memory, *fresh})
        weights = {item: math.exp(scores[item] / temperature) for item in pool}
        for kept in itertools.permutations(pool, len(memory)):
            probability, rest = 1 / len(free) ** num_fresh, sum(weights.values())
            for item in kept:
                probability *= weights[item] / rest
                rest -= weights[item]
            key = tuple(sorted(kept))
            table[key] = table.get(key, 0.0) + probability
    return table


def softmax(logits):
    """Probabilities."""
    exponentials = [math.exp(logit) for logit in logits]
    return [value / sum(exponentials) for value in exponentials]


def policy_distribution(free, negatives, num_items, size, logits, temperature):
    """RNS: (I,) a draw from the policy over uniform items and one true negative, if there is any.

    ``logits[j]`` are those of the generator for the user.
    """
    table = np.zeros(num_items)
    pools = [
        (*pool, last)
        for pool in itertools.product(free, repeat=size - 1)
        for last in negatives or free
    ]
    for pool in pools:
        policy = softmax([logits[item] / temperature for item in pool])
        for item, probability in zip(pool, policy, strict=True):
            table[item] += probability / len(pools)
    return table


def policy_loss(user_factors, item_factors, users, candidates, columns, advantages, temperature):
    """RNS: sum of -advantage * log policy(column)."""
    total = 0.0
    for row, user in enumerate(users):
        logits = [user_factors[user] @ item_factors[item] / temperature for item in candidates[row]]
        policy = softmax(logits)
        for column, advantage in zip(columns[row], advantages[row], strict=True):
            total -= advantage * math.log(policy[column])
    return total


def numerical_gradient(function, table, step=1e-6):
    """Central differences of a function of a float64 table, entry by entry."""
    gradient = np.zeros_like(table)
    for place in np.ndindex(*table.shape):
        upper, lower = table.copy(), table.copy()
        upper[place] += step
        lower[place] -= step
        gradient[place] = (function(upper) - function(lower)) / (2 * step)
    return gradient


def positive_distribution(positives, num_items, size, scores, negative_score, temperature):
    """PLD: (I,) one of ``size`` uniform positives, by softmax(-softplus(s_j - s_i) / t)."""

    def choose(pool):
        losses = [math.log1p(math.exp(negative_score - scores[item])) for item in pool]
        return list(enumerate(softmax([-loss / temperature for loss in losses])))

    return pool_distribution(positives, num_items, size, choose)
