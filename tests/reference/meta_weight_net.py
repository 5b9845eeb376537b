"""Meta-Weight-Net by differentiating through the virtual step, one gradient a row.

Written from algorithm 1 of Shu et al. 2019; slow on purpose, and shares nothing with the package.
"""

import torch
from torch import nn
from torch.func import functional_call


def weight_network(values, hidden):
    """The network with its weights and biases read from one vector, layer after layer."""
    network = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())
    network = network.double()
    with torch.no_grad():
        position = 0
        for p in network.parameters():
            p.copy_(values[position : position + p.numel()].view_as(p))
            position += p.numel()
    assert position == len(values)
    return network


def adam(network, lr=1e-3, weight_decay=1e-4):
    return torch.optim.Adam(network.parameters(), lr=lr, weight_decay=weight_decay)


def weighted_step(parameters, weights, row_gradients, inner_lr):
    """``theta - a / M sum_i w_i grad l_i``, name by name."""
    moved = {}
    for name, p in parameters.items():
        total = sum(w * g[name] for w, g in zip(weights, row_gradients, strict=True))
        moved[name] = p - inner_lr * total / len(row_gradients)
    return moved


def step(network, unlabeled_losses, labeled_loss, weight_net, optimizer, inner_lr):
    """One step of plain gradient descent with the learned weights, in place.

    Args:
        network: Moved in place.
        unlabeled_losses: Function of a callable like the network: ``(M,)`` losses.
        labeled_loss: Function of a callable like the network: a scalar.
        weight_net: Maps ``(M, 1)`` losses to weights; trained in place.
        optimizer: Of ``weight_net``.
        inner_lr: Length of the virtual and of the real step.

    Returns:
        The new weights of the rows.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    losses = unlabeled_losses(network)
    row_gradients = []
    for loss in losses:
        found = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        row_gradients.append(dict(zip(parameters, found, strict=True)))
    inputs = losses.detach().unsqueeze(1)
    virtual = weighted_step(parameters, weight_net(inputs).squeeze(1), row_gradients, inner_lr)
    risk = labeled_loss(lambda *args: functional_call(network, virtual, args))
    optimizer.zero_grad()
    risk.backward()
    optimizer.step()
    with torch.no_grad():
        weights = weight_net(inputs).squeeze(1)
        moved = weighted_step(parameters, weights, row_gradients, inner_lr)
        for name, p in network.named_parameters():
            p.copy_(moved[name])
    return weights
