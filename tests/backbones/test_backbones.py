import math
from functools import partial

import pytest
import torch

from invlightning.backbones import GMF, MLP, BiasedMF, NeuMF
from invlightning.backbones.layers import tower
from invlightning.testing import BackboneTests
from tests.reference import backbones as oracle

USERS, ITEMS, DIM = 7, 11, 4
SMALL = {
    BiasedMF: oracle.biased_mf,
    GMF: oracle.gmf,
    MLP: oracle.mlp,
    NeuMF: oracle.neumf,
}


class TestBiasedMF(BackboneTests):
    backbone = BiasedMF


class TestGMF(BackboneTests):
    backbone = GMF


class TestMLP(BackboneTests):
    backbone = partial(MLP, embedding_dim=8, dropout=0.2)


class TestNeuMF(BackboneTests):
    backbone = NeuMF


class TestSparseNeuMF(BackboneTests):
    backbone = partial(NeuMF, embedding_dim=8, num_layers=1, sparse=True)


def awake(cls, **options):
    """A backbone whose parameters are large enough that every one matters."""
    torch.manual_seed(0)
    backbone = cls(USERS, ITEMS, embedding_dim=DIM, **options)
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return backbone


@pytest.mark.parametrize("cls", SMALL)
def test_logits_match_the_formula(cls):
    backbone = awake(cls).double()
    state = {name: value.numpy() for name, value in backbone.state_dict().items()}
    expected = torch.tensor(
        [[SMALL[cls](state, user, item) for item in range(ITEMS)] for user in range(USERS)],
        dtype=torch.float64,
    )
    users, items = torch.arange(USERS), torch.arange(ITEMS)
    assert torch.allclose(backbone(users.unsqueeze(1), items), expected, atol=1e-12)
    assert torch.allclose(backbone(users, items[:USERS]), expected.diagonal(), atol=1e-12)


@pytest.mark.parametrize("cls", SMALL)
@pytest.mark.parametrize("floats", [1, 200, 10**6])
def test_scores_equal_logits_in_single_precision(cls, floats, monkeypatch):
    monkeypatch.setattr(tower, "_CPU_BLOCK_FLOATS", floats)  # one item a block ... one block
    backbone = awake(cls)
    users = torch.tensor([3, 0, 3])
    pairwise = backbone(users.repeat_interleave(ITEMS), torch.arange(ITEMS).repeat(3)).view(3, -1)
    assert torch.allclose(backbone.score_all(users), pairwise, atol=1e-5)
    assert torch.allclose(backbone.score_range(users, 4, 9), pairwise[:, 4:9], atol=1e-5)
    assert backbone.score_range(users, 5, 5).shape == (3, 0)
    assert backbone.score_all(users[:0]).shape == (0, ITEMS)


@pytest.mark.parametrize("cls", SMALL)
def test_scores_carry_the_gradients_of_logits(cls):
    weights = torch.randn(USERS, ITEMS, dtype=torch.float64)
    gradients = []
    for path in ("logits", "scores"):
        backbone = awake(cls).double()
        users = torch.arange(USERS)
        scores = (
            backbone(users.unsqueeze(1), torch.arange(ITEMS))
            if path == "logits"
            else backbone.score_all(users)
        )
        (scores * weights).sum().backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    for left, right in zip(*gradients, strict=True):
        assert torch.allclose(left, right, atol=1e-10)


@pytest.mark.parametrize(
    ("backbone", "parameters"),
    [
        (BiasedMF(USERS, ITEMS, 4), (USERS + ITEMS) * 5 + 1),
        (GMF(USERS, ITEMS, 4), (USERS + ITEMS) * 4 + 5),
        (MLP(USERS, ITEMS, 4), (USERS + ITEMS) * 16 + 33 * 16 + 17 * 8 + 9 * 4 + 5),
        (MLP(USERS, ITEMS, 4, num_layers=1), (USERS + ITEMS) * 4 + 9 * 4 + 5),
        (NeuMF(USERS, ITEMS, 4), (USERS + ITEMS) * 20 + 33 * 16 + 17 * 8 + 9 * 4 + 9),
    ],
)
def test_only_used_parameters_are_allocated(backbone, parameters):
    assert sum(parameter.numel() for parameter in backbone.parameters()) == parameters


def test_dimensions_of_the_paper():
    backbone = NeuMF(USERS, ITEMS)
    shapes = [tuple(p.shape) for n, p in backbone.named_parameters() if p.ndim == 2]
    tables = [(USERS, 32), (ITEMS, 32), (USERS, 128), (ITEMS, 128)]
    assert shapes == [*tables, (128, 256), (64, 128), (32, 64), (1, 64)]


def test_initialization():
    torch.manual_seed(0)
    state = NeuMF(3000, 2000).state_dict()
    for name in ("factors.users", "factors.items", "tower.users", "tower.items"):
        table = state[f"{name}.weight"]
        assert table.std().item() == pytest.approx(0.01, rel=0.02)
        assert abs(table.mean().item()) < 1e-4
        assert table.abs().max() > 0.03  # normal, not uniform
    for name, value in state.items():
        if name.endswith("bias"):
            assert not value.any()
        elif "users" not in name and "items" not in name:
            rows, columns = value.shape
            bound = math.sqrt(3 / columns if rows == 1 else 6 / (rows + columns))
            assert value.abs().max() <= bound
            assert value.abs().max() > 0.9 * bound
    biased = BiasedMF(3000, 2000)
    assert biased.users.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not biased.user_bias.weight.any()
    assert not biased.item_bias.weight.any()


@pytest.mark.parametrize("cls", SMALL)
def test_sparse_gradients_have_the_values_of_dense_ones(cls):
    users, items = torch.tensor([1, 1, 4]), torch.tensor([[0, 2], [2, 2], [9, 0]])
    gradients = []
    for sparse in (False, True):
        backbone = awake(cls, sparse=sparse)
        backbone(users.unsqueeze(1), items).square().sum().backward()
        tables = {id(m.weight) for m in backbone.modules() if isinstance(m, torch.nn.Embedding)}
        for parameter in backbone.parameters():
            assert parameter.grad.is_sparse == (sparse and id(parameter) in tables)
        gradients.append([parameter.grad.to_dense() for parameter in backbone.parameters()])
    for dense, sparse in zip(*gradients, strict=True):
        assert torch.allclose(dense, sparse, atol=1e-6)


@pytest.mark.parametrize("cls", [MLP, NeuMF])
def test_dropout_acts_in_training_only(cls):
    backbone = awake(cls, dropout=0.5)
    users, items = torch.arange(USERS), torch.arange(USERS)
    assert not torch.equal(backbone(users, items), backbone(users, items))
    backbone.eval()
    plain = awake(cls)
    assert torch.equal(backbone(users, items), plain(users, items))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8])
def test_pretrained_parts_are_averaged(alpha):
    gmf, mlp, neumf = awake(GMF), awake(MLP), NeuMF(USERS, ITEMS, DIM)
    neumf.load_pretrained(gmf, mlp, alpha)
    users = torch.arange(USERS)
    expected = alpha * gmf.score_all(users) + (1 - alpha) * mlp.score_all(users)
    assert torch.allclose(neumf.score_all(users), expected, atol=1e-5)
    assert all(parameter.requires_grad for parameter in neumf.parameters())
    with torch.no_grad():
        neumf.factors.users.weight.zero_()
    assert gmf.factors.users.weight.any()  # a copy, not a view


def test_pretrained_parts_must_fit():
    neumf = NeuMF(USERS, ITEMS, DIM)
    gmf, mlp = GMF(USERS, ITEMS, DIM), MLP(USERS, ITEMS, DIM)
    with pytest.raises(ValueError, match="pre-trained GMF does not fit"):
        neumf.load_pretrained(GMF(USERS, ITEMS + 1, DIM), mlp)
    with pytest.raises(ValueError, match="pre-trained MLP does not fit"):
        neumf.load_pretrained(gmf, MLP(USERS, ITEMS, DIM, num_layers=2))
    with pytest.raises(ValueError, match=r"alpha is 1\.5"):
        neumf.load_pretrained(gmf, mlp, alpha=1.5)


@pytest.mark.parametrize("cls", SMALL)
@pytest.mark.parametrize("name", ["num_users", "num_items", "embedding_dim"])
def test_sizes_below_one(cls, name):
    sizes = {"num_users": USERS, "num_items": ITEMS, "embedding_dim": DIM, name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0"):
        cls(**sizes)


@pytest.mark.parametrize("cls", [MLP, NeuMF])
def test_bad_layers_and_dropout(cls):
    with pytest.raises(ValueError, match="num_layers is 0"):
        cls(USERS, ITEMS, num_layers=0)
    with pytest.raises(ValueError, match=r"dropout is 1\.0"):
        cls(USERS, ITEMS, dropout=1.0)


@pytest.mark.parametrize("cls", SMALL)
def test_index_out_of_range(cls):
    with pytest.raises(IndexError):
        cls(USERS, ITEMS)(torch.tensor([USERS]), torch.tensor([0]))
