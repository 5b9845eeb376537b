import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

from invlightning.metrics import functional as F
from tests.reference import metrics as oracle

row = st.tuples(st.integers(0, 2), st.sampled_from([0, 1]))  # few scores: many ties
tables = st.lists(st.lists(row, min_size=1, max_size=5), min_size=1, max_size=4)

USER_METRICS = {
    "group_auc": (F.auc_by_user, oracle.auc),
    "ndcg@2": (lambda groups: F.ndcg_by_user(groups, 2), oracle.ndcg(2)),
    "ndcg@9": (lambda groups: F.ndcg_by_user(groups, 9), oracle.ndcg(9)),
    "harm@2": (lambda groups: F.harm_by_user(groups, 2), oracle.harm(2)),
    "harm@9": (lambda groups: F.harm_by_user(groups, 9), oracle.harm(9)),
    "mrr": (F.mrr_by_user, oracle.mrr),
}


def shuffled(table, seed):
    rows = [(score, label, user) for user, rows in enumerate(table) for score, label in rows]
    random.Random(seed).shuffle(rows)
    return zip(*rows, strict=True)


def random_rows(num_rows=3000, num_users=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(num_rows, generator=generator).mul(4).round().div(4)
    labels = (torch.rand(num_rows, generator=generator) < 0.4).float()
    return scores, labels, torch.randint(num_users, (num_rows,), generator=generator)


@pytest.mark.parametrize("name", USER_METRICS)
@given(table=tables, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_equals_the_mean_over_all_tie_orders(name, table, seed):
    metric, naive = USER_METRICS[name]
    scores, labels, users = shuffled(table, seed)
    summed = metric(
        F.rank_rows(torch.tensor(scores).float(), torch.tensor(labels), torch.tensor(users)).by_user
    )
    value, num_skipped = oracle.mean_over_users(naive, scores, labels, users)
    assert summed.mean.item() == pytest.approx(value, rel=1e-9, nan_ok=True)
    assert int(summed.num_skipped) == num_skipped
    assert int(summed.num_users) == len(table) - num_skipped


@given(table=tables, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_overall_auc_equals_the_count_of_pairs(table, seed):
    scores, labels, users = shuffled(table, seed)
    rows = torch.tensor(scores).float(), torch.tensor(labels)
    expected = pytest.approx(oracle.auc(scores, labels), rel=1e-12, nan_ok=True)
    assert F.auc(*rows).item() == expected
    overall = F.rank_rows(*rows, torch.tensor(users)).overall
    assert F.auc_by_user(overall).mean.item() == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_equal_to_scikit_learn(dtype):
    scores, labels, users = random_rows()
    scores = scores.to(dtype)
    groups = F.rank_rows(scores, labels, users).by_user
    scores = scores.double()
    assert F.auc(scores.to(dtype), labels).item() == pytest.approx(roc_auc_score(labels, scores))
    lists = [(labels[users == user], scores[users == user]) for user in range(60)]
    gauc = [roc_auc_score(*rows) for rows in lists]
    ndcg = [ndcg_score(*(part[None] for part in rows), k=10) for rows in lists]
    assert F.auc_by_user(groups).mean.item() == pytest.approx(sum(gauc) / 60, rel=1e-12)
    assert F.ndcg_by_user(groups, 10).mean.item() == pytest.approx(sum(ndcg) / 60, rel=1e-12)
    expected = log_loss(labels, scores.sigmoid())
    assert F.log_loss(scores.to(dtype), labels).item() == pytest.approx(expected, rel=1e-6)


def test_values_do_not_depend_on_the_order_of_rows():
    rows = random_rows(500)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    ranked, again = F.rank_rows(*rows), F.rank_rows(*(part[order] for part in rows))
    for metric, _ in USER_METRICS.values():
        assert metric(ranked.by_user) == metric(again.by_user)  # bit for bit
    assert F.auc_by_user(ranked.overall) == F.auc_by_user(again.overall)


def test_a_constant_model_has_auc_one_half():
    _, labels, users = random_rows()
    ranked = F.rank_rows(torch.zeros(3000), labels, users)
    assert F.auc_by_user(ranked.overall).mean == 0.5
    assert F.auc_by_user(ranked.by_user).mean == 0.5


def test_mrr_is_exact_in_large_ties():
    # With one positive among m tied rows every rank is equally likely.
    m = 20_000
    labels = torch.zeros(m)
    labels[17] = 1
    groups = F.rank_rows(torch.zeros(m), labels, torch.zeros(m, dtype=torch.int64)).by_user
    assert F.mrr_by_user(groups).mean.item() == pytest.approx(
        math.fsum(1 / r for r in range(1, m + 1)) / m
    )


def test_harm_of_a_perfect_user_with_few_positives_is_below_one():
    labels = torch.tensor([1, 1, 0])
    groups = F.rank_rows(labels.float(), labels, torch.zeros(3, dtype=torch.int32)).by_user
    assert F.harm_by_user(groups, 10).mean.item() == pytest.approx((2 - 0.5) / 10)


def test_infinite_scores_are_ranked():
    inf = math.inf
    scores = torch.tensor([inf, inf, 0.0, -0.0, -inf])
    labels = torch.tensor([1, 0, 1, 0, 0])
    assert F.auc(scores, labels).item() == pytest.approx(
        oracle.auc([2, 2, 1, 1, 0], [1, 0, 1, 0, 0])
    )
    assert F.log_loss(torch.tensor([inf, -inf]), torch.tensor([1, 0])) == 0
    assert F.log_loss(torch.tensor([inf, -inf]), torch.tensor([0, 0])) == inf


def test_no_rows_give_nan():
    none = torch.empty(0)
    ranked = F.rank_rows(none, none, none.long())
    for metric, _ in USER_METRICS.values():
        assert metric(ranked.by_user).mean.isnan()
        assert metric(ranked.by_user).num_skipped == 0
    assert F.auc(none, none).isnan()
    assert F.log_loss(none, none).isnan()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.uint16, torch.int32, torch.int64])
@pytest.mark.parametrize("label_dtype", [torch.bool, torch.int64, torch.float16, torch.float64])
def test_types_of_users_and_labels_do_not_matter(dtype, label_dtype):
    scores, labels, users = random_rows(300)
    expected = F.mrr_by_user(F.rank_rows(scores, labels, users).by_user)
    ranked = F.rank_rows(scores, labels.to(label_dtype), users.to(dtype))
    assert F.mrr_by_user(ranked.by_user) == expected
    assert F.log_loss(scores, labels.to(label_dtype)) == F.log_loss(scores, labels)


def test_inputs_stay_as_they_are():
    rows = random_rows(50)
    copies = [part.clone() for part in rows]
    F.rank_rows(*rows)
    assert all(torch.equal(part, copy) for part, copy in zip(rows, copies, strict=True))


two, users = torch.tensor([0.5, 1.0]), torch.tensor([0, 1])
labels = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: F.rank_rows(two, labels[:1], users),
            r"\(2,\), \(1,\), \(2,\): expected one entry",
        ),
        (lambda: F.rank_rows(two[None], labels[None], users[None]), r"expected one entry a row"),
        (lambda: F.auc(two, labels[:1]), r"scores and labels have the shapes \(2,\), \(1,\)"),
        (lambda: F.rank_rows(two, labels, users.float()), "users are torch.float32: pass integer"),
        (lambda: F.rank_rows(two, labels, users == 0), "users are torch.bool: pass integer"),
        (lambda: F.auc(two / 0 * 0, labels), "2 of 2 scores are nan"),
        (lambda: F.log_loss(two / 0 * 0, labels), "2 of 2 scores are nan"),
        (lambda: F.auc(two, labels * 5), r"1 of 2 labels are neither 0 nor 1 \(the first is 5\)"),
        (lambda: F.log_loss(two, two), r"\(the first is 0.5\)"),
        (
            lambda: F.ndcg(two, labels, users, 0),
            "k is 0: .* pass k >= 1",
        ),
        (lambda: F.harm(two, labels, users, -1), "k is -1"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()
