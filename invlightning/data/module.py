"""The base of all data modules: batches of labeled rows with unlabeled items beside them."""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from invlightning.data.evaluation_loaders import EvalLoader, RankingLoader
from invlightning.data.loader import ExposedEpochLoader, TrainLoader, with_exposed
from invlightning.data.resident_rows import resident
from invlightning.data.rows import TEST, VAL
from invlightning.data.rows_module import RowsDataModule
from invlightning.data.samplers import (
    Draw,
    NegativeSampler,
    PositiveResampler,
    UniformSampler,
)
from invlightning.evaluation_mode import evaluation_mode, fixed_parameters
from invlightning.types import ExposedRows, LabeledBatch, RankingBatch, TrainingFacts


class _Where(TypedDict):
    rank: int
    world_size: int
    shuffle: bool


@dataclass(eq=False, repr=False, kw_only=True)
class ImplicitDataModule(RowsDataModule, ABC):
    """Implicit feedback with labeled rows and drawn, unlabeled items beside them.

    A subclass says where the table comes from (:meth:`read`). Unlabeled items are drawn on the
    device, batch by batch.

    Args:
        num_unlabeled: Unlabeled items K drawn beside each labeled row, for the same user. 0 draws
            none.
        sampler: Draws the unlabeled items. None means ``UniformSampler()``.
        resampler: Exchanges the labeled positives of training batches for others of their users,
            to denoise them. None keeps them.
        num_exposed: Exposed rows beside each labeled row, where the data has some: rows that were
            seen and judged by nobody. 0 trains without them.
        epoch: What an epoch passes over once: the ``labeled`` rows, or the ``exposed`` rows with
            the labeled ones repeated, for data of which few rows are labeled.
        draw_exposed: Whether exposed pairs may be drawn like pairs that never met.
        exposed_seen: Whether exposed training rows count as seen, and are left out, where the
            catalogue is ranked.
        batch_size: Labeled rows B of a training batch, in each process.
        eval_batch_size: Labeled rows of an evaluation batch.
        ranking_batch_size: Users of a full-catalogue ranking batch.
        predict_users: Raw ids of the users to recommend to in ``predict``. None means everyone.
        allow_other_data: Whether a model may be evaluated, and its training go on, though it was
            trained on other rows, labels or another split than these.

    Raises:
        ValueError: If an argument is out of its range.
    """

    num_unlabeled: int = 1
    sampler: NegativeSampler | None = None
    resampler: PositiveResampler | None = None
    num_exposed: int = 1
    epoch: Literal["labeled", "exposed"] = "labeled"
    draw_exposed: bool = False
    exposed_seen: bool = True
    batch_size: int = 1024
    eval_batch_size: int = 8192
    ranking_batch_size: int = 256
    predict_users: list[int | str] | None = None
    allow_other_data: bool = False

    _later: ClassVar[frozenset[str]] = RowsDataModule._later | {
        "num_unlabeled",
        "sampler",
        "resampler",
        "num_exposed",
        "epoch",
        "draw_exposed",
        "exposed_seen",
        "batch_size",
        "eval_batch_size",
        "ranking_batch_size",
        "predict_users",
        "allow_other_data",
    }

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_unlabeled", "num_exposed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if self.epoch not in ("labeled", "exposed"):
            raise ValueError(f"epoch must be 'labeled' or 'exposed', got {self.epoch!r}.")
        if self.resampler is not None and self.num_unlabeled == 0:
            raise ValueError(
                "resampler compares with unlabeled items: num_unlabeled is 0, raise it."
            )
        for name in ("batch_size", "eval_batch_size", "ranking_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        self._generator: torch.Generator | None = None

    @override
    def setup(self, stage: str | None = None) -> None:
        """Reads, labels and splits the rows and fits the sampler, once for all stages."""
        if not hasattr(self, "active_sampler"):
            super().setup(stage)
            self._fit_sampler()

    def _fit_sampler(self) -> None:
        interactions = self.interactions
        if self.num_unlabeled > interactions.num_items:
            raise ValueError(
                f"num_unlabeled is {self.num_unlabeled}, but there are only "
                f"{interactions.num_items} items to draw from: lower num_unlabeled."
            )
        sampler = self.sampler if self.sampler is not None else UniformSampler()
        facts = self.training_facts()
        drawable = facts._replace(exposed_users=None, exposed_items=None)
        sampler.start_fit(drawable if self.draw_exposed else facts)
        if self.resampler is not None:
            self.resampler.start_fit(facts)
        self.active_sampler = sampler

    def training_facts(self) -> TrainingFacts:
        """What backbones, losses and samplers may know before training."""
        return self.rows.training_facts(*self.side_features())

    # ------------------------------------------------------------------------------ loaders

    @property
    def _shard(self) -> tuple[int, int]:
        """This share of the rows and the number of shares: one for each replica of the model."""
        # A model that is itself spread over processes (tensor parallel) is one replica.
        strategy = self.trainer.strategy if self.trainer else None
        shares = getattr(strategy, "distributed_sampler_kwargs", {"rank": 0, "num_replicas": 1})
        return shares["rank"], shares["num_replicas"]

    @override
    def train_dataloader(self) -> TrainLoader | ExposedEpochLoader:
        """Labeled rows, the supervised part, then the meta part, with exposed rows beside.

        With ``epoch="exposed"`` one pass over the exposed rows, and no parts.
        """
        rank, world_size = self._shard
        # overfit_batches means the same rows every epoch; Lightning cannot tell our loader so.
        overfit = self.trainer is not None and self.trainer.overfit_batches != 0  # type: ignore[attr-defined]
        where: _Where = {"rank": rank, "world_size": world_size, "shuffle": not overfit}
        labeled, exposed = resident(self.rows.labeled(), self.trainer), self._exposed()
        if self.epoch == "exposed":
            if exposed is None:
                raise ValueError(
                    "epoch='exposed' passes over exposed rows, but there are none to train on: use "
                    "epoch='labeled', num_exposed above 0, or data with rows that carry no label."
                )
            return ExposedEpochLoader(
                labeled, exposed, self.batch_size, self.num_exposed, self.seed, **where
            )
        meta = torch.from_numpy(self.rows.meta)
        return TrainLoader(
            labeled,
            meta,
            self.batch_size,
            self.seed,
            **where,
            exposed=exposed,
            num_exposed=self.num_exposed,
        )

    def _exposed(self) -> ExposedRows | None:
        rows = self.rows.exposed_rows
        if not (len(rows) and self.num_exposed):
            return None
        return resident(self.interactions.exposed(rows), self.trainer)

    @override
    def val_dataloader(self) -> list[EvalLoader | RankingLoader]:
        """Labeled validation rows, and users whose unseen items are to be ranked."""
        return self._evaluation_loaders(VAL, self.rows.seen(VAL, self.exposed_seen))

    @override
    def test_dataloader(self) -> list[EvalLoader | RankingLoader]:
        """As :meth:`val_dataloader`, with the test rows; validation rows count as seen."""
        return self._evaluation_loaders(TEST, self.rows.seen(TEST, self.exposed_seen))

    def _evaluation_loaders(
        self, part: int, seen: NDArray[np.bool_]
    ) -> list[EvalLoader | RankingLoader]:
        labeled = self.rows.labeled(part)
        if len(labeled.users) == 0:
            return []
        held_out, labels = self.rows.parts == part, self.interactions.labels
        return [
            EvalLoader(labeled, self.eval_batch_size, *self._shard),
            self._ranking_loader(
                torch.unique(labeled.users), seen, held_out & (labels > 0), held_out & (labels <= 0)
            ),
        ]

    @override
    def predict_dataloader(self) -> RankingLoader:
        """The users to recommend to, with everything they are known to have interacted with."""
        data = self.interactions
        if self.predict_users is None:
            users = np.arange(data.num_users)
        else:
            users = data.user_ids.encode(self.predict_users, name="user")
        nothing = np.zeros(len(data), dtype=bool)
        return self._ranking_loader(
            torch.from_numpy(users), self.rows.seen(TEST + 1, self.exposed_seen), nothing, nothing
        )

    def _ranking_loader(
        self,
        users: Tensor,
        seen: NDArray[np.bool_],
        targets: NDArray[np.bool_],
        disliked: NDArray[np.bool_],
    ) -> RankingLoader:
        pairs, size = self.interactions.pairs, self.ranking_batch_size
        rows = pairs(seen), pairs(targets), pairs(disliked)
        return RankingLoader(users, *rows, size, *self._shard)

    # --------------------------------------------------------------------- unlabeled items

    @override
    def on_after_batch_transfer(
        self, batch: LabeledBatch | RankingBatch, dataloader_idx: int
    ) -> LabeledBatch | RankingBatch:
        """Draws the unlabeled items of a training batch, on its device."""
        if self.trainer is None or not self.trainer.training or self.num_unlabeled == 0:
            return batch
        if not isinstance(batch, LabeledBatch):
            return batch
        with fixed_parameters(self.trainer.lightning_module):
            return self._with_draws(batch)

    def _with_draws(self, batch: LabeledBatch) -> LabeledBatch:
        model = self.trainer.lightning_module if self.trainer else None
        observed = with_exposed(batch) if getattr(model, "draws_beside_exposed", False) else batch
        items = self.draw_unlabeled(observed)
        items, beside = items[: len(batch.users)], items[len(batch.users) :]
        mask = items >= 0 if self.active_sampler.has_saturated_users else None
        batch = batch._replace(unlabeled_items=items, unlabeled_mask=mask)
        if observed is not batch:
            batch = batch._replace(exposed_drawn_items=beside)
        if self.resampler is None or self._generator is None:
            return batch
        resampler = self.resampler.to(items.device)
        return batch._replace(items=resampler.draw(batch, self._draw(self._generator)))

    def draw_unlabeled(self, batch: LabeledBatch) -> Tensor:
        """Draws the unlabeled items of a batch; its seed decides about everything random.

        Args:
            batch: Labeled rows ``(B,)``.

        Returns:
            ``(B, K)`` items, on the device of the batch.
        """
        device = batch.users.device
        if self._generator is None or self._generator.device != device:
            self._generator = torch.Generator(device)
            self.active_sampler.to(device)
        self._generator.manual_seed(batch.seed)
        return self.active_sampler.draw(batch, self._draw(self._generator))

    def _draw(self, generator: torch.Generator) -> Draw:
        epoch = self.trainer.current_epoch if self.trainer else 0
        return Draw(self.num_unlabeled, generator, self._score, epoch)

    @torch.no_grad()
    def _score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores pairs with the model in training, for samplers that look at it."""
        if self.trainer is None:
            raise RuntimeError("this sampler scores items with the model: use it in a Trainer.")
        model = self.trainer.lightning_module
        with evaluation_mode(model):
            scores: Tensor = model(users, items)
        return scores

    @override
    def state_dict(self) -> dict[str, Tensor]:
        """State of the sampler, for samplers that learn; empty before ``setup``."""
        return dict(self.active_sampler.state_dict()) if self.is_set_up else {}

    @override
    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Restores what :meth:`state_dict` gave."""
        if self.trainer is None or self.trainer.training:  # evaluation draws nothing
            self.active_sampler.load_state_dict(state_dict)
