"""The benchmark suite runs; nothing here is about time."""

import json

import pytest
import torch

from benchmarks import figures as module
from benchmarks import reading
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.captured import ADAM, CapturedTraining
from benchmarks.figures import Figure
from benchmarks.scale import make_training, peak_over_need
from benchmarks.steps import draw_rows
from benchmarks.timing import interleave
from invlightning.backbones import GMF
from tests.helpers.graph_double import GraphDouble


@pytest.mark.parametrize(
    ("higher", "measured", "met"),
    [(False, 1.4, True), (False, 1.4001, False), (True, 1.4, True), (True, 1.3999, False)],
)
def test_targets_are_bounds_and_nothing_is_rounded(higher, measured, met):
    assert Figure("f", measured, 1.4, higher_is_better=higher).met is met
    assert Figure("f", measured).met is None


def test_rounds_alternate_and_medians_are_taken():
    now, order = [0.0], []

    def candidate(name, durations):
        def run():
            order.append(name)
            now[0] += next(durations)

        return run

    candidates = {
        "a": candidate("a", iter([100.0, 1.0, 9.0, 2.0])),
        "b": candidate("b", iter([100.0, 5.0, 4.0, 6.0])),
    }
    seconds = interleave(candidates, rounds=3, clock=lambda: now[0], warm_up=1)
    assert seconds == {"a": 2.0, "b": 5.0}
    assert order == ["b", "a", "a", "b", "b", "a", "a", "b"]


@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - {"reading"}))
def test_every_benchmark_gives_figures(name):
    found = BENCHMARKS[name](True)
    assert found or name in ("accelerator", "captured")
    for figure in found:
        assert figure.measured > 0
        assert figure.name in module.table([figure])


@pytest.mark.parametrize(("eager", "graph"), [("plain",) * 2, ("inverse_gradient", "ig")])
def test_captured_steps_are_those_they_are_compared_with(eager, graph, monkeypatch):
    double, weights = GraphDouble(monkeypatch), []
    for step in (eager, f"captured_{graph}"):
        torch.manual_seed(0)
        backbone = GMF(30, 20, embedding_dim=4)
        training = CapturedTraining(backbone, ADAM, draw_rows(30, 20, 16, "cpu", 3))
        training.capture()
        double._module = backbone
        for _ in range(5):
            getattr(training, step)()
        weights.append(torch.cat([p.detach().flatten() for p in backbone.parameters()]))
    assert torch.equal(*weights)
    assert double.replayed >= 4


def test_reading(tmp_path):
    """In this process; the benchmark itself starts fresh ones for their peak memory."""
    path = tmp_path / "ratings.csv"
    reading.write_table(path, 3_000)
    found = reading.prepare(path)
    assert 2_900 < found["rows"] <= 3_000
    assert min(found["wall"], found["cpu"], found["peak"]) > 0


def test_memory_is_measured_against_parameters_and_two_moments():
    """Its value means something in a fresh process only."""
    _, need = peak_over_need(50, 30, 16)
    assert need == 4 * 3 * (16 * (50 + 30) + 16 + 1)


def test_results_are_written(tmp_path, monkeypatch, capsys):
    figure = Figure("some figure", 2.0, 1.0, unit="s")
    monkeypatch.setattr("benchmarks.__main__.BENCHMARKS", {"one": lambda quick: [figure]})
    main(["--quick", "--output", str(tmp_path)])
    assert "| some figure | <= 1 s | 2 s | NO |  |" in capsys.readouterr().out
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["figures"][0]["met"] is False
    assert content["machine"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert len(content["step_time"]) == 2
    assert (tmp_path / "speed.png").stat().st_size > 1000


def test_row_sparse_and_dense_training_of_the_suite_agree():
    """What is timed as row-sparse and as dense are the same steps where every row is touched."""
    sparse, dense = (make_training(5, 4, 64, is_sparse) for is_sparse in (True, False))
    for training in (sparse, dense):
        training.engine.rule = lambda gradient: gradient  # the sign of a zero gradient is noise
        for _ in range(3):
            training.inverse_gradient()
    for found, expected in zip(sparse.parameters, dense.parameters, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_readme_tells_figures_and_what_was_missed():
    figures = [Figure("a", 1.503, 1.3), Figure("b", 7.014, 2.5, True, "M/s"), Figure("c", 0.5)]
    assert module.brief_table(figures).splitlines()[2:] == [
        "| a | 1.5 (missed) | ≤ 1.3 |",
        "| b | 7.01 M/s | ≥ 2.5 M/s |",
        "| c | 0.5 |  |",
    ]
