"""GRU4Rec."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.layers.sequence import SequenceBackbone


class GatedUnit(nn.Module):
    """Gated recurrent unit, Cho et al., EMNLP 2014, with the reset gate behind the product.

    Step by step: the fused kernels have no forward-mode and no second derivatives, and on an
    accelerator none at all in evaluation mode.

    Args:
        input_dim: Width d of the inputs.
        hidden_dim: Width h of the states.
    """

    def __init__(self, input_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(input_dim, 3 * hidden_dim)
        self.states = nn.Linear(hidden_dim, 3 * hidden_dim)

    @override
    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Reads sequences.

        Args:
            inputs: ``(n, L, d)`` inputs, in order.
            state: ``(n, h)`` state before the first.

        Returns:
            ``(n, L + 1, h)`` states: the one given, and that after each input.
        """
        states = [state]
        for step in self.inputs(inputs).unbind(1):
            reset, update, own = step.chunk(3, -1)
            past_reset, past_update, past = self.states(state).chunk(3, -1)
            candidate = torch.tanh(own + torch.sigmoid(reset + past_reset) * past)
            state = candidate + torch.sigmoid(update + past_update) * (state - candidate)
            states.append(state)
        return torch.stack(states, 1)


class GRU4Rec(SequenceBackbone):
    """GRU4Rec: a recurrent network reads the history.

    Hidasi et al., "Session-based recommendations with recurrent neural networks", ICLR 2016,
    section 3. The last state of a gated recurrent unit, through a linear layer, is the vector of
    the user; an empty history has a learned state. Items are scored by the embeddings that are
    read. Departures: the history of a user instead of a session, and the losses of this package.
    Embeddings start at N(0, 0.01^2), weights are Xavier-uniform, biases and the learned state
    start at 0. See :class:`SequenceBackbone` for histories in training and evaluation; needs
    timestamps.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length of the item embeddings.
        hidden_dim: Width of the recurrent state.
        max_len: Items that a history has at most.
        dropout: Probability that an entry of an embedding is dropped in training.

    Raises:
        ValueError: If a size is below one or ``dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 64,
        hidden_dim: int = 128,
        max_len: int = 50,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(num_users, num_items, embedding_dim, max_len)
        if hidden_dim < 1:
            raise ValueError(f"hidden_dim is {hidden_dim}, but a state needs at least 1.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}, expected at least 0 and less than 1.")
        self.dropout = nn.Dropout(dropout)
        self.start = nn.Parameter(torch.zeros(hidden_dim))
        self.unit = GatedUnit(embedding_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, embedding_dim)
        for linear in (self.unit.inputs, self.unit.states, self.output):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    @override
    def encode(self, items: Tensor, lengths: Tensor) -> Tensor:
        start = self.start.expand(len(items), -1)
        states = self.unit(self.dropout(self.items(items)), start)
        latest = states[torch.arange(len(items), device=items.device), lengths]
        vectors: Tensor = self.output(latest)
        return vectors
