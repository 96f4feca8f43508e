"""The operators of `tests/ir/operators.py` as compiled kernels, in value and gradient, against PyTorch and SciPy.

What the target refuses by name is in `REFUSED`, which is exact: an operator that compiles has to be taken off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache

import kernel_harness as harness
import pytest
from kernel_harness import Case, Prepared
from lamina.passes.autodiff import NotDifferentiable
from lamina.runtime.program import NativeExecutable
from lamina.schedule.partition import NotLowered
from operators import Operator, all_operators
from test_operators import assert_close, gradients
from torch import Tensor

OPERATORS = all_operators()
REFUSED: set[str] = set()
UNIT = 12  # operators built together
NAMES = list(OPERATORS)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def prepared(operator: Operator) -> tuple[list[Prepared], bool]:
    """The forward and the backward program; whether one is refused, which then is left out."""
    for orders in (1, 0) if operator.has_gradient else (0,):
        case = Case(operator.text, {}, layer="f", orders=orders, dtypes=("f64",), derived_from_math=True)
        with contextlib.suppress(NotDifferentiable, NotLowered):
            return harness.prepare(case), orders != int(operator.has_gradient)
    return [], True


@cache
def built(unit: int) -> dict[str, tuple[list[tuple[Prepared, NativeExecutable]], bool]]:
    programs = {name: prepared(OPERATORS[name]) for name in NAMES[unit * UNIT : (unit + 1) * UNIT]}
    executables = iter(harness.build_together([each.program for one, _ in programs.values() for each in one], "operators"))
    return {name: ([(each, next(executables)) for each in one], refused) for name, (one, refused) in programs.items()}


@pytest.mark.parametrize("name", NAMES)
def test_compiled(name: str) -> None:
    operator = OPERATORS[name]
    programs, refused = built(NAMES.index(name) // UNIT)[name]
    assert refused == (name in REFUSED)
    if not programs:
        return
    (forward, run_forward), *rest = programs
    tensors: dict[str, Tensor] = operator.tensors()
    results = harness.run(run_forward, forward.graph, tensors, 2)
    outs = [output.spec.name for output in forward.graph.outputs if output.spec.role == "out"]
    for out, expected in zip(outs, operator.expected(tensors), strict=True):
        assert_close(results[out].numpy(), expected, out)
    for backward, run_backward in rest:
        cotangents, expected_gradients = gradients(operator)
        given = {**tensors, **results, **{f"grad_{out}": cotangents[out] for out in cotangents}}
        found = harness.run(run_backward, backward.graph, {spec.name: given[spec.name] for spec in backward.graph.inputs}, 2)
        for tensor, wanted in expected_gradients.items():
            assert_close(found[f"grad_{tensor}"].numpy(), wanted, tensor)
