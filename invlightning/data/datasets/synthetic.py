"""Invented interactions whose truth is known for every pair."""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from invlightning.data.interactions import RawTable
from invlightning.data.module import ImplicitDataModule
from invlightning.data.reading.labels import MISSING

# As many scores as this give the threshold of the true positives; more would not move it.
_THRESHOLD_SCORES = 1_000_000
_EXPOSURE_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class Preferences:
    """Who likes what: the score of a pair is the product of its factors plus two biases.

    Args:
        user_factors: ``(U, D)``.
        item_factors: ``(I, D)``.
        user_biases: ``(U,)``.
        item_biases: ``(I,)``.
        threshold: Pairs with a higher score are true positives.
    """

    user_factors: Tensor
    item_factors: Tensor
    user_biases: Tensor
    item_biases: Tensor
    threshold: float = 0.0

    def scores(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs.

        Args:
            users: User indices on any device; broadcast against ``items``.
            items: Item indices.

        Returns:
            Float32 scores of the broadcast shape, on the device of ``users``.
        """
        device = users.device
        left, right = self.user_factors.to(device)[users], self.item_factors.to(device)[items]
        biases = self.user_biases.to(device)[users] + self.item_biases.to(device)[items]
        return (left * right).sum(-1) + biases

    def liked(self, users: Tensor, items: Tensor) -> Tensor:
        """True for pairs that are true positives, of the broadcast shape."""
        return self.scores(users, items) > self.threshold


def draw_preferences(
    num_users: int,
    num_items: int,
    latent_dim: int,
    positive_share: float,
    generator: torch.Generator,
) -> Preferences:
    """Draws normal factors and biases, of variance 1 in the product and 1/4 in each bias.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        latent_dim: Dimension D of the factors.
        positive_share: Share of all pairs that are true positives.
        generator: Source of randomness on the CPU.

    Returns:
        The preferences.
    """
    scale = latent_dim**-0.25
    drawn = Preferences(
        user_factors=scale * torch.randn(num_users, latent_dim, generator=generator),
        item_factors=scale * torch.randn(num_items, latent_dim, generator=generator),
        user_biases=0.5 * torch.randn(num_users, generator=generator),
        item_biases=0.5 * torch.randn(num_items, generator=generator),
    )
    # Users are alike in distribution, so the first ones stand for all.
    users = torch.arange(min(num_users, max(1, _THRESHOLD_SCORES // num_items)))
    scores = drawn.scores(users.unsqueeze(1), torch.arange(num_items)).flatten()
    rank = max(1, round((1 - positive_share) * scores.numel()))
    threshold = scores.kthvalue(rank).values.item()
    biases = (drawn.user_biases, drawn.item_biases)
    return Preferences(drawn.user_factors, drawn.item_factors, *biases, threshold)


def draw_exposure(
    num_users: int, num_items: int, per_user: int, exponent: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws the items each user gets to see, without repetition, popular ones more often.

    An item of popularity rank r has the weight ``r ** -exponent``. Keys of Gumbel noise plus the
    logarithm of the weight are ranked, which draws without replacement (Kool et al., ICML 2019,
    section 2). Time grows with U x I, memory does not.

    Args:
        num_users: Number of users U.
        num_items: Number of items I.
        per_user: Items n that a user sees.
        exponent: 0 makes all items equally popular.
        generator: Source of randomness on the CPU.

    Returns:
        Users and items, ``(U * n,)`` each.
    """
    ranks = torch.randperm(num_items, generator=generator) + 1
    log_weights = -exponent * ranks.log()
    step = max(1, _EXPOSURE_BLOCK // num_items)
    blocks = []
    for start in range(0, num_users, step):
        rows = min(step, num_users - start)
        noise = torch.empty(rows, num_items).exponential_(generator=generator)
        blocks.append((log_weights - noise.log()).topk(per_user, dim=1, sorted=False).indices)
    items = torch.cat(blocks).flatten()
    return torch.arange(num_users).repeat_interleave(per_user), items


@dataclass(eq=False, repr=False, kw_only=True)
class SyntheticDataModule(ImplicitDataModule):
    """Invented users with latent preferences, who see popular items more often than others.

    Whether a user likes an item is known for every pair; labels are this truth, flipped with the
    probability ``noise``. The defaults train in seconds and need no network. ``seed`` draws the
    data as well: another seed, another world.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        latent_dim: Dimension of the preferences; the more, the harder to learn.
        interactions_per_user: Labeled pairs of each user; sparsity is this by ``num_items``.
        exposed_per_user: Further pairs that each user sees and does not judge; fewer where they
            meet labeled ones or the catalogue ends.
        positive_share: Share of all pairs that are true positives, in (0, 1).
        popularity_exponent: How much more popular items are seen; 0 shows all alike.
        noise: Probability in [0, 0.5] that a label is wrong.

    Raises:
        ValueError: If an argument is out of its range.
    """

    num_users: int = 600
    num_items: int = 400
    latent_dim: int = 3
    interactions_per_user: int = 40
    exposed_per_user: int = 40
    positive_share: float = 0.3
    popularity_exponent: float = 0.7
    noise: float = 0.05

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        self._preferences: Preferences | None = None
        for name in ("num_users", "num_items"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}.")
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {self.latent_dim}.")
        if not 1 <= self.interactions_per_user <= self.num_items:
            raise ValueError(
                f"interactions_per_user must be from 1 to num_items ({self.num_items}), got "
                f"{self.interactions_per_user}."
            )
        if self.exposed_per_user < 0:
            raise ValueError(f"exposed_per_user must be at least 0, got {self.exposed_per_user}.")
        if not 0 < self.positive_share < 1:
            raise ValueError(f"positive_share must be in (0, 1), got {self.positive_share}.")
        if self.popularity_exponent < 0:
            raise ValueError(
                f"popularity_exponent must be at least 0, got {self.popularity_exponent}."
            )
        if not 0 <= self.noise <= 0.5:
            raise ValueError(f"noise must be in [0, 0.5], got {self.noise}.")

    @property
    def preferences(self) -> Preferences:
        """The latent preferences, drawn from ``seed`` when first asked for."""
        if self._preferences is None:
            self._preferences = draw_preferences(
                self.num_users,
                self.num_items,
                self.latent_dim,
                self.positive_share,
                torch.Generator().manual_seed(self.seed),
            )
        return self._preferences

    @override
    def read(self) -> RawTable:
        """Draws the interactions; the rows come in the order of their timestamps."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        users, items = draw_exposure(
            self.num_users,
            self.num_items,
            self.interactions_per_user,
            self.popularity_exponent,
            generator,
        )
        order = torch.randperm(len(users), generator=generator)
        users, items = users[order], items[order]
        flipped = torch.rand(len(users), generator=generator) < self.noise
        labels = (self.preferences.liked(users, items) ^ flipped).char()
        times = torch.arange(len(users))
        if self.exposed_per_user:
            exposed = self._expose(users * self.num_items + items)
            users = torch.cat([users, exposed // self.num_items])
            items = torch.cat([items, exposed % self.num_items])
            labels = torch.cat([labels, torch.full_like(exposed, MISSING, dtype=torch.int8)])
            generator = torch.Generator().manual_seed(self.seed + 3)
            times = torch.cat(
                [times, torch.randint(len(times), exposed.shape, generator=generator)]
            )
        return RawTable(
            users=users.numpy(),
            items=items.numpy(),
            labels=labels.numpy(),
            timestamps=times.numpy(),
            num_users=self.num_users,
            num_items=self.num_items,
        )

    def _expose(self, labeled: Tensor) -> Tensor:
        """Draws pairs, ``user * num_items + item``, that are none of the labeled ones."""
        users, items = draw_exposure(
            self.num_users,
            self.num_items,
            min(self.exposed_per_user, self.num_items),
            self.popularity_exponent,
            torch.Generator().manual_seed(self.seed + 2),
        )
        drawn = users * self.num_items + items
        return drawn[~torch.isin(drawn, labeled)]

    @override
    def truth(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether pairs are true positives, free of noise.

        Args:
            users: User indices, any shape.
            items: Item indices, broadcast against ``users``.

        Returns:
            Boolean tensor of the broadcast shape.
        """
        return self.preferences.liked(users, items)
