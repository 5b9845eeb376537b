"""Inverse Gradient written from its algorithm: copies of the model, fresh optimizers, if and else.

Slow on purpose, and shares nothing with the package.
"""

import copy

import torch

RULES = {
    "adam": lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
}


def stepped_copy(model, gradients, rule, inner_lr):
    """A copy of the model after one step of a fresh optimizer along minus ``gradients``."""
    moved = copy.deepcopy(model)
    optimizer = RULES[rule](list(moved.parameters()), inner_lr)
    for parameter, gradient in zip(moved.parameters(), gradients, strict=True):
        parameter.grad = gradient.clone()
    optimizer.step()
    return moved


def inverse_gradient_step(model, unlabeled_loss, labeled_loss, rule, inner_lr):
    """One inner step in place.

    Args:
        model: Network whose parameters all receive gradients.
        unlabeled_loss: Function of a network.
        labeled_loss: Function of a network.
        rule: ``adam`` or ``sgd``.
        inner_lr: Length of the step.

    Returns:
        ``"direct"``, ``"inverse"`` or ``"none"``.
    """
    model.zero_grad()
    unlabeled_loss(model).backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    direct = stepped_copy(model, gradients, rule, inner_lr)
    inverse = stepped_copy(model, [-g for g in gradients], rule, inner_lr)
    with torch.no_grad():
        risk_direct = float(labeled_loss(direct))
        risk_none = float(labeled_loss(model))
        risk_inverse = float(labeled_loss(inverse))
    if risk_direct < risk_inverse and risk_direct < risk_none:
        chosen, name = direct, "direct"
    elif risk_inverse < risk_none:
        chosen, name = inverse, "inverse"
    else:
        chosen, name = model, "none"
    model.load_state_dict(copy.deepcopy(chosen.state_dict()))
    return name


def train(model, batches, unlabeled_loss, labeled_loss, rule, inner_lr, optimizer):
    """Inverse gradient steps, each followed by one step of the persistent optimizer.

    The losses are functions of ``(network, batch)``. Returns the list of choices.
    """
    choices = []
    for batch in batches:
        choices.append(
            inverse_gradient_step(
                model,
                lambda net, batch=batch: unlabeled_loss(net, batch),
                lambda net, batch=batch: labeled_loss(net, batch),
                rule,
                inner_lr,
            )
        )
        optimizer.zero_grad()
        labeled_loss(model, batch).backward()
        optimizer.step()
    return choices
