import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlightning.metrics import functional as F
from tests.reference import metrics as oracle

FORMULAS = (F.recall, F.ranking_ndcg, F.hit_rate, F.ranking_mrr)


@st.composite
def catalogues(draw):
    """Tied scores (B, I), seen and target sets of each row; targets are unseen."""
    num_rows, num_items = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    score = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0])
    row = st.lists(score, min_size=num_items, max_size=num_items)
    kind = st.lists(st.sampled_from("tuus"), min_size=num_items, max_size=num_items)
    kinds = draw(st.lists(kind, min_size=num_rows, max_size=num_rows))
    scores = draw(st.lists(row, min_size=num_rows, max_size=num_rows))
    seen = [{item for item, k in enumerate(row) if k == "s"} for row in kinds]
    targets = [{item for item, k in enumerate(row) if k == "t"} for row in kinds]
    return scores, seen, targets


def flat(sets):
    pairs = [(row, item) for row, items in enumerate(sets) for item in sorted(items)]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).unbind(1)


def chunks_of(scores):
    return lambda start, stop: scores[:, start:stop]


@given(case=catalogues(), k=st.integers(1, 12), chunk=st.integers(1, 12))
@settings(deadline=None, max_examples=150)
def test_top_unseen_equals_sorting_the_whole_row(case, k, chunk):
    rows, seen, _ = case
    scores = torch.tensor(rows)
    before = scores.clone()
    top, items = F.top_unseen(chunks_of(scores), len(rows[0]), k, *flat(seen), chunk)
    expected = [oracle.rank_unseen(row, own, k) for row, own in zip(rows, seen, strict=True)]
    assert items.tolist() == expected
    found = torch.where(items >= 0, scores.gather(1, items.clamp(min=0)), -math.inf)
    assert torch.equal(top, found)
    assert torch.equal(scores, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_top_unseen_does_not_depend_on_the_chunk(dtype):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(30, 500, generator=generator).to(dtype)  # half precision makes ties
    seen_rows = torch.randint(30, (3000,), generator=generator)
    seen_items = torch.randint(500, (3000,), generator=generator)
    results = [
        F.top_unseen(chunks_of(scores), 500, 20, seen_rows, seen_items, chunk)
        for chunk in (500, 499, 64, 7)
    ]
    for top, items in results[1:]:
        assert torch.equal(top, results[0][0])
        assert torch.equal(items, results[0][1])


def test_stable_topk_keeps_the_first_of_equal_values():
    values = torch.tensor([[1.0, 3.0, 1.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    top, positions = F.stable_topk(values, 3)
    assert top.tolist() == [[3, 3, 1], [0, 0, 0]]
    assert positions.tolist() == [[1, 4, 0], [0, 1, 2]]


@given(case=catalogues(), k=st.integers(1, 12))
@settings(deadline=None, max_examples=150)
def test_full_ranking_equals_one_user_after_the_other(case, k):
    rows, seen, targets = case
    num_items = len(rows[0])
    _, items = F.top_unseen(chunks_of(torch.tensor(rows)), num_items, k, *flat(seen), 4)
    hits, num_targets = F.ranking_hits(items, *flat(targets), num_items)
    assert num_targets.tolist() == [len(own) for own in targets]
    ranked = [oracle.rank_unseen(row, own, k) for row, own in zip(rows, seen, strict=True)]
    values = [oracle.full_ranking(r, t, k) for r, t in zip(ranked, targets, strict=True) if t]
    columns = zip(*values, strict=True) if values else [()] * 4
    for formula, naive in zip(FORMULAS, columns, strict=True):
        summed = formula(hits, num_targets, k)
        assert summed.total.item() == pytest.approx(math.fsum(naive), rel=1e-12)
        assert int(summed.num_users) == len(values)
        assert int(summed.num_skipped) == len(rows) - len(values)


def test_no_item_is_never_a_hit():
    # -1 in row 1 would share its key with the last item of row 0.
    items = torch.tensor([[0, 1], [2, -1]])
    hits, num_targets = F.ranking_hits(items, torch.tensor([0, 1]), torch.tensor([4, 2]), 5)
    assert hits.tolist() == [[False, False], [True, False]]
    assert num_targets.tolist() == [1, 1]


def test_a_repeated_target_counts_once():
    rows, items = torch.tensor([0, 0, 0]), torch.tensor([3, 3, 1])
    hits, num_targets = F.ranking_hits(torch.tensor([[3, 0]]), rows, items, 5)
    assert hits.tolist() == [[True, False]]
    assert num_targets.tolist() == [2]


def test_hits_need_no_table_of_users_by_items():
    items = torch.tensor([[10**12 - 1, 5]])
    hits, _ = F.ranking_hits(items, torch.tensor([0]), torch.tensor([10**12 - 1]), 10**12)
    assert hits.tolist() == [[True, False]]


def test_recall_divides_by_the_number_of_targets():
    hits, num_targets = torch.tensor([[True, False, True]]), torch.tensor([8])
    assert F.recall(hits, num_targets, 2).total == 1 / 8
    assert F.recall(hits, num_targets, 3).total == 2 / 8


def test_ranks_beyond_k_do_not_count():
    hits, num_targets = torch.tensor([[False, False, True]]), torch.tensor([1])
    for formula in FORMULAS:
        assert formula(hits, num_targets, 2).total == 0
        assert formula(hits, num_targets, 3).total > 0


def test_lists_shorter_than_k_end_in_misses():
    hits, num_targets = torch.tensor([[True, False]]), torch.tensor([2])
    ndcg = F.ranking_ndcg(hits, num_targets, 20).total.item()
    assert ndcg == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert F.recall(hits, num_targets, 20).total == 0.5


def test_only_the_first_hit_gives_the_reciprocal_rank():
    hits = torch.tensor([[False, True, True, True], [True, True, False, False]])
    assert F.ranking_mrr(hits, torch.tensor([3, 2]), 4).total == 0.5 + 1


none = torch.empty(0, dtype=torch.int64)
scores = torch.zeros(2, 5)
hits = torch.zeros(2, 5, dtype=torch.bool)
full = chunks_of(scores)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.top_unseen(full, 5, 0, none, none, 5), "k is 0"),
        (lambda: F.top_unseen(full, 5, 1, none, none, 0), "num_items is 5 and item_chunk 0"),
        (lambda: F.top_unseen(full, 0, 1, none, none, 5), "num_items is 0"),
        (
            lambda: F.top_unseen(full, 9, 1, none, none, 9),
            r"returned the shape \(2, 5\): .*\(B, 9\)",
        ),
        (
            lambda: F.top_unseen(full, 5, 1, torch.tensor([0]), torch.tensor([5]), 5),
            "range from 5 to 5: .* 0 to 4",
        ),
        (
            lambda: F.top_unseen(full, 5, 1, torch.tensor([0]), torch.tensor([-1]), 5),
            "from -1 to -1",
        ),
        (lambda: F.top_unseen(chunks_of(scores / 0), 5, 1, none, none, 2), "nan"),
        (lambda: F.ranking_hits(none[None], none, none[None], 5), r"both \(T,\)"),
        (lambda: F.recall(hits, torch.ones(3), 1), r"\(2, 5\) and num_targets \(3,\)"),
        (lambda: F.ranking_ndcg(hits.float(), torch.ones(2), 1), "hits are torch.float32"),
        (lambda: F.hit_rate(hits, torch.ones(2), 0), "k is 0"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_seen_nan_is_no_error():
    top, items = F.top_unseen(
        chunks_of(torch.tensor([[math.nan, 1.0]])), 2, 1, torch.tensor([0]), torch.tensor([0]), 2
    )
    assert (top.item(), items.item()) == (1.0, 1)
