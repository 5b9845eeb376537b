"""A checkpoint that lost or changed bytes is refused, or still has exactly its weights."""

from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import invlightning as il
from tests.helpers.trainers import make_trainer


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = il.Recommender(partial(il.backbones.NeuMF, embedding_dim=4), num_users=30, num_items=40)
    path = tmp_path_factory.mktemp("whole") / "whole.ckpt"
    content = {"pytorch-lightning_version": pl.__version__, "hyper_parameters": dict(model.hparams)}
    torch.save(content | {"state_dict": model.state_dict()}, path)
    return path.read_bytes(), model.state_dict()


def is_refused(path, content, state):
    """Whether one sentence says so; anything else than the exact weights is an error."""
    path.write_bytes(content)
    message = ""
    try:
        loaded = il.load(path).state_dict()
    except ValueError as error:
        message = str(error)
    if message:
        assert str(path) in message
        assert "\n" not in message
        return True
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    return False


def test_the_whole_file_is_fine(saved, tmp_path):
    assert not is_refused(tmp_path / "file.ckpt", *saved)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.95, 0.999])
def test_cut_off(share, saved, tmp_path):
    content, state = saved
    assert is_refused(tmp_path / "file.ckpt", content[: int(len(content) * share)], state)


def test_a_flipped_bit_of_the_weights(saved, tmp_path):
    """torch loads it without a word: it skips the check sums."""
    content, state = saved
    path = tmp_path / "file.ckpt"
    for value in state.values():
        start = content.index(value.numpy().tobytes()) if value.numel() > 8 else None
        if start is None:
            continue
        flipped = bytearray(content)
        flipped[start + 2] ^= 16
        assert is_refused(path, bytes(flipped), state)
        torch.load(path, weights_only=True, mmap=True)


def test_flipped_bits_anywhere(saved, tmp_path):
    content, state = saved
    generator = torch.Generator().manual_seed(5)
    refused = 0
    # Half of them in the last part, the directory, where lengths and offsets lie.
    places = torch.cat(
        [
            torch.randint(len(content), (100,), generator=generator),
            len(content) - 1 - torch.randint(3000, (100,), generator=generator),
        ]
    )
    for place in places.tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(torch.randint(8, (), generator=generator))
        refused += is_refused(tmp_path / "file.ckpt", bytes(flipped), state)
    assert refused > 50


@pytest.mark.parametrize("form", ["fit", "test"])
def test_a_trainer_does_not_take_it_up(form, tmp_path):
    data = il.SyntheticDataModule(num_users=30, num_items=40, interactions_per_user=20)
    model = il.Recommender(partial(il.backbones.GMF, embedding_dim=4))
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, data)
    path = trainer.checkpoint_callback.best_model_path
    content = bytearray(Path(path).read_bytes())
    weights = model.backbone.state_dict()["factors.users.weight"]
    content[content.index(weights.numpy().tobytes()) + 2] ^= 16
    Path(path).write_bytes(content)
    again = make_trainer(max_epochs=2)
    with pytest.raises(ValueError, match=r"damaged: .* has other bytes than were saved"):
        getattr(again, form)(model, datamodule=data, ckpt_path=path)
