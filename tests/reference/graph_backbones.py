"""LightGCN and DMF in float64 with dense matrices, from the equations of the papers."""

import numpy as np


def feedback(pairs, num_users, num_items):
    """The matrix R: 1 for a positive pair, else 0."""
    matrix = np.zeros((num_users, num_items))
    for user, item in pairs:
        matrix[user, item] = 1.0
    return matrix


def lightgcn(users, items, pairs, num_layers, temperature=None):
    """All logits: the mean of D^-1/2 A D^-1/2 applied 0 .. num_layers times (He et al., eq. 8)."""
    num_users, num_items = len(users), len(items)
    total = num_users + num_items
    adjacency = np.zeros((total, total))
    for user, item in pairs:
        adjacency[user, num_users + item] = adjacency[num_users + item, user] = 1.0
    degree = adjacency.sum(1)
    normalized = np.zeros_like(adjacency)
    for i in range(total):
        for j in range(total):
            if adjacency[i, j]:
                normalized[i, j] = 1 / np.sqrt(degree[i] * degree[j])
    layer = np.concatenate((users, items))
    layers = [layer]
    for _ in range(num_layers):
        layer = normalized @ layer
        layers.append(layer)
    vectors = sum(layers) / (num_layers + 1)
    if temperature is not None:
        vectors = vectors / np.sqrt((vectors**2).sum(1, keepdims=True))
    return vectors[:num_users] @ vectors[num_users:].T / (temperature or 1)


def _tower(row, table, layers):
    length = np.sqrt((row**2).sum())
    hidden = (row / length if length else row) @ table
    for weight, bias in layers:
        hidden = weight @ np.maximum(hidden, 0) + bias
    return hidden


def dmf(state, pairs, num_users, num_items, temperature=None):
    """All logits, one dense row and column at a time."""
    matrix = feedback(pairs, num_users, num_items)
    sides = []
    for rows, table, tower in ((matrix, "items", "user"), (matrix.T, "users", "item")):
        names = [n for n in state if n.startswith(f"{tower}_tower") and n.endswith("weight")]
        layers = [(state[n], state[n.replace("weight", "bias")]) for n in names]
        sides.append([_tower(row, state[f"{table}.weight"], layers) for row in rows])
    logits = np.empty((num_users, num_items))
    for u, p in enumerate(sides[0]):
        for i, q in enumerate(sides[1]):
            logits[u, i] = p @ q
            if temperature is not None:
                lengths = np.sqrt((p @ p) * (q @ q))  # zero has no direction
                logits[u, i] = logits[u, i] / lengths / temperature if lengths else 0.0
    return logits
