"""Samplers that look beyond the users, and the resampler of positives, in a Trainer."""

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from invlightning.data import Draw, DynamicSampler, KnownPairs, PositiveResampler, ReinforcedSampler
from invlightning.data.samplers import hard
from invlightning.types import LabeledBatch
from tests.helpers.hard_draws import LEARNING, SAMPLERS, fixed_score, generator
from tests.helpers.known import facts_of, pairs_of
from tests.helpers.trainers import make_trainer


def make_data(sampler, **arguments):
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.permutation(20 * 30)[:300], 30)
    defaults = {"positive_threshold": 2.0, "batch_size": 64, "num_unlabeled": 2}
    ratings = rng.integers(1, 6, 300)
    return il.ArrayDataModule(users, items, ratings, **{**defaults, **arguments}, sampler=sampler)


def make_model(dropout=0.0):
    backbone = partial(il.backbones.NeuMF, embedding_dim=4, dropout=dropout)
    return il.Recommender(backbone, unlabeled_loss=il.losses.NaiveNegativeLoss())


class Watcher(pl.Callback):
    """Checks what a draw leaves behind."""

    def __init__(self):
        self.batches = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        assert all(module.training for module in pl_module.modules())
        assert all(parameter.grad is None for parameter in pl_module.parameters())
        sampler = trainer.datamodule.active_sampler
        assert not any(table.requires_grad for table in sampler.buffers())
        assert not list(sampler.parameters())
        self.batches += 1

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pl_module.zero_grad(set_to_none=True)


def test_true_negatives_are_those_of_the_training_rows():
    data = make_data(ReinforcedSampler(8))
    data.setup()
    users, items, labels = data.rows.labeled()
    negatives = KnownPairs.from_pairs(users[labels == 0], items[labels == 0], 20, 30)
    assert torch.equal(data.active_sampler.negative_indptr, negatives.indptr)
    assert torch.equal(data.active_sampler.negative_items, negatives.items)


@pytest.mark.parametrize("name", SAMPLERS)
def test_trains_and_reloads(name, tmp_path):
    model, data, watcher = make_model(), make_data(SAMPLERS[name]()), Watcher()
    trainer = make_trainer(tmp_path, callbacks=[watcher], max_epochs=2)
    trainer.fit(model, data)
    assert watcher.batches == 10
    assert isinstance(data.active_sampler, hard.HardSampler)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    path = trainer.checkpoint_callback.best_model_path
    state = torch.load(path, weights_only=True).get("ArrayDataModule", {})
    assert set(state) == set(data.active_sampler.state_dict())
    loaded = il.load(path)
    assert all(
        torch.equal(loaded.state_dict()[key], value) for key, value in model.state_dict().items()
    )
    # Evaluation draws nothing: the state of a sampler is no obstacle to another one.
    make_trainer(tmp_path, max_epochs=2).test(
        make_model(), make_data(None), ckpt_path=path, verbose=False
    )


@pytest.mark.resume
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("name", [*LEARNING, "dns"])
def test_resume_equals_uninterrupted(name, tmp_path):
    """Three epochs at once, and through a checkpoint after one: the same weights and state."""
    whole, data = make_model(), make_data(SAMPLERS[name]())
    make_trainer(tmp_path / "whole", max_epochs=3).fit(whole, data)
    pl.seed_everything(0, verbose=False)
    first = make_trainer(tmp_path / "first", max_epochs=1)
    first.fit(make_model(), make_data(SAMPLERS[name]()))
    resumed, rest = make_model(), make_data(SAMPLERS[name]())
    path = first.checkpoint_callback.best_model_path
    make_trainer(tmp_path / "second", max_epochs=3).fit(resumed, rest, ckpt_path=path)
    for key, value in data.active_sampler.state_dict().items():
        assert torch.equal(rest.active_sampler.state_dict()[key], value), key
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


class Scores(pl.Callback):
    """Compares the scores a sampler gets with those of the model in evaluation mode."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        users, items = batch.users.unsqueeze(1), batch.unlabeled_items
        scores = trainer.datamodule._score(users, items)
        assert not scores.requires_grad
        pl_module.eval()
        assert torch.equal(scores, pl_module(users, items))
        pl_module.train()


def test_scores_are_those_of_evaluation_without_a_graph(tmp_path):
    make_trainer(tmp_path, callbacks=[Scores()], max_epochs=2).fit(
        make_model(0.3), make_data(DynamicSampler(8))
    )


def test_resampler_exchanges_positives_for_positives(tmp_path):
    seen = []

    class Seen(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append((trainer.current_epoch, batch))

    data = make_data(None, resampler=PositiveResampler(start_epoch=1), meta_fraction=0.2)
    make_trainer(tmp_path, callbacks=[Seen()], max_epochs=2).fit(make_model(), data)
    columns = (column.tolist() for column in data.rows.labeled())
    labels = {(user, item): label for user, item, label in zip(*columns, strict=True)}
    changed = set()
    loader = data.train_dataloader()
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        for (_, batch), plain in zip([s for s in seen if s[0] == epoch], loader, strict=True):
            rows = zip(
                batch.users.tolist(), batch.items.tolist(), batch.labels.tolist(), strict=True
            )
            assert all(labels[user, item] == label for user, item, label in rows)
            moved = batch.items != plain.items
            assert not moved[batch.labels == 0].any()
            if moved.any():
                changed.add((epoch, batch.is_meta))
    assert changed == {(1, False)}


def test_resampler_needs_unlabeled_items():
    with pytest.raises(ValueError, match="num_unlabeled is 0"):
        make_data(None, resampler=PositiveResampler(), num_unlabeled=0)
    resampler = PositiveResampler(start_epoch=0)
    resampler.start_fit(facts_of(pairs_of(np.eye(3, dtype=bool))))
    batch = LabeledBatch(torch.arange(3), torch.arange(3), torch.ones(3))
    with pytest.raises(ValueError, match="set num_unlabeled of the data module"):
        resampler.draw(batch, Draw(1, generator(), fixed_score, 0))
