"""SASRec."""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.layers.sequence import SequenceBackbone


class CausalBlock(nn.Module):
    """Self-attention to what came before, then a layer for each position.

    Kang and McAuley, ICDM 2018, equations 2 to 6: each part g acts as x + dropout(g(norm(x))).

    Args:
        width: Width d of the states.
        num_heads: Number of attention heads; divides the width.
        dropout: Probability that an entry is dropped in training.
    """

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention = nn.Linear(width, 3 * width, bias=False)
        self.layers = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )
        self.dropout = nn.Dropout(dropout)

    @override
    def forward(self, states: Tensor) -> Tensor:
        """Maps states ``(n, T, d)`` to states of the same shape; T is the order of time."""
        states = states + self.dropout(self._attend(self.norms[0](states)))
        result: Tensor = states + self.dropout(self.layers(self.norms[1](states)))
        return result

    def _attend(self, states: Tensor) -> Tensor:
        n, length, width = states.shape
        shape = (n, length, 3, self.num_heads, width // self.num_heads)
        heads = self.attention(states).view(shape).transpose(1, 3)
        query, key, value = heads.unbind(2)
        # Written out: the fused kernels have no forward-mode and no second derivatives.
        affinity = query @ key.mT / math.sqrt(query.shape[-1])
        later = torch.ones(length, length, dtype=torch.bool, device=states.device).triu(1)
        weights = self.dropout(affinity.masked_fill(later, -torch.inf).softmax(-1))
        mixed: Tensor = (weights @ value).transpose(1, 2).reshape(n, length, width)
        return mixed


class SASRec(SequenceBackbone):
    """SASRec: self-attention reads the history.

    Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018, section III. The
    states start from the item embeddings times the root of their length, plus an embedding of the
    position counted from the latest item back; after ``num_blocks`` blocks and a last norm, the
    state of the latest item is the vector of the user. Items are scored by the embeddings that are
    read. Departures: a learned state stands before the first item, for an empty history; every
    training pair has a forward pass over its own history, as pairs come one by one; the losses are
    those of this package. Embeddings start at N(0, 0.02^2), layers are Xavier-uniform, biases and
    the learned state start at 0. See
    :class:`SequenceBackbone` for histories in training and evaluation; needs timestamps.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length of the item embeddings and of all states.
        num_blocks: Number of blocks.
        num_heads: Number of attention heads; divides ``embedding_dim``.
        max_len: Items that a history has at most.
        dropout: Probability that an entry is dropped in training. The paper has 0.5 for its
            sparse data sets, 0.2 for MovieLens-1M.

    Raises:
        ValueError: If a size is below one, ``num_heads`` does not divide ``embedding_dim``, or
            ``dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int = 50,
        num_blocks: int = 2,
        num_heads: int = 1,
        max_len: int = 50,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(num_users, num_items, embedding_dim, max_len, std=0.02)
        if min(num_blocks, num_heads) < 1 or embedding_dim % num_heads:
            raise ValueError(
                f"num_blocks is {num_blocks} and num_heads {num_heads}, expected at least 1, with "
                f"num_heads a divisor of embedding_dim {embedding_dim}."
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}, expected at least 0 and less than 1.")
        self.start = nn.Parameter(torch.zeros(embedding_dim))
        self.positions = nn.Parameter(torch.empty(max_len + 1, embedding_dim).normal_(0, 0.02))
        self.dropout = nn.Dropout(dropout)
        blocks = [CausalBlock(embedding_dim, num_heads, dropout) for _ in range(num_blocks)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(embedding_dim)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @override
    def encode(self, items: Tensor, lengths: Tensor) -> Tensor:
        n, length = items.shape
        embeddings = self.items(items) * math.sqrt(self.items.embedding_dim)
        states = torch.cat((self.start.expand(n, 1, -1), embeddings), 1)
        steps = torch.arange(length + 1, device=items.device)
        age = (lengths.unsqueeze(1) - steps).clamp(min=0)
        states = self.blocks(self.dropout(states + self.positions[age]))
        # What stands behind the latest item is later, so no state before has seen it.
        latest = states[torch.arange(n, device=items.device), lengths]
        vectors: Tensor = self.norm(latest)
        return vectors
