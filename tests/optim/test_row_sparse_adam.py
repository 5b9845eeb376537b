"""RowSparseAdam against the optimizers of torch, and what a Trainer asks of an optimizer."""

import copy
import io
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import invlightning as il
from invlightning.optim import RowSparseAdam

OPTIONS = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-6}


class Net(nn.Module):
    """A table of 11 rows and a dense layer."""

    def __init__(self, sparse, dtype=torch.float64):
        super().__init__()
        self.table = nn.Embedding(11, 4, sparse=sparse, dtype=dtype)
        self.head = nn.Linear(4, 1, dtype=dtype)

    def forward(self, rows):
        return self.head(self.table(rows)).squeeze(-1).square().mean()


def draws(steps, rows=11, size=7):
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(rows, (size,), generator=generator) for _ in range(steps)]


def train(net, optimizers, batches, before_step=lambda: None):
    for batch in batches:
        for optimizer in optimizers:
            optimizer.zero_grad()
        net(batch).backward()
        before_step()
        for optimizer in optimizers:
            optimizer.step()
    return net


def assert_equal_nets(found, expected, atol=0.0):
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_dense_gradients_are_those_of_adam_to_the_bit(dtype, decay):
    own = Net(sparse=False, dtype=dtype)
    other = copy.deepcopy(own)
    batches = draws(30)
    train(own, [RowSparseAdam(own.parameters(), **OPTIONS, weight_decay=decay)], batches)
    adam = torch.optim.AdamW(other.parameters(), **OPTIONS, weight_decay=decay, foreach=False)
    train(other, [adam], batches)
    assert_equal_nets(own, other)


def test_sparse_gradients_are_those_of_sparse_adam():
    """SparseAdam adds eps before the bias correction; scaled accordingly it is the same."""
    own = Net(sparse=True)
    other = copy.deepcopy(own)
    batches = draws(30)
    train(own, [RowSparseAdam(own.parameters(), **OPTIONS)], batches)
    sparse = torch.optim.SparseAdam(other.table.parameters(), **OPTIONS)
    dense = torch.optim.Adam(other.head.parameters(), **OPTIONS)
    steps = iter(range(1, 31))

    def scale_eps():
        correction = math.sqrt(1 - OPTIONS["betas"][1] ** next(steps))
        sparse.param_groups[0]["eps"] = OPTIONS["eps"] * correction

    train(other, [sparse, dense], batches, scale_eps)
    assert_equal_nets(own, other, atol=1e-13)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_table_that_is_always_touched_trains_as_with_adam(decay):
    own, other = Net(sparse=True), Net(sparse=False)
    other.load_state_dict(own.state_dict())
    batches = [torch.arange(11).repeat(2) for _ in range(20)]
    train(own, [RowSparseAdam(own.parameters(), **OPTIONS, weight_decay=decay)], batches)
    adam = torch.optim.AdamW(other.parameters(), **OPTIONS, weight_decay=decay)
    train(other, [adam], batches)
    assert_equal_nets(own, other, atol=1e-13)


def test_other_rows_and_their_moments_stay():
    net = Net(sparse=True)
    optimizer = RowSparseAdam(net.parameters(), weight_decay=0.5)
    train(net, [optimizer], [torch.arange(11)])
    before = net.table.weight.detach().clone()
    moments = optimizer.state[net.table.weight]["row_moments"].clone()
    train(net, [optimizer], [torch.tensor([2, 2, 7])] * 3)
    changed = (net.table.weight != before).any(1)
    assert changed.nonzero().flatten().tolist() == [2, 7]
    changed = (optimizer.state[net.table.weight]["row_moments"] != moments).flatten(1).any(1)
    assert changed.nonzero().flatten().tolist() == [2, 7]


@pytest.mark.parametrize("sparse_first", [True, False])
def test_sparse_and_dense_gradients_may_alternate(sparse_first):
    """A table whose gradient is dense in some steps keeps its moments."""
    own, other = Net(sparse=True), Net(sparse=False)
    other.load_state_dict(own.state_dict())
    batches = [torch.arange(11)] * 8
    optimizer = RowSparseAdam(own.parameters())
    for number, batch in enumerate(batches):
        own.table.sparse = (number % 2 == 0) is sparse_first
        train(own, [optimizer], [batch])
    train(other, [torch.optim.Adam(other.parameters())], batches)
    assert_equal_nets(own, other, atol=1e-13)


def test_state_resumes_exactly_and_loads_safely():
    whole, parted = Net(sparse=True), Net(sparse=True)
    parted.load_state_dict(whole.state_dict())
    batches = draws(20)
    train(whole, [RowSparseAdam(whole.parameters(), **OPTIONS)], batches)
    optimizer = RowSparseAdam(parted.parameters(), **OPTIONS)
    train(parted, [optimizer], batches[:8])
    file = io.BytesIO()
    torch.save({"net": parted.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    resumed = Net(sparse=True)
    resumed.load_state_dict(state["net"])
    optimizer = RowSparseAdam(resumed.parameters())
    optimizer.load_state_dict(state["optimizer"])
    train(resumed, [optimizer], batches[8:])
    assert_equal_nets(resumed, whole)


def test_groups_have_their_own_options():
    net = Net(sparse=True)
    before = copy.deepcopy(net)
    groups = [{"params": net.table.parameters(), "lr": 0.0}, {"params": net.head.parameters()}]
    train(net, [RowSparseAdam(groups, lr=0.1)], draws(3))
    assert torch.equal(net.table.weight, before.table.weight)
    assert not torch.equal(net.head.weight, before.head.weight)


def test_gradient_scaling_changes_nothing_but_skips_overflows():
    plain, scaled = Net(True, torch.float32), Net(True, torch.float32)
    scaled.load_state_dict(plain.state_dict())
    batches = draws(10)
    train(plain, [RowSparseAdam(plain.parameters())], batches)
    optimizer = RowSparseAdam(scaled.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for batch in batches:
        overflow = scaled(batch) * torch.inf
        for loss in (overflow, scaled(batch)):
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert_equal_nets(scaled, plain, atol=1e-7)
    assert optimizer.state[scaled.table.weight]["step"] == len(batches)


def test_a_closure_is_evaluated_with_gradients():
    net = Net(sparse=True)
    optimizer = RowSparseAdam(net.parameters())
    before = net.table.weight.detach().clone()

    def closure():
        optimizer.zero_grad()
        loss = net(torch.tensor([1, 5]))
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(F.relu(closure()).item(), rel=0.1)
    assert not torch.equal(net.table.weight, before)


@pytest.mark.parametrize(
    "wrong", [{"lr": -1.0}, {"eps": -1.0}, {"weight_decay": -1.0}, {"betas": (0.9, 1.0)}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RowSparseAdam([nn.Parameter(torch.zeros(1))], **wrong)


def test_row_sparse_adam_is_public():
    assert il.optim.RowSparseAdam is RowSparseAdam


def stepped(net, optimizer, rows):
    optimizer.zero_grad()
    net(torch.tensor(rows)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("again", [1, 3, 40])
def test_forgetting_is_a_new_optimizer(again):
    """Also after so many steps that noting their rows would cost more than the table.

    Seen to fail when rows of a step before the last were left with their moments.
    """
    torch.manual_seed(0)
    net = nn.Embedding(20, 3, sparse=True)
    other = copy.deepcopy(net)
    optimizer = RowSparseAdam(net.parameters(), lr=0.1)
    for turn in range(4):
        optimizer.forget()
        fresh = RowSparseAdam(other.parameters(), lr=0.1)
        for step in range(again):
            rows = [(turn + step) % 20, (3 * turn + 7 * step) % 20, 5]
            stepped(net, optimizer, rows)
            stepped(other, fresh, rows)
        assert torch.equal(net.weight, other.weight)
    optimizer.forget()
    assert all(not s["row_moments"].any() for s in optimizer.state.values())


def test_forgetting_keeps_the_table():
    """Seen to fail when the state was dropped: a new table would cost what the catalogue costs."""
    net = nn.Embedding(20, 3, sparse=True)
    optimizer = RowSparseAdam(net.parameters())
    optimizer.forget()
    stepped(net, optimizer, [1, 2])
    table = optimizer.state[net.weight]["row_moments"]
    optimizer.forget()
    stepped(net, optimizer, [3])
    assert optimizer.state[net.weight]["row_moments"] is table
    assert optimizer.state[net.weight]["step"] == 1


def test_forgetting_after_loading_forgets_all():
    """Rows that another optimizer stepped are unknown. Seen to fail when they were believed."""
    net = nn.Embedding(20, 3, sparse=True)
    optimizer = RowSparseAdam(net.parameters())
    stepped(net, optimizer, [1, 2])
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer.forget()
    optimizer.load_state_dict(saved)
    optimizer.forget()
    assert not any(s["row_moments"].any() for s in optimizer.state.values())


def test_forgetting_dense_parameters():
    net = nn.Linear(2, 1)
    optimizer = RowSparseAdam(net.parameters())
    for _ in range(2):
        net(torch.ones(2)).backward()
        optimizer.step()
        optimizer.forget()
        assert not optimizer.state


def test_copies_go_on():
    """Seen to fail when what is noted about rows was set by the constructor alone."""
    net = nn.Embedding(20, 3, sparse=True)
    optimizer = RowSparseAdam(net.parameters())
    optimizer.forget()
    stepped(net, optimizer, [1, 2])
    other, again = copy.deepcopy((net, optimizer))
    stepped(net, optimizer, [2, 3])
    stepped(other, again, [2, 3])
    assert torch.equal(net.weight, other.weight)
    again.forget()
    assert not any(s["row_moments"].any() for s in again.state.values())
