"""Contract of the samplers of unlabeled items."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from invlightning.data.known_pairs import KnownPairs
from invlightning.specs import Specified
from invlightning.types import LabeledBatch, TrainingFacts

Scorer = Callable[[Tensor, Tensor], Tensor]


class Draw(NamedTuple):
    """What is to be drawn for a batch, and what with.

    Attributes:
        num_unlabeled: Items to draw for each row, K.
        generator: The only source of randomness, on the device of the batch.
        score: Scores pairs with the model as it is now, without a graph: ``score(users, items)``
            with shapes that broadcast.
        epoch: Epoch of training, counted from 0.
    """

    num_unlabeled: int
    generator: torch.Generator
    score: Scorer
    epoch: int


class NegativeSampler(Specified, nn.Module, ABC):
    """Draws, for each user, items that no known pair of that user holds.

    A sampler learns the known pairs once and is then drawn from on the device of its tables.
    Subclasses extend :meth:`prepare`, whose tables are registered as non-persistent buffers so that
    ``.to(device)`` moves them and checkpoints stay small.

    Attributes:
        num_users: Number of users U; 0 before :meth:`start_fit`.
        num_items: Number of items I; 0 before :meth:`start_fit`.
        has_saturated_users: True if some user has no item left to draw. Only then does
            :meth:`sample` return entries of -1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_users = 0
        self.num_items = 0
        self.has_saturated_users = False

    def start_fit(self, facts: TrainingFacts) -> None:
        """Learns what must never be drawn: the pairs of the training rows.

        Args:
            facts: The training rows.
        """
        self.prepare(KnownPairs.from_facts(facts), facts)

    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Extended by samplers that prepare tables; called by :meth:`start_fit`.

        Args:
            known: The known pairs, which are never drawn.
            facts: The training rows they come from, with labels.
        """
        self.num_users, self.num_items = known.num_users, known.num_items
        self.has_saturated_users = bool((known.indptr.diff() >= known.num_items).any())

    def draw(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        """Draws the unlabeled items of a training batch; what the data module calls.

        Samplers that look at more than the users override it: at the labeled items, at scores of
        the model, at the epoch.

        Args:
            batch: Labeled rows ``(B,)``.
            draw: What to draw, and what with.

        Returns:
            ``(B, K)`` int64 items, as :meth:`sample`.
        """
        return self.sample(batch.users, draw.num_unlabeled, draw.generator)

    @abstractmethod
    def sample(self, users: Tensor, num_unlabeled: int, generator: torch.Generator) -> Tensor:
        """Draws items, independently and with replacement.

        Args:
            users: ``(B,)`` user indices on the device of the sampler.
            num_unlabeled: Items to draw for each row, K.
            generator: The only source of randomness, on the device of ``users``.

        Returns:
            ``(B, K)`` int64 items; -1 throughout the row of a user with no item left to draw.

        Raises:
            RuntimeError: If the sampler knows no pairs yet.
            ValueError: If K is below 1 or above the number of items.
        """

    def check_request(self, num_unlabeled: int) -> None:
        """Raises the errors promised by :meth:`sample`; call it first there.

        Args:
            num_unlabeled: Items to draw for each row, K.

        Raises:
            RuntimeError: If the sampler knows no pairs yet.
            ValueError: If K is below 1 or above the number of items.
        """
        if not self.num_items:
            raise RuntimeError(
                f"{type(self).__name__} knows no pairs yet: call start_fit(TrainingFacts(...)) "
                "before sample()."
            )
        if num_unlabeled < 1:
            raise ValueError(f"num_unlabeled must be at least 1, found {num_unlabeled}.")
        if num_unlabeled > self.num_items:
            raise ValueError(
                f"more candidates than items: num_unlabeled is {num_unlabeled} but the catalogue "
                f"has {self.num_items} items; lower num_unlabeled."
            )


def draw_below(bounds: Tensor, num_draws: int, generator: torch.Generator) -> Tensor:
    """Draws integers from ``0 .. bound-1``, a row for each bound.

    63 random bits are reduced modulo the bound: a value's probability is off by a factor of at
    most 1 + bound / 2**63, that is 1 + 3e-10 for bounds up to 2**31 and 1 + 2e-7 up to 2**40.

    Args:
        bounds: ``(B,)`` int64; bounds below 1 are taken as 1, which draws 0.
        num_draws: Draws for each bound, K.
        generator: Source of randomness on the device of ``bounds``.

    Returns:
        ``(B, K)`` int64.
    """
    shape = (bounds.numel(), num_draws)
    bits = torch.randint(2**63 - 1, shape, generator=generator, device=bounds.device)
    return bits.remainder_(bounds.clamp(min=1).unsqueeze(1))
