"""Products and towers of embeddings, which matrix factorizations and neural networks share."""

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from invlightning.backbones.layers.embedding import embedding_table

# Floats of the widest hidden activation while a catalogue is scored: a processor is fastest when
# the block stays in its cache, an accelerator when the block is large.
_CPU_BLOCK_FLOATS = 2**18
_BLOCK_FLOATS = 2**24

USER, ITEM = 0, 1  # halves of the first layer of a tower


def output_layer(width: int) -> nn.Linear:
    """Makes the last layer, ``width`` features to one logit, in LeCun-uniform initialization."""
    layer = nn.Linear(width, 1)
    nn.init.kaiming_uniform_(layer.weight, a=1, nonlinearity="sigmoid")
    nn.init.zeros_(layer.bias)
    return layer


def item_blocks(half: Tensor, start: int, stop: int) -> tuple[Tensor, ...]:
    """Splits a range of items so that a hidden layer of all pairs with users stays small.

    Args:
        half: What the users give to the hidden layer, one row each.
        start: First item.
        stop: One past the last item.

    Returns:
        The items in blocks, in order.
    """
    floats = _CPU_BLOCK_FLOATS if half.device.type == "cpu" else _BLOCK_FLOATS
    block = max(1, floats // max(1, half.numel()))
    return torch.split(torch.arange(start, stop, device=half.device), block)


class FactorProduct(nn.Module):
    """Product of the user's and the item's embedding, entry by entry.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Length d of the embeddings.
        sparse: Whether the gradients of the tables hold the looked-up rows only.
    """

    def __init__(self, num_users: int, num_items: int, embedding_dim: int, sparse: bool) -> None:
        super().__init__()
        self.users = embedding_table(num_users, embedding_dim, sparse)
        self.items = embedding_table(num_items, embedding_dim, sparse)

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Returns features of the broadcast shape with d entries behind it."""
        product: Tensor = self.users(users) * self.items(items)
        return product

    def score_range(self, users: Tensor, start: int, stop: int, weight: Tensor) -> Tensor:
        """Returns the ``(B, stop - start)`` inner products of the features with ``weight``.

        Args:
            users: ``(B,)`` user indices.
            start: First item.
            stop: One past the last item.
            weight: ``(d,)`` or ``(1, d)`` weights of the features.
        """
        scores: Tensor = (self.users(users) * weight) @ self.items.weight[start:stop].T
        return scores


class Tower(nn.Module):
    """Fully connected layers over the user's and the item's embedding side by side.

    The embeddings have d 2^(n-1) entries each, and each of the n layers (dropout, linear, ReLU)
    halves the width down to d. The first layer, which has three quarters of the arithmetic, is
    linear in the pair: its user half and its item half are computed once each and added by
    broadcasting, so scoring many items of a user, or a catalogue, does not repeat them.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        embedding_dim: Width d of the last layer.
        num_layers: Number n of layers.
        dropout: Probability that an input of a layer is dropped in training. A user who is
            broadcast against several items has one mask for all of them in the first layer.
        sparse: Whether the gradients of the tables hold the looked-up rows only.

    Raises:
        ValueError: If ``num_layers`` is below one or ``dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        embedding_dim: int,
        num_layers: int,
        dropout: float,
        sparse: bool,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers is {num_layers}, but a tower needs at least 1.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}, expected at least 0 and less than 1.")
        width = embedding_dim * 2 ** (num_layers - 1)
        self.users = embedding_table(num_users, width, sparse)
        self.items = embedding_table(num_items, width, sparse)
        self.dropout = nn.Dropout(dropout)
        self.pair = _hidden_layer(2 * width, width)
        layers: list[nn.Module] = [nn.ReLU(inplace=True)]
        while width > embedding_dim:
            linear = _hidden_layer(width, width // 2)
            layers += [nn.Dropout(dropout), linear, nn.ReLU(inplace=True)]
            width //= 2
        self.layers = nn.Sequential(*layers)

    @override
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Returns features of the broadcast shape with d entries behind it."""
        user_half = self._half_of_rows(self.users, users, USER)
        item_half = self._half_of_rows(self.items, items, ITEM)
        features: Tensor = self.layers(user_half + item_half)
        return features

    def score_range(self, users: Tensor, start: int, stop: int, weight: Tensor) -> Tensor:
        """Returns the ``(B, stop - start)`` inner products of the features with ``weight``.

        The items are taken in blocks, so that memory does not grow with the catalogue.

        Args:
            users: ``(B,)`` user indices.
            start: First item.
            stop: One past the last item.
            weight: ``(d,)`` or ``(1, d)`` weights of the features.
        """
        half = self._half(self.users, users, USER).unsqueeze(1)
        column = weight.flatten()
        return torch.cat(
            [
                self.layers(half + self._half(self.items, items, ITEM)) @ column
                for items in item_blocks(half, start, stop)
            ],
            1,
        )

    def _half(self, table: nn.Embedding, indices: Tensor, side: int) -> Tensor:
        weight = self.pair.weight.chunk(2, dim=1)[side]
        bias = self.pair.bias if side == USER else None
        return nn.functional.linear(self.dropout(table(indices)), weight, bias)

    def _half_of_rows(self, table: nn.Embedding, indices: Tensor, side: int) -> Tensor:
        """As ``_half``, computed once for a user or an item that occurs in several rows."""
        drops = self.training and self.dropout.p > 0  # each row has a mask of its own
        # The number of distinct rows depends on the data: an accelerator would have to wait for
        # it, and a compiled graph would break at it.
        if drops or indices.device.type != "cpu" or torch.compiler.is_compiling():
            return self._half(table, indices, side)
        distinct, places = np.unique(indices.flatten().numpy(), return_inverse=True)
        half = self._half(table, torch.from_numpy(distinct), side)
        return nn.functional.embedding(torch.from_numpy(places).view(indices.shape), half)


def _hidden_layer(width_in: int, width_out: int) -> nn.Linear:
    layer = nn.Linear(width_in, width_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
