"""The operators of `tests/ir/operators.py` as compiled kernels, in value and gradient, against PyTorch and SciPy.

What the target refuses by name is in `REFUSED`, which is exact: an operator that compiles has to be taken off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache

import kernel_harness as harness
import networkx
import pytest
from kernel_harness import Case, Prepared
from lamina.passes.autodiff import NotDifferentiable
from lamina.runtime.program import NativeExecutable
from lamina.schedule.partition import NotLowered
from operators import Operator, all_operators
from test_operators import assert_close, gradients
from torch import Tensor

OPERATORS = all_operators()
REFUSED: set[str] = {
    "analytic signal",
    "avg_pool1d",
    "cat",
    "causal depthwise conv1d",
    "causal linear attention",
    "circular convolution by the convolution theorem",
    "complex linear map",
    "complex product and parts",
    "conv1d",
    "conv1d in groups",
    "conv1d padded through clamp",
    "conv1d padded through reflect",
    "conv1d padded through wrap",
    "conv1d padded through zero",
    "conv1d with stride, padding and dilation",
    "conv2d",
    "conv2d in groups, padded circularly",
    "conv2d with stride, padding and dilation",
    "conv3d",
    "cross product",
    "cross_entropy",
    "cross_entropy with smoothed labels",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumsum from the end",
    "cumsum in two dimensions",
    "cumulative trapezoid",
    "dct in two dimensions",
    "dct-II",
    "depthwise conv2d",
    "diagonal",
    "diagonal recurrence",
    "difference",
    "elementwise tanh recurrence",
    "embedding",
    "every second element",
    "exclusive cumsum",
    "exponential moving average",
    "fft",
    "fft of reals",
    "fft2",
    "fftshift",
    "flip",
    "fold",
    "gated recurrence",
    "gather",
    "graph convolution over neighbours",
    "grid_sample",
    "haar",
    "idct",
    "ifft",
    "index by two tensors",
    "index_select",
    "interpolate bilinear",
    "interpolate linear",
    "irfft",
    "irfft of odd length",
    "laplacian",
    "linear recurrent unit",
    "local_response_norm",
    "logcumsumexp",
    "long convolution",
    "low-pass filter",
    "lp_pool1d",
    "max_pool1d",
    "max_pool2d",
    "max_pool2d of positive values with padding",
    "moving average",
    "narrow",
    "pad1d through clamp",
    "pad1d through reflect",
    "pad1d through wrap",
    "pad1d through zero",
    "pad2d through clamp",
    "pad2d through reflect",
    "pad2d through wrap",
    "pad2d through zero",
    "phase rotation",
    "power spectrum",
    "rfft",
    "rfft of even length",
    "rfft of the first points",
    "rfft with padding",
    "rfft2 and back",
    "roll",
    "roll in two dimensions",
    "rot90",
    "rotary embedding",
    "running mean",
    "selective state space",
    "short-time spectrum",
    "sobel",
    "spectral convolution",
    "token shift",
    "total variation",
    "trace",
    "transposed conv1d",
    "transposed conv1d with stride and padding",
    "trapezoid",
    "unfold",
}
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
        with contextlib.suppress(NotDifferentiable, NotLowered, networkx.NetworkXUnbounded):
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
