"""Backbones in float64, one pair and one unit at a time, from the formulas of the papers.

``state`` maps the names of the parameters to float64 numpy arrays.
"""


def inner(left, right):
    return sum(float(x) * float(y) for x, y in zip(left, right, strict=True))


def biased_mf(state, user, item):
    return (
        float(state["bias"][0])
        + float(state["user_bias.weight"][user, 0])
        + float(state["item_bias.weight"][item, 0])
        + inner(state["users.weight"][user], state["items.weight"][item])
    )


def gmf_features(state, user, item):
    p, q = state["factors.users.weight"][user], state["factors.items.weight"][item]
    return [float(x) * float(y) for x, y in zip(p, q, strict=True)]


def mlp_features(state, user, item):
    """Concatenation, then linear and ReLU layer by layer, in the order of the state."""
    hidden = [*state["tower.users.weight"][user], *state["tower.items.weight"][item]]
    layers = [name for name in state if name.startswith("tower.") and name.endswith("bias")]
    for bias in layers:
        weight = state[bias.replace("bias", "weight")]
        hidden = [
            max(0.0, inner(row, hidden) + float(b))
            for row, b in zip(weight, state[bias], strict=True)
        ]
    return hidden


def output(state, features):
    return inner(state["output.weight"][0], features) + float(state["output.bias"][0])


def gmf(state, user, item):
    return output(state, gmf_features(state, user, item))


def mlp(state, user, item):
    return output(state, mlp_features(state, user, item))


def neumf(state, user, item):
    features = [*gmf_features(state, user, item), *mlp_features(state, user, item)]
    return output(state, features)
