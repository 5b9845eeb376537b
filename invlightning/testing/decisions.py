"""Conformance suite of the decisions."""

import copy
import inspect
import io
import json
import math
import pickle
import pydoc
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from invlightning.inverse import Decision, DirectionName, StepContext, StepRecord
from invlightning.specs import to_spec
from invlightning.testing.inner_steps import UNUSED_ITEM, UNUSED_USER, InnerStepProblem

DIRECTIONS: tuple[DirectionName, ...] = ("adam", "sgd", "sign")


class DecisionTests:
    """Contract of :class:`~invlightning.inverse.Decision`.

    Attributes:
        decision: The class or a factory, called without arguments.
        problem: Makes the model to take steps on, called as :class:`InnerStepProblem`.
        measures_risk: False for a decision that never looks at the labeled risk.
    """

    decision: Callable[[], Decision]
    problem: Callable[..., InnerStepProblem] = InnerStepProblem
    measures_risk: bool = True

    def make(self) -> Decision:
        """Returns a fresh decision."""
        value = inspect.getattr_static(type(self), "decision")
        factory = value.__func__ if isinstance(value, staticmethod) else value
        decision: Decision = factory()
        return decision

    def steps(
        self, decision: Decision, count: int = 6, sparse: bool = False
    ) -> tuple[list[StepRecord], list[Tensor]]:
        """Takes steps on several batches; returns the records and the parameters afterwards."""
        problem, records = self.problem(sparse=sparse), []
        for seed in range(count):
            problem.rows = self.problem(seed=seed).rows
            records.append(problem.step(decision))
        return records, problem.values()

    def test_record(self) -> None:
        """Shares of rows sum to one; risks are those of the candidates or unknown."""
        records, _ = self.steps(self.make())
        for record in records:
            assert record.shares.shape == record.risks.shape == (3,)
            assert not record.shares.requires_grad
            assert not record.risks.requires_grad
            assert ((record.shares >= 0) & (record.shares <= 1)).all()
            assert abs(float(record.shares.sum()) - 1) < 1e-6
            assert not record.risks.isinf().any()

    def test_moves_somewhere(self) -> None:
        """Some step changes the parameters, and only by finite values, for every rule."""
        for direction in DIRECTIONS:
            decision, changed = self.make(), False
            for seed in range(6):
                problem = self.problem(seed=seed)
                before = problem.values()
                record = problem.step(decision, direction=direction)
                after = problem.values()
                changed |= not _equal(after, before)
                assert all(value.isfinite().all() for value in after)
                assert float(record.shares[0]) < 1 or _equal(after, before)
            assert changed, direction

    def test_only_what_the_unlabeled_rows_touch_moves(self) -> None:
        """Other parameters and other rows of tables stay as they are, bit for bit."""
        for sparse in (False, True):
            for direction in DIRECTIONS:
                problem = self.problem(sparse=sparse)
                before = copy.deepcopy(problem)
                problem.step(self.make(), direction=direction)
                assert torch.equal(problem.offset, before.offset)
                for row, name in ((UNUSED_USER, "users"), (UNUSED_ITEM, "items")):
                    tables = (getattr(p, name).weight for p in (problem, before))
                    assert torch.equal(*(table[row] for table in tables))

    def test_sparse_tables_move_as_dense_ones(self) -> None:
        """Row-sparse gradients give the parameters and records of dense ones."""
        dense, expected = self.steps(self.make())
        sparse, found = self.steps(self.make(), sparse=True)
        assert _close(found, expected)
        assert _close([r.shares for r in sparse], [r.shares for r in dense])

    def test_gradients_of_parameters_are_left_alone(self) -> None:
        """``grad`` stays what it was, or None."""
        problem = self.problem()
        kept = {"layer.weight": torch.ones(1, 4, dtype=torch.float64)}
        problem.layer.weight.grad = kept["layer.weight"].clone()
        problem.step(self.make())
        for name, parameter in problem.named_parameters():
            if name in kept:
                assert parameter.grad is not None
                assert torch.equal(parameter.grad, kept[name])
            else:
                assert parameter.grad is None

    def test_equal_states_give_equal_steps(self) -> None:
        """Fresh decisions agree, and so do copies of one that has taken steps."""
        decision, other = self.make(), self.make()
        assert _equal(self.steps(decision)[1], self.steps(other)[1])
        twins = [copy.deepcopy(decision), pickle.loads(pickle.dumps(decision))]
        expected = self.steps(decision)[1]
        for twin in twins:
            assert _equal(self.steps(twin)[1], expected)

    def test_state_goes_through_a_checkpoint(self) -> None:
        """A fresh decision with the loaded state goes on as the one that was saved."""
        decision, fresh = self.make(), self.make()
        self.steps(decision)
        buffer = io.BytesIO()
        torch.save(decision.state_dict(), buffer)
        expected = self.steps(decision)
        buffer.seek(0)
        fresh.load_state_dict(torch.load(buffer, weights_only=True))
        assert _equal(self.steps(fresh)[1], expected[1])
        assert _same_state(fresh.state_dict(), decision.state_dict())

    def test_nothing_that_overflows_moves(self) -> None:
        """Neither one unlabeled row nor the risk; the next step works again."""
        for sparse in (False, True):
            for factor in (math.nan, math.inf):
                cases = ((factor, 1.0), (1.0, factor)) if self.measures_risk else ((factor, 1.0),)
                for logit, risk in cases:
                    decision, problem = self.make(), self.problem(sparse=sparse)
                    before, state = problem.values(), copy.deepcopy(decision.state_dict())
                    problem.logit_factor, problem.risk_factor = logit, risk
                    for _ in range(3):
                        record = problem.step(decision)
                        if math.isfinite(risk) or decision.looks_at_rows:
                            assert record.shares.tolist() == [1, 0, 0]
                    assert _equal(problem.values(), before)
                    assert _same_state(decision.state_dict(), state)
                    assert _equal(self.steps(decision)[1], self.steps(self.make())[1])

    def test_steps_that_are_not_taken_leave_no_trace(self) -> None:
        """Many of them, in single precision: nothing drifts."""
        decision, problem = self.make(), self.problem(dtype=torch.float32)
        before = problem.values()
        problem.logit_factor = math.nan
        for _ in range(30):
            problem.step(decision, inner_lr=0.37, direction="adam")
        assert _equal(problem.values(), before)

    def test_a_failure_puts_the_parameters_back(self) -> None:
        """Whichever forward pass raises; the decision is as before, too."""
        decision, fails_at = self.make(), 0
        while True:
            fails_at += 1
            problem = self.problem()
            problem.fails_at = fails_at
            before, state = problem.values(), copy.deepcopy(decision.state_dict())
            try:
                problem.step(decision)
            except ArithmeticError:
                assert _equal(problem.values(), before), f"forward pass {fails_at}"
                assert _same_state(decision.state_dict(), state), f"forward pass {fails_at}"
            else:
                break
        assert fails_at > 1

    def test_processes_with_equal_rows_step_as_one(self) -> None:
        """Averaging over processes that all have the same rows changes nothing."""
        alone, together = self.problem(), self.problem()
        alone.step(self.make())
        seen: list[Tensor] = []

        def mean(values: Tensor) -> Tensor:
            seen.append(values)
            return (values + values) / 2

        together.step(self.make(), context=StepContext(mean))
        assert _equal(together.values(), alone.values())
        agreed = 1 + self.measures_risk
        assert len(seen) >= agreed, "a direction and what is decided on must be agreed on"

    def test_a_gradient_scaler_leaves_no_trace(self) -> None:
        """The step is the same at any scale; an overflow lowers the scale and moves nothing."""
        plain, scaled = self.problem(), self.problem()
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        plain.step(self.make())
        scaled.step(self.make(), context=StepContext(scaler=scaler))
        assert _close(scaled.values(), plain.values())
        assert scaler.get_scale() == 1024
        before = scaled.values()
        scaled.logit_factor = math.inf
        scaled.step(self.make(), context=StepContext(scaler=scaler))
        assert _equal(scaled.values(), before)
        assert scaler.get_scale() == 512

    def test_nothing_leaves_the_device(self) -> None:
        """A step reads no value back: it runs where tensors have shapes only."""
        record = self.problem(device="meta").step(self.make())
        assert record.shares.device.type == "meta"

    def test_half_precision(self) -> None:
        """Parameters of bfloat16 stay finite and of that type."""
        problem = self.problem(dtype=torch.bfloat16)
        record = problem.step(self.make(), inner_lr=0.1)
        assert record.shares.dtype == torch.float32
        assert all(value.isfinite().all() for value in problem.values())
        assert all(value.dtype == torch.bfloat16 for value in problem.values())

    def test_spec_leads_back_to_the_class(self) -> None:
        """The description for checkpoints is plain and gives an equal decision."""
        decision = self.make()
        spec = to_spec(decision)
        assert json.loads(json.dumps(spec)) == spec
        cls: Any = pydoc.locate(spec["class_path"])
        assert cls is type(decision)
        assert to_spec(cls(**decision.init_args)) == spec
        assert _equal(self.steps(cls(**decision.init_args))[1], self.steps(decision)[1])


def _equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def _close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    return all(bool(((a - b).abs() < 1e-9).all()) for a, b in zip(found, expected, strict=True))


def _same_state(found: Any, expected: Any) -> bool:
    """Whether two states hold the same values."""
    if isinstance(expected, Tensor):
        return torch.equal(found.to(expected.dtype), expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            _same_state(found[name], value) for name, value in expected.items()
        )
    return bool(found == expected)
