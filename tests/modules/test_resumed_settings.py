"""Training that goes on with another optimizer or network is refused in one sentence, or told."""

from functools import partial

import pytest
from torch.optim import SGD, Adagrad, Adam, RMSprop

import invlightning as il
from invlightning.modules.resumed_settings import optimizer_changes
from tests.helpers.cli_runs import TINY_RUNS
from tests.helpers.trainers import make_trainer

pytestmark = TINY_RUNS
GMF, MLP = (partial(one, embedding_dim=2) for one in (il.backbones.GMF, il.backbones.MLP))


def go_on(folder, optimizer, backbone=GMF, path=None, epochs=1):
    trainer = make_trainer(folder, max_epochs=epochs)
    model = il.Recommender(backbone, optimizer=optimizer)
    data = il.SyntheticDataModule(num_users=30, num_items=40, interactions_per_user=20)
    trainer.fit(model, data, ckpt_path=path)
    return trainer


def resume(folder, old, new, backbone=GMF):
    path = go_on(folder / "old", old).checkpoint_callback.best_model_path
    return go_on(folder / "new", new, backbone, path, epochs=2)


OPTIMIZERS = [None, partial(SGD, lr=0.1), partial(Adagrad, lr=0.1), partial(RMSprop, lr=0.1)]


@pytest.mark.parametrize("old", range(4))
def test_another_optimizer_is_refused(old, tmp_path):
    path = go_on(tmp_path / "old", OPTIMIZERS[old]).checkpoint_callback.best_model_path
    for new, optimizer in enumerate(OPTIMIZERS):
        if new != old:
            with pytest.raises(ValueError, match=r"optimizer \w+, and \w+ cannot go on"):
                go_on(tmp_path / "new", optimizer, GMF, path, epochs=2)


def test_what_no_state_depends_on_is_taken_up_and_told(tmp_path, caplog):
    caplog.set_level("INFO", logger="pytorch_lightning.utilities.rank_zero")
    new = partial(SGD, lr=0.2, momentum=0.9, weight_decay=0.01)
    group = resume(tmp_path, partial(SGD, lr=0.1), new).optimizers[0].param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.2, 0.9, 0.01)
    for told in ("lr=0.2", "momentum=0.9", "weight_decay=0.01"):
        assert f"Training goes on with {told} of the optimizer." in caplog.text


def test_what_the_state_depends_on_is_refused(tmp_path):
    old, new = partial(Adam, lr=0.1), partial(Adam, lr=0.1, amsgrad=True)
    with pytest.raises(ValueError, match="another amsgrad of Adam, on which the state"):
        resume(tmp_path, old, new)


def test_a_default_that_is_spelled_out_is_no_change():
    spec = {"class_path": "torch.optim.adam.Adam", "init_args": {"betas": [0.9, 0.999]}}
    stored = {"_class_path": "x", "optimizer": spec}
    assert optimizer_changes(stored, {"_class_path": "x"}) == []
    assert optimizer_changes(stored, {}) == []
    sparse = {"class_path": "invlightning.optim.row_sparse_adam.RowSparseAdam", "init_args": {}}
    spelled = {**sparse, "init_args": {"eps": 1e-8, "betas": [0.9, 0.999]}}
    both = [{"_class_path": "x", "optimizer": one} for one in (sparse, spelled)]
    assert optimizer_changes(*both) == []


@pytest.mark.parametrize("backbone", [MLP, partial(il.backbones.GMF, embedding_dim=3)])
def test_another_network_is_refused(backbone, tmp_path):
    with pytest.raises(ValueError, match=r"of another model: backbone.*GMF\(embedding_dim=2\) th"):
        resume(tmp_path, None, None, backbone)
