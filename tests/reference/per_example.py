"""Per-example decisions from one gradient per row, the way nobody would run them."""

import torch


def per_row_gradients(network, losses):
    """``(M, P)`` gradient of every row's loss, one backward pass each."""
    rows = []
    for loss in losses:
        grads = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in grads]))
    return torch.stack(rows)


def step(network, unlabeled_losses, labeled_loss, kind, inner_lr):
    """Moves the network by plain gradient descent on its weighted rows.

    Args:
        network: Moved in place.
        unlabeled_losses: Function of the network: ``(M,)`` losses.
        labeled_loss: Function of the network: a scalar.
        kind: ``sign`` or ``reweight``.
        inner_lr: Length of the step.

    Returns:
        The weights of the rows.
    """
    risk = torch.autograd.grad(labeled_loss(network), list(network.parameters()))
    risk = torch.cat([g.flatten() for g in risk])
    gradients = per_row_gradients(network, unlabeled_losses(network))
    inner_products = [float((g * risk).sum()) for g in gradients]
    if kind == "sign":
        weights = [(a > 0) - (a < 0) for a in inner_products]
    else:
        positive = [max(a, 0.0) for a in inner_products]
        total = sum(positive)
        weights = [len(positive) * a / total if total else 0.0 for a in positive]
    direction = sum(w * g for w, g in zip(weights, gradients, strict=True)) / len(weights)
    position = 0
    with torch.no_grad():
        for p in network.parameters():
            p -= inner_lr * direction[position : position + p.numel()].view_as(p)
            position += p.numel()
    return weights
