"""What the samplers that look beyond the users have in common."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import Draw, NegativeSampler, Scorer
from invlightning.data.samplers.uniform import UniformSampler
from invlightning.types import LabeledBatch, TrainingFacts

# Pairs scored at a time: more spill the caches of a CPU, fewer repeat the propagation of a graph.
_BLOCK = 2**17


class HardSampler(NegativeSampler, ABC):
    """Draws with an eye on the model, on the batch or on what was drawn before.

    Candidates come from a :class:`UniformSampler`, so known pairs are excluded exactly. Before
    ``start_epoch``, and in :meth:`sample`, where there is no model to ask, draws are uniform.

    What such a sampler learns it keeps in persistent buffers, which the data module writes to
    checkpoints. Of several processes each learns from its own rows, and a checkpoint keeps what
    the first one learned.

    Args:
        start_epoch: First epoch, counted from 0, of draws that are not uniform.

    Raises:
        ValueError: If ``start_epoch`` is negative.
    """

    def __init__(self, start_epoch: int = 0) -> None:
        super().__init__()
        check_at_least("start_epoch", start_epoch, 0)
        self.start_epoch = start_epoch
        self.uniform = UniformSampler()

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares the uniform draws."""
        super().prepare(known, facts)
        self.uniform.prepare(known, facts)

    @override
    def sample(self, users: Tensor, num_unlabeled: int, generator: torch.Generator) -> Tensor:
        self.check_request(num_unlabeled)
        return self.uniform.sample(users, num_unlabeled, generator)

    @override
    def draw(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        """Draws uniformly before ``start_epoch``, then by :meth:`draw_hard`."""
        self.check_request(draw.num_unlabeled)
        if draw.epoch < self.start_epoch:
            return self.sample(batch.users, draw.num_unlabeled, draw.generator)
        return self.draw_hard(batch, draw)

    @abstractmethod
    def draw_hard(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        """Draws the items of a batch; arguments and result as :meth:`NegativeSampler.draw`."""

    def check_pool(self, size: int) -> None:
        """Checks in ``prepare`` that the catalogue can fill a pool.

        Args:
            size: Items of the pool of a row.

        Raises:
            ValueError: If the catalogue has fewer items.
        """
        if size > self.num_items:
            raise ValueError(
                f"more candidates than items: {type(self).__name__} compares {size} items a row "
                f"but the catalogue has {self.num_items}; give it smaller numbers."
            )


def score_blocks(score: Scorer, users: Tensor, items: Tensor) -> Tensor:
    """Scores many pairs, a block of rows at a time.

    Args:
        score: Scores pairs with the model, without a graph.
        users: ``(B,)`` or ``(B, 1)`` user indices.
        items: ``(B,)`` or ``(B, N)`` item indices; -1, where there is none, is read as 0.

    Returns:
        Float32 scores of the shape of ``items``.
    """
    rows = max(1, _BLOCK // items.shape[1:].numel())
    blocks = zip(torch.split(users, rows), torch.split(items.clamp(min=0), rows), strict=True)
    return torch.cat([score(*block).float() for block in blocks])


def check_at_least(name: str, value: float, minimum: float) -> None:
    """Checks an argument.

    Args:
        name: Name of the argument.
        value: What was given.
        minimum: Smallest allowed value.

    Raises:
        ValueError: If the value is smaller or not a number.
    """
    if not value >= minimum:
        raise ValueError(f"{name} must be at least {minimum}, found {value}.")


def check_positive(name: str, value: float) -> None:
    """Checks an argument.

    Args:
        name: Name of the argument.
        value: What was given.

    Raises:
        ValueError: If the value is not above 0.
    """
    if not value > 0:
        raise ValueError(f"{name} must be above 0, found {value}.")


def check_choice(num_unlabeled: int, name: str, size: int) -> None:
    """Checks that a row's items can be chosen from its pool.

    Args:
        num_unlabeled: Items to choose, K.
        name: Argument that sets the size of the pool.
        size: That size.

    Raises:
        ValueError: If K is larger.
    """
    if num_unlabeled > size:
        raise ValueError(
            f"num_unlabeled is {num_unlabeled} but {name} is {size}: raise {name} or lower "
            "num_unlabeled."
        )
