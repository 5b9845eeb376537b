"""Contract of the samplers of unlabeled items."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from invlightning.data.known_pairs import KnownPairs
from invlightning.specs import Specified
from invlightning.types import LabeledBatch

Scorer = Callable[[Tensor, Tensor], Tensor]


class NegativeSampler(Specified, nn.Module, ABC):
    """Draws, for each user, items that no known pair of that user holds.

    A sampler is fitted once to the known pairs and then drawn from on the device of its tables.
    Subclasses extend :meth:`fit` to prepare tables, registered as non-persistent buffers so that
    ``.to(device)`` moves them and checkpoints stay small.

    Attributes:
        num_users: Number of users U; 0 before :meth:`fit`.
        num_items: Number of items I; 0 before :meth:`fit`.
        has_saturated_users: True if some user has no item left to draw. Only then does
            :meth:`sample` return entries of -1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_users = 0
        self.num_items = 0
        self.has_saturated_users = False

    def fit(self, known: KnownPairs) -> None:
        """Learns what must never be drawn. Extend it to prepare tables.

        Args:
            known: The known pairs.
        """
        self.num_users, self.num_items = known.num_users, known.num_items
        self.has_saturated_users = bool((known.indptr.diff() >= known.num_items).any())

    def fit_negatives(self, negatives: KnownPairs) -> None:
        """Called after :meth:`fit`, for samplers that use true negatives.

        Args:
            negatives: The labeled negatives among the known pairs.
        """

    def draw(
        self,
        batch: LabeledBatch,
        num_unlabeled: int,
        generator: torch.Generator,
        score: Scorer,
        epoch: int,
    ) -> Tensor:
        """Draws the unlabeled items of a training batch; what the data module calls.

        Samplers that look at more than the users override it: at the labeled items, at scores of
        the model, at the epoch.

        Args:
            batch: Labeled rows ``(B,)``.
            num_unlabeled: Items to draw for each row, K.
            generator: The only source of randomness, on the device of the batch.
            score: Scores pairs with the model as it is now, without a graph:
                ``score(users, items)`` with shapes that broadcast.
            epoch: Epoch of training, counted from 0.

        Returns:
            ``(B, K)`` int64 items, as :meth:`sample`.
        """
        return self.sample(batch.users, num_unlabeled, generator)

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
            RuntimeError: If the sampler was not fitted.
            ValueError: If K is below 1 or above the number of items.
        """

    def check_request(self, num_unlabeled: int) -> None:
        """Raises the errors promised by :meth:`sample`; call it first there.

        Args:
            num_unlabeled: Items to draw for each row, K.

        Raises:
            RuntimeError: If the sampler was not fitted.
            ValueError: If K is below 1 or above the number of items.
        """
        if not self.num_items:
            raise RuntimeError(
                f"{type(self).__name__} knows no pairs yet: call fit(KnownPairs.from_pairs(...)) "
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
