"""Exposure matrix factorization by expectation maximization."""

import math

import torch
from torch import Tensor

UNLABELED, POSITIVE = -1, 1  # labeled negatives are 0

# Entries of the dense matrices that are in memory at a time.
_BLOCK = 2**22


def exposure_posterior(predictions: Tensor, exposure: Tensor, precision: float) -> Tensor:
    """Probability of exposure where there was no consumption.

    Liang et al., WWW 2016, equation 3: mu N / (mu N + 1 - mu), with the density
    N = N(0; prediction, 1/precision) of not consuming in spite of exposure.

    Args:
        predictions: Predicted consumption given exposure.
        exposure: Prior probability mu in (0, 1); broadcast against ``predictions``.
        precision: Precision of consumption given exposure.

    Returns:
        Probabilities of the broadcast shape.
    """
    log_density = (math.log(precision / (2 * math.pi)) - precision * predictions.square()) / 2
    return torch.sigmoid(log_density + exposure.logit())


def fit_exposure_mf(
    labels: Tensor,
    users: Tensor,
    items: Tensor,
    num_iterations: int = 10,
    regularization: float = 1.0,
    precision: float = 1.0,
    exposure: float = 0.01,
) -> tuple[Tensor, Tensor, Tensor]:
    """Fits exposure matrix factorization, for small data: time grows with U I d^2.

    Liang et al., WWW 2016, section 3.3. An iteration updates the users, the items and the
    exposure in turn, each with the posterior of exposure at the current values, so the posterior
    density of the parameters never falls. The beta prior of the exposure is flat. Labeled
    negatives count as exposed with certainty.

    Args:
        labels: ``(U, I)`` 1 for positives, 0 for labeled negatives, -1 for all other pairs.
        users: ``(U, d)`` factors of users to start from, float64.
        items: ``(I, d)`` factors of items to start from, float64.
        num_iterations: Number of iterations.
        regularization: Precision of the factors under their prior N(0, 1/regularization).
        precision: Precision of consumption given exposure.
        exposure: Exposure of all items at the start.

    Returns:
        Factors of users ``(U, d)`` and items ``(I, d)``, and exposure of items ``(I,)``.
    """
    mu = torch.full((1, len(items)), exposure, dtype=items.dtype, device=items.device)
    for _ in range(num_iterations):
        users = _least_squares(labels, users, items, mu, regularization, precision)
        items = _least_squares(labels.T, items, users, mu.T, regularization, precision)
        mu = _exposures(labels, users, items, mu, precision)
    return users, items, mu[0]


def _blocks(labels: Tensor) -> list[slice]:
    rows, columns = labels.shape
    step = max(1, _BLOCK // columns)
    return [slice(start, start + step) for start in range(0, rows, step)]


def _exposed(labels: Tensor, predictions: Tensor, mu: Tensor, precision: float) -> Tensor:
    posterior = exposure_posterior(predictions, mu, precision)
    return torch.where(labels == UNLABELED, posterior, 1.0)


def _exposures(
    labels: Tensor, users: Tensor, items: Tensor, mu: Tensor, precision: float
) -> Tensor:
    """The most probable exposure ``(1, I)`` of the items: the mean posterior of their pairs."""
    total = torch.zeros_like(mu)
    for rows in _blocks(labels):
        total += _exposed(labels[rows], users[rows] @ items.T, mu, precision).sum(0)
    # Beyond these a logit would be infinite; an item that nobody has labeled comes close.
    return (total / len(users)).clamp(1e-12, 1 - 1e-12)


def _least_squares(
    labels: Tensor,
    own: Tensor,
    other: Tensor,
    mu: Tensor,
    regularization: float,
    precision: float,
) -> Tensor:
    """The best factors of the rows of ``labels``, given those of its columns."""
    dim = own.shape[1]
    squares = (other.unsqueeze(2) * other.unsqueeze(1)).flatten(1)
    ridge = regularization * torch.eye(dim, dtype=own.dtype, device=own.device)
    solved = torch.empty_like(own)
    for rows in _blocks(labels):
        row_mu = mu if len(mu) == 1 else mu[rows]
        exposed = _exposed(labels[rows], own[rows] @ other.T, row_mu, precision)
        grams = precision * (exposed @ squares).view(-1, dim, dim) + ridge
        sums = precision * ((labels[rows] == POSITIVE).to(own.dtype) @ other)
        solved[rows] = torch.linalg.solve(grams, sums)
    return solved
