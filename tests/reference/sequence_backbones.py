"""Histories, GRU4Rec and SASRec in float64, one row and one step at a time."""

import numpy as np


def tie(user, item, num_items):
    """What orders rows of equal time: SplitMix64's scrambling of the pair, in signed integers."""
    key = user * num_items + item
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = ((key ^ (key >> shift)) * factor) % 2**64
        key -= 2**64 if key >= 2**63 else 0
    return (key ^ (key >> 31)) & 0x7FFFFFFFFFFFFFFF


def history(rows, user, before=None, max_len=None):
    """Positive items of a user in order of time, before a row (its place in ``rows``).

    ``rows`` holds (time, user, item, label, tie); rows of equal time count in the order of ties.
    """
    order = sorted(range(len(rows)), key=lambda n: (rows[n][0], rows[n][4]))
    if before is not None:
        order = order[: order.index(before)]
    items = [rows[n][2] for n in order if rows[n][1] == user and rows[n][3] > 0]
    return items if max_len is None else items[max(0, len(items) - max_len) :]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru4rec(state, items):
    """The vector of a history: reset, update and candidate gates, item after item."""
    h = state["start"]
    width = len(h)
    for item in items:
        x = state["items.weight"][item]
        own = state["unit.inputs.weight"] @ x + state["unit.inputs.bias"]
        past = state["unit.states.weight"] @ h + state["unit.states.bias"]
        reset = sigmoid(own[:width] + past[:width])
        update = sigmoid(own[width : 2 * width] + past[width : 2 * width])
        candidate = np.tanh(own[2 * width :] + reset * past[2 * width :])
        h = (1 - update) * candidate + update * h
    return state["output.weight"] @ h + state["output.bias"]


def norm(x, weight, bias):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weight + bias


def sasrec(state, items, num_blocks, num_heads):
    """The vector of a history: every position attends to itself and to those before."""
    d = state["items.weight"].shape[1]
    inputs = [state["start"], *(np.sqrt(d) * state["items.weight"][item] for item in items)]
    last = len(items)
    x = [vector + state["positions"][last - k] for k, vector in enumerate(inputs)]
    for b in range(num_blocks):
        name = f"blocks.{b}."
        n = [norm(v, state[name + "norms.0.weight"], state[name + "norms.0.bias"]) for v in x]
        query, key, value = np.split(state[name + "attention.weight"], 3)
        mixed = []
        for k in range(len(x)):
            heads = []
            for rows in np.split(np.arange(d), num_heads):
                q = query[rows] @ n[k]
                scores = np.array([q @ (key[rows] @ n[j]) for j in range(k + 1)])
                scores = np.exp(scores / np.sqrt(len(rows)))
                weights = scores / scores.sum()
                heads.append(sum(w * (value[rows] @ n[j]) for j, w in enumerate(weights)))
            mixed.append(x[k] + np.concatenate(heads))
        x = []
        for v in mixed:
            hidden = norm(v, state[name + "norms.1.weight"], state[name + "norms.1.bias"])
            hidden = state[name + "layers.0.weight"] @ hidden + state[name + "layers.0.bias"]
            hidden = state[name + "layers.3.weight"] @ np.maximum(hidden, 0)
            x.append(v + hidden + state[name + "layers.3.bias"])
    return norm(x[-1], state["norm.weight"], state["norm.bias"])
