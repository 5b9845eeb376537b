"""In-batch sampling: the items of other rows."""

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.samplers.base import Draw
from invlightning.data.samplers.hard import HardSampler, check_at_least
from invlightning.types import LabeledBatch, TrainingFacts


class InBatchSampler(HardSampler):
    """Draws among the items of the batch that the user has no known pair with.

    An item thus comes up in proportion to its labeled rows, as in training with in-batch softmax
    (Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations",
    RecSys 2019). For each of its K items a row looks at ``num_tries`` uniformly drawn rows of the
    batch and takes the first item its user does not know. If all are known, the item is a uniform
    draw from the catalogue. So with a share q of the rows known to the user, an item is with
    probability 1 - q ** num_tries uniform over the other rows.

    Cost: K * num_tries binary searches a row, no score. State: none.

    Args:
        num_tries: Rows of the batch that are looked at for each item, at most.

    Raises:
        ValueError: If ``num_tries`` is below 1.
    """

    keys: Tensor

    def __init__(self, num_tries: int = 8) -> None:
        super().__init__()
        check_at_least("num_tries", num_tries, 1)
        self.num_tries = num_tries

    @override
    def prepare(self, known: KnownPairs, facts: TrainingFacts) -> None:
        """Prepares the look-up of known pairs."""
        super().prepare(known, facts)
        # A last key above all others, so that every search ends at a key.
        end = torch.tensor([known.num_users * known.num_items])
        self.register_buffer("keys", torch.cat([known.keys, end]), persistent=False)

    @override
    def draw_hard(self, batch: LabeledBatch, draw: Draw) -> Tensor:
        shape = (len(batch.items), draw.num_unlabeled, self.num_tries)
        rows = torch.randint(shape[0], shape, generator=draw.generator, device=batch.items.device)
        items = batch.items[rows]
        wanted = batch.users.view(-1, 1, 1) * self.num_items + items
        unknown = self.keys[torch.searchsorted(self.keys, wanted)] != wanted
        first = unknown.int().argmax(dim=2, keepdim=True)
        chosen = items.gather(2, first).squeeze(2)
        fallback = self.sample(batch.users, draw.num_unlabeled, draw.generator)
        return torch.where(unknown.any(dim=2), chosen, fallback)
