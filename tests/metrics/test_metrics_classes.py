import math
import pickle
import warnings
from copy import deepcopy

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing import start_processes
from torchmetrics import MetricCollection

from invlightning import metrics as M
from invlightning.metrics import functional as F

ROW_METRICS = [M.AUC, M.GroupAUC, M.NDCG, M.MRR, M.HARM, M.LabeledMetrics, M.LogLoss]
RANKING_METRICS = [M.Recall, M.RankingNDCG, M.RankingMRR, M.HitRate, M.RankingMetrics, M.Disliked]


def random_rows(num_rows=400, num_users=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(num_rows, generator=generator).mul(4).round().div(4)
    labels = (torch.rand(num_rows, generator=generator) < 0.4).float()
    return scores, labels, torch.randint(num_users, (num_rows,), generator=generator)


def random_hits(num_users=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hits = torch.rand(num_users, 20, generator=generator) < 0.1
    extra = torch.randint(3, (num_users,), generator=generator)
    return hits, hits.sum(1) + extra


def batches(metric):
    return random_rows() if type(metric) in ROW_METRICS else random_hits()


def fed(metric, size=None):
    """The metric after updates with batches of this size; None gives all in one batch."""
    inputs = batches(metric)
    for batch in zip(*(part.split(size or len(part)) for part in inputs), strict=True):
        metric.update(*batch)
    return metric


def values(result):
    return list(result.values()) if isinstance(result, dict) else [result]


def assert_close(result, expected, rel=1e-12):
    for value, other in zip(values(result), values(expected), strict=True):
        assert value.item() == pytest.approx(other.item(), rel=rel, nan_ok=True)


@pytest.mark.parametrize("cls", ROW_METRICS + RANKING_METRICS)
def test_how_rows_are_batched_does_not_matter(cls):
    assert_close(fed(cls(), 7).compute(), fed(cls()).compute())


def test_single_metrics_equal_the_functions():
    scores, labels, users = random_rows()
    rows = scores, labels, users
    expected = {
        M.AUC(): F.auc(scores, labels),
        M.GroupAUC(): F.group_auc(*rows),
        M.NDCG(3): F.ndcg(*rows, 3),
        M.MRR(): F.mrr(*rows),
        M.HARM(3): F.harm(*rows, 3),
        M.LogLoss(): F.log_loss(scores, labels),
    }
    for metric, value in expected.items():
        assert_close(fed(metric).compute(), value)
    hits, num_targets = random_hits()
    assert_close(fed(M.Recall(5)).compute(), F.recall(hits, num_targets, 5).mean)
    assert_close(fed(M.RankingNDCG(5)).compute(), F.ranking_ndcg(hits, num_targets, 5).mean)
    assert_close(fed(M.HitRate(5)).compute(), F.hit_rate(hits, num_targets, 5).mean)
    assert_close(fed(M.RankingMRR(5)).compute(), F.ranking_mrr(hits, num_targets, 5).mean)


def test_labeled_metrics_equal_the_single_ones():
    singles = {
        "auc": M.AUC(),
        "gauc": M.GroupAUC(),
        "ndcg@4": M.NDCG(4),
        "mrr": M.MRR(),
        "harm@4": M.HARM(4),
        "log_loss": M.LogLoss(),
    }
    result = fed(M.LabeledMetrics(4)).compute()
    assert list(result) == list(singles)
    assert_close(result, {name: fed(metric).compute() for name, metric in singles.items()})


def test_ranking_metrics_equal_the_single_ones():
    singles = {
        "recall@5": M.Recall(5),
        "recall@20": M.Recall(20),
        "full_ndcg@5": M.RankingNDCG(5),
        "full_ndcg@20": M.RankingNDCG(20),
        "hit_rate@5": M.HitRate(5),
        "hit_rate@20": M.HitRate(20),
        "full_mrr@5": M.RankingMRR(5),
        "full_mrr@20": M.RankingMRR(20),
    }
    result = fed(M.RankingMetrics([5, 20])).compute()
    assert list(result) == list(singles)
    assert_close(result, {name: fed(metric).compute() for name, metric in singles.items()})


def test_disliked_is_the_recall_of_dislikes():
    """Seen to fail with the share of recommended items that are disliked."""
    result = fed(M.Disliked([5, 20])).compute()
    assert list(result) == ["disliked@5", "disliked@20"]
    assert_close(result, {k: fed(M.Recall(k)).compute() for k in (5, 20)})
    assert M.Disliked().higher_is_better is False


@pytest.mark.parametrize("cls", [M.GroupAUC, M.NDCG, M.MRR, M.HARM, M.LabeledMetrics])
def test_users_without_both_classes_are_counted(cls):
    metric = cls()
    users = torch.tensor([0, 0, 1, 1, 2, 3, 3])
    metric.update(torch.arange(7.0), torch.tensor([0, 1, 1, 1, 0, 0, 0]), users)
    metric.compute()
    assert metric.num_skipped == 3


@pytest.mark.parametrize("cls", RANKING_METRICS)
def test_users_without_targets_are_counted(cls):
    metric = cls()
    hits = torch.tensor([[True], [False], [False]])
    metric.update(hits, torch.tensor([1, 0, 0]))
    assert all(value == 1 for value in values(metric.compute()))
    assert metric.num_skipped == 2


@pytest.mark.parametrize("cls", ROW_METRICS + RANKING_METRICS)
def test_pickle_copy_and_reset(cls):
    metric = fed(cls(), 7)
    expected = metric.compute()
    assert_close(pickle.loads(pickle.dumps(fed(cls(), 7))).compute(), expected)
    assert_close(deepcopy(metric).compute(), expected)
    metric.reset()
    assert_close(fed(metric, 7).compute(), expected)
    assert metric.state_dict() == {}
    assert (metric.is_differentiable, metric.full_state_update) == (False, False)


@pytest.mark.parametrize("cls", ROW_METRICS + RANKING_METRICS)
@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_without_rows_every_value_is_nan(cls):
    assert all(value.isnan() for value in values(cls().compute()))


def test_a_collection_keeps_the_rows_once():
    singles = [M.AUC(), M.GroupAUC(), M.NDCG(), M.MRR(), M.HARM(), M.LogLoss()]
    collection = MetricCollection(singles)
    for batch in zip(*(part.split(64) for part in random_rows()), strict=True):
        collection.update(*batch)
    assert sorted(map(len, collection.compute_groups.values())) == [1, 5]
    result = collection.compute()
    assert collection.NDCG.scores is collection.AUC.scores
    for metric in singles:
        assert_close(result[type(metric).__name__], fed(type(metric)()).compute())


def test_a_collection_keeps_ranking_metrics_apart_when_the_first_batch_has_no_hit():
    # All sums are then zero, and torchmetrics takes equal states of equal names for one metric.
    parts = {"r5": M.Recall(5), "r20": M.Recall(20), "ndcg": M.RankingNDCG(), "hit": M.HitRate()}
    collection = MetricCollection(dict(parts))
    first = torch.zeros(4, 20, dtype=torch.bool), torch.ones(4)
    for batch in (first, random_hits()):
        collection.update(*batch)
    result = collection.compute()
    for name, metric in parts.items():
        alone = type(metric)(metric.ks[0])
        alone.update(*first)
        assert_close(result[name], fed(alone).compute())


def test_sums_survive_a_module_in_half_precision():
    module = nn.ModuleList([M.LogLoss(), M.RankingMetrics()]).to(torch.bfloat16)
    for metric in module:
        assert_close(fed(metric, 1).compute(), fed(type(metric)(), 1).compute())


def test_half_precision_scores_under_autocast():
    scores, labels, users = random_rows()
    plain, cast = M.LabeledMetrics(), M.LabeledMetrics()
    plain.update(scores, labels, users)
    with torch.autocast("cpu", torch.bfloat16):
        cast.update(scores.bfloat16(), labels.int(), users.int())
        result = cast.compute()
    assert_close(result, plain.compute())  # the scores are multiples of 1/4: no rounding


def test_scores_are_kept_without_their_graph():
    metric = M.AUC()
    scores = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    metric.update(scores, torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert not metric.scores[0].requires_grad
    log_loss = M.LogLoss()
    log_loss.update(scores, torch.tensor([0, 1]))
    assert not log_loss.log_loss.requires_grad
    assert log_loss.compute().item() == pytest.approx(math.log(2))


def updated(metric, *batch):
    metric.update(*batch)
    return metric


two, labels, users = torch.tensor([0.5, 1.0]), torch.tensor([0, 1]), torch.tensor([0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: M.AUC().update(two, labels[:1], users), "expected one entry a row"),
        (lambda: M.LogLoss().update(two, labels[:1]), "expected one entry a row"),
        (lambda: M.AUC().update(two, labels, two), "users are torch.float32"),
        (lambda: M.HitRate().update(two, labels), r"expected \(B, K\) and \(B,\)"),
        (lambda: updated(M.GroupAUC(), two / 0 * 0, labels, users).compute(), "scores are nan"),
        (lambda: updated(M.AUC(), two, two, users).compute(), "neither 0 nor 1"),
        (lambda: updated(M.LogLoss(), two, two).compute(), "the log loss is nan"),
        (lambda: updated(M.LogLoss(), two / 0 * 0, labels).compute(), "the log loss is nan"),
        (lambda: M.RankingMetrics([]), "ks is empty"),
        *[
            (lambda cls=cls: cls(0), "k is 0")
            for cls in (M.NDCG, M.HARM, M.LabeledMetrics, *RANKING_METRICS[:-2])
        ],
        (lambda: M.RankingMetrics([20, 0]), "k is 0"),
        (lambda: M.Disliked([20, 0]), "k is 0"),
        (lambda: M.Disliked([]), "ks is empty"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def both_halves(rank, folder):
    """One of two processes: uneven shares of the rows, then all rows on the first process."""
    warnings.simplefilter("ignore")  # the second process computes without an update
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = []
    for first_share in (0.3, 1.0):
        # A module in bfloat16 casts float states, on the process without rows for good.
        module = nn.ModuleList(cls() for cls in ROW_METRICS + RANKING_METRICS).to(torch.bfloat16)
        for metric in module:
            inputs = batches(metric)
            cut = int(first_share * len(inputs[0]))
            share = [part[:cut] if rank == 0 else part[cut:] for part in inputs]
            if len(share[0]) > 0:
                metric.update(*share)
            results.append([metric.compute(), getattr(metric, "num_skipped", 0)])
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.ddp
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python >= 3.12, of any fork
def test_two_processes_equal_one(tmp_path):
    """Failed when ranks averaged their own values and when an empty rank had no typed state."""
    start_processes(both_halves, args=(str(tmp_path),), nprocs=2, start_method="fork")
    alone = [fed(cls()) for cls in ROW_METRICS + RANKING_METRICS] * 2
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt")
        for metric, (result, num_skipped) in zip(alone, results, strict=True):
            assert_close(result, metric.compute())
            assert num_skipped == getattr(metric, "num_skipped", 0)
