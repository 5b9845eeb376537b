"""The listing of what an inverse gradient step runs through."""

import re
import sys

import pytest

from benchmarks import step_path


@pytest.fixture(scope="module")
def path():
    return step_path.step_path()


def methods(path):
    return {name.rpartition(".")[2] for names in path.values() for name in names}


def test_the_step_and_both_its_ends_are_listed(path):
    """Seen to fail when the listener stops before the end of the batch, or starts after it."""
    assert "step" in {name.rpartition(".")[2] for name in path["inverse/engine.py"]}
    assert {"on_train_batch_start", "on_train_batch_end", "training_step"} <= methods(path)


def test_other_parts_of_training_are_not_listed(path):
    """Seen to fail when the listener is never stopped, or lists lambdas."""
    assert not {"on_train_epoch_end", "validation_step", "on_fit_start"} & methods(path)
    assert not any(name.endswith(">") for names in path.values() for name in names)


def test_the_total_is_that_of_the_list(path, capsys):
    step_path.main()
    *_, last = capsys.readouterr().out.splitlines()
    files, functions = map(int, re.fullmatch(r"(\d+) files, (\d+) functions", last).groups())
    assert (files, functions) == (len(path), sum(map(len, path.values())))
    assert functions > files > 0


def test_another_profiler_listens_again_afterwards():
    """Seen to fail when the one that was there before is not put back."""

    def other(*_):
        return None

    before = sys.getprofile()
    sys.setprofile(other)
    try:
        step_path.step_path()
        assert sys.getprofile() is other
    finally:
        sys.setprofile(before)
