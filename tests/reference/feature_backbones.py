"""CML, factorization machines and DeepFM in float64, one pair at a time, from the formulas."""

import numpy as np


def cml(p, q, margin):
    """Margin less the squared distance of two points, each pulled into the unit ball."""
    p, q = (x / max(1.0, np.sqrt(sum(v * v for v in x))) for x in (p, q))
    return margin - sum((a - b) ** 2 for a, b in zip(p, q, strict=True))


def _active(state, values, user, item):
    """(value, weight, factor) of every feature that is not zero: two ids and the side features."""
    found = []
    for side, row in (("users", user), ("items", item)):
        found.append(
            (1.0, state[f"{side}.id_weights.weight"][row, 0], state[f"{side}.ids.weight"][row])
        )
        for j, value in enumerate(values[side][row]):
            weight = state[f"{side}.feature_weights.weight"][0, j]
            found.append((value, weight, state[f"{side}.features.weight"][:, j]))
    return found


def factorization_machine(state, values, user, item):
    """Bias, weights and all products of two features (Rendle, equation 1), by a double loop."""
    found = _active(state, values, user, item)
    logit = state["bias"][0] + sum(x * w for x, w, _ in found)
    for i, (x, _, v) in enumerate(found):
        for y, _, w in found[i + 1 :]:
            logit += x * y * (v @ w)
    return logit


def deepfm(state, values, user, item):
    """The machine plus layers over the sums of factors of the user and of the item."""
    sums = []
    for side, row in (("users", user), ("items", item)):
        vector = state[f"{side}.ids.weight"][row].copy()
        for j, value in enumerate(values[side][row]):
            vector += value * state[f"{side}.features.weight"][:, j]
        sums.append(vector)
    hidden = state["user_half.weight"] @ sums[0] + state["item_half.weight"] @ sums[1]
    hidden = np.maximum(hidden + state["user_half.bias"], 0)
    for name in [n for n in state if n.startswith("layers") and n.endswith("weight")]:
        hidden = np.maximum(state[name] @ hidden + state[name.replace("weight", "bias")], 0)
    deep = state["output.weight"][0] @ hidden + state["output.bias"][0]
    return factorization_machine(state, values, user, item) + deep
