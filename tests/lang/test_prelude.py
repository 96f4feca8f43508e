"""The prelude's functions against torch, at ordinary and at extreme arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lamina.lang import checked
from lamina.lang.check import load
from lamina.lang.library import prelude
from scipy import special


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    """torch's own functions, which are the reference here, in float64; other tests keep the default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


SCALAR = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "pow": lambda a, b: np.power(np.float64(a), b),
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "erfc": special.erfc,
    "sigmoid": special.expit,
    "softplus": lambda a: np.logaddexp(a, 0),
    "min": np.minimum,
    "max": np.maximum,
    "clamp": np.clip,
    "select": np.where,
}
REDUCE = {"sum": np.sum, "mean": np.mean, "max": np.max}


def evaluate(expression: checked.Expr, x: np.ndarray) -> np.ndarray:
    """The value of a checked expression of one tensor x[C]; reductions keep their axis."""
    if isinstance(expression, checked.Number):
        return np.float64(expression.value)
    if isinstance(expression, checked.Read):
        return x
    if isinstance(expression, checked.Apply):
        return SCALAR[expression.function](*(evaluate(argument, x) for argument in expression.arguments))
    assert isinstance(expression, checked.Reduce)
    return REDUCE[expression.operation](evaluate(expression.body, x), keepdims=True)


def value(call: str, x: list[float]) -> np.ndarray:
    layer = load(f"layer f {{ in x[C]  out y[C] = {call} }}")
    with np.errstate(all="ignore"):
        return np.broadcast_to(evaluate(layer.outs[0].value, np.array(x)), (len(x),))


POINTS = [-1e4, -800.0, -40.0, -6.5, -3.0, -1.0, -1e-3, -1e-12, 0.0, 1e-12, 1e-3, 0.7, 1.0, 3.0, 6.5, 40.0, 800.0, 1e4]
POINTWISE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu(x)": F.relu,
    "relu6(x)": F.relu6,
    "leaky_relu(x, 0.01)": F.leaky_relu,
    "elu(x)": F.elu,
    "celu(x, 2)": lambda x: F.celu(x, 2.0),
    "selu(x)": F.selu,
    "gelu(x)": lambda x: x * torch.from_numpy(special.ndtr(x.numpy())),
    "gelu_tanh(x)": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu(x)": lambda x: x * torch.sigmoid(1.702 * x),
    "silu(x)": F.silu,
    "mish(x)": F.mish,
    "square(x)": torch.square,
    "cube(x)": lambda x: x**3,
    "softsign(x)": F.softsign,
    "hardtanh(x)": F.hardtanh,
    "hardsigmoid(x)": F.hardsigmoid,
    "hardswish(x)": F.hardswish,
    "tanhshrink(x)": F.tanhshrink,
    "softshrink(x, 0.5)": F.softshrink,
    "hardshrink(x, 0.5)": F.hardshrink,
    "logsigmoid(x)": F.logsigmoid,
    "lerp(x, 2, 0.25)": lambda x: torch.lerp(x, torch.full_like(x, 2.0), 0.25),
    "heaviside(x)": lambda x: torch.heaviside(x, torch.zeros(())),
}
ALONG_AN_AXIS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax[C](x)": lambda x: torch.softmax(x, 0),
    "softmin[C](x)": lambda x: torch.softmax(-x, 0),
    "logsumexp[C](x)": lambda x: torch.logsumexp(x, 0),
    "log_softmax[C](x)": lambda x: torch.log_softmax(x, 0),
    "var[C](x)": lambda x: torch.var(x, correction=0),
    "std[C](x)": lambda x: torch.std(x, correction=0),
    "rms[C](x)": lambda x: x.square().mean().sqrt(),
    "l1_norm[C](x)": lambda x: torch.linalg.vector_norm(x, 1),
    "l2_norm[C](x)": lambda x: torch.linalg.vector_norm(x),
    "max_norm[C](x)": lambda x: torch.linalg.vector_norm(x, math.inf),
    "dot[C](x, 2 * x)": lambda x: 2 * (x @ x),
    "standardize[C](x, 1e-5)": lambda x: F.layer_norm(x[None], x.shape, eps=1e-5)[0],
}


@pytest.mark.parametrize("call", POINTWISE)
def test_pointwise(call: str) -> None:
    expected = POINTWISE[call](torch.tensor(POINTS)).numpy()
    np.testing.assert_allclose(value(call, POINTS), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("call", ALONG_AN_AXIS)
@pytest.mark.parametrize("points", [POINTS, [0.5, -0.25, 3.0], [1000.0, 1000.0], [-1000.0, -1001.0]])
def test_along_an_axis(call: str, points: list[float]) -> None:
    expected = ALONG_AN_AXIS[call](torch.tensor(points)).expand(len(points)).numpy()
    np.testing.assert_allclose(value(call, points), expected, rtol=1e-12, atol=1e-15)


def test_logit() -> None:
    points = [1e-300, 1e-9, 0.1, 0.5, 0.75, 1 - 1e-9]
    np.testing.assert_allclose(value("logit(x)", points), special.logit(points), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("points", [[-math.inf, -math.inf], [math.inf, 1.0], [-math.inf, 2.0], [1e308, 1e308]])
def test_logsumexp_of_infinities(points: list[float]) -> None:
    expected = torch.logsumexp(torch.tensor(points), 0).item()
    assert value("logsumexp[C](x)", points)[0] == expected


def test_every_function_is_tested() -> None:
    calls = " ".join([*POINTWISE, *ALONG_AN_AXIS, "logit(x)"])
    untested = [name for name in prelude().definition_names() if f"{name}(" not in calls and f"{name}[" not in calls]
    assert untested == ["finite_or_zero"]
