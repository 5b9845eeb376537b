"""Weights of rows by a small network of their losses, trained by the labeled risk."""

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.inverse.decisions import Decision, StepRecord
from invlightning.inverse.directions import sgd
from invlightning.inverse.per_example import follow, rows_of, weighted_loss

if TYPE_CHECKING:
    from invlightning.inverse.step import InnerStep

BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam


class NetState(NamedTuple):
    """A network of one hidden layer and its Adam state; all of it in four tensors.

    Attributes:
        values: ``(3 H + 1,)`` weights and biases of the hidden layer, weights and bias of the last.
        means: ``(3 H + 1,)`` running means of the gradients.
        squares: ``(3 H + 1,)`` running means of their squares.
        steps: ``()`` steps taken.
    """

    values: Tensor
    means: Tensor
    squares: Tensor
    steps: Tensor


class MetaWeightNet(Decision):
    r"""Learns how much an unlabeled row counts from its loss, by what lowers the labeled risk.

    A network V with one hidden layer maps the loss of a row to its weight in (0, 1). Each step

    1. tries plain gradient descent on the weighted mean loss of the M unlabeled rows,
       :math:`\theta' = \theta - a \nabla \frac{1}{M} \sum_i w_i l_i`, with a = ``inner_lr``;
    2. takes one Adam step on V along the gradient of the labeled risk there, which by the chain
       rule is :math:`\sum_i \frac{-a}{M} \langle \nabla R(\theta'), \nabla l_i(\theta) \rangle
       \nabla w_i`;
    3. goes back and takes the real step with the new weights, along the module's ``direction``.

    Point 2 is exact, not an approximation: the trial is linear in the weights. All the inner
    products are one forward-mode pass, so there is no gradient of a single row, no graph through
    the update and no copy of the model. A step costs one forward-mode, three forward and three
    backward passes. The trial is plain gradient descent whatever the ``direction`` of the module
    is, as in the paper: the rules ``adam`` and ``sign`` forget the size of a gradient, so almost
    everywhere the risk after them does not depend on the weights. For the same reason
    ``direction: sgd`` suits the real step; ``inner_lr`` is then a learning rate of SGD, larger
    than one that suits ``adam``. The labeled rows of the batch are the meta data, and the network
    sees losses as they are, without normalization over a batch.

    The network is no part of the module: no optimizer of the module moves it, it follows the
    module to its device and precision, and checkpoints hold it. All processes start from the same
    values and average its gradient. A step that overflows changes neither it nor the module.

    Reference: Shu et al., Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting,
    NeurIPS 2019, algorithm 1; defaults of the released code.

    Args:
        hidden: Width H of the hidden layer.
        lr: Learning rate of the network.
        weight_decay: L2 penalty of the network, added to its gradient.
        seed: Seed of its initial values.

    Raises:
        ValueError: If ``hidden`` is below 1, or a rate is negative.
    """

    looks_at_rows: ClassVar[bool] = True

    def __init__(
        self, hidden: int = 100, lr: float = 1e-3, weight_decay: float = 1e-4, seed: int = 0
    ) -> None:
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}.")
        if not (lr >= 0 and weight_decay >= 0):
            raise ValueError(
                f"lr and weight_decay must not be negative, got {lr} and {weight_decay}."
            )
        self.hidden, self.lr, self.weight_decay = hidden, lr, weight_decay
        # The uniform distributions of nn.Linear.
        bounds = torch.ones(3 * hidden + 1)
        bounds[2 * hidden :] = 1 / math.sqrt(hidden)
        drawn = torch.rand(len(bounds), generator=torch.Generator().manual_seed(seed))
        zeros = torch.zeros_like(bounds)
        self._net = NetState((2 * drawn - 1) * bounds, zeros, zeros.clone(), torch.zeros(()))

    def weights(self, losses: Tensor) -> Tensor:
        """The weights that the network gives to rows.

        Args:
            losses: Losses of rows, any shape, on the device of the network.

        Returns:
            Weights in (0, 1), of that shape.
        """
        return self._weigh(self._net.values, losses)

    @override
    def decide(self, step: "InnerStep") -> StepRecord:
        rows = rows_of(step, self)
        net = self._net = NetState(*(part.to(step.device, step.dtype) for part in self._net))
        logits = rows.logits()
        losses, slopes = rows.losses(logits).to(step.dtype), rows.slopes(logits)
        weights = self._weigh(net.values, losses)
        step.propose(weighted_loss(logits, slopes, weights), sgd)
        step.settle(torch.full((), -step.inner_lr, dtype=step.dtype, device=step.device))
        risk, gradients = step.risk_gradients()
        step.settle(torch.zeros((), dtype=step.dtype, device=step.device))
        alignments = slopes * rows.tangent(step.parameters, gradients)
        effects = alignments * (-step.inner_lr / max(alignments.numel(), 1))
        learned = self._learn(net, step.agree(self._gradient(net.values, losses, effects)))
        logits = rows.logits()  # the edits in between made the first graph useless
        record = follow(step, logits, slopes, self._weigh(learned.values, losses), risk)
        # Only now, so that a step that fails half-way leaves the network as it was.
        for new, old in zip(learned, net, strict=True):  # in place, as a captured step needs it
            old.copy_(torch.where(step.is_finite, new, old))
        return record

    @override
    def state_dict(self) -> dict[str, Any]:
        """The network and its Adam state."""
        return {name: part.clone() for name, part in self._net._asdict().items()}

    @override
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` returned.

        Raises:
            ValueError: If it is not that of a network of this width.
        """
        if state.keys() != self._net._asdict().keys() or len(state["values"]) != len(
            self._net.values
        ):
            raise ValueError(
                f"the checkpoint does not hold a MetaWeightNet(hidden={self.hidden}): go on with "
                "the decision it was trained with."
            )
        self._net = NetState(**{name: part.clone() for name, part in state.items()})

    def _weigh(self, values: Tensor, losses: Tensor) -> Tensor:
        """Weights of losses by a network with these values."""
        width = self.hidden
        slope, offset, last, bias = torch.split(values, [width, width, width, 1])
        hidden = torch.relu(losses.unsqueeze(-1) * slope + offset)
        # A product of matrices would be taken in float16 under autocast, which losses may exceed.
        return torch.sigmoid((hidden * last).sum(-1) + bias)

    def _gradient(self, values: Tensor, losses: Tensor, effects: Tensor) -> Tensor:
        """Gradient of the labeled risk in the network, from its derivatives in the weights."""
        with torch.enable_grad():
            leaf = values.detach().requires_grad_()
            [gradient] = torch.autograd.grad(self._weigh(leaf, losses), leaf, effects)
        return gradient

    def _learn(self, net: NetState, gradient: Tensor) -> NetState:
        """One step of Adam with an L2 penalty."""
        gradient = gradient + self.weight_decay * net.values
        steps = net.steps + 1
        means = net.means.lerp(gradient, 1 - BETAS[0])
        squares = net.squares.lerp(gradient.square(), 1 - BETAS[1])
        mean, square = means / (1 - BETAS[0] ** steps), squares / (1 - BETAS[1] ** steps)
        values = net.values - self.lr * mean / (square.sqrt() + EPSILON)
        return NetState(values, means, squares, steps)
