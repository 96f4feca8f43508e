"""The table of scalar ops: every record against an independent source, every derivative against finite differences."""

from __future__ import annotations

import mpmath
import numpy
import pytest
import scipy.interpolate
import torch
from lamina.ir.scalar_ops import SCALAR_OPS
from sketches import Const, Sketch

POINTS = 64
# ops whose first operand is an integer order, with the orders to test
ORDERS = {"polygamma": (1, 2), "bspline": (0, 1, 2, 3), "chebyshev": (0, 1, 5), "legendre": (0, 1, 5), "hermite": (0, 1, 5)}
# rules that are applied only after the polynomial is expanded
EXPANDED = ("chebyshev", "legendre", "hermite")


def basis_spline(degree: int, t: torch.Tensor) -> torch.Tensor:
    spline = scipy.interpolate.BSpline.basis_element(numpy.arange(degree + 2.0), extrapolate=False)
    return torch.from_numpy(numpy.nan_to_num(spline(t.numpy()), nan=0.0))


def polynomial(function):
    return lambda order, t: function(t, torch.tensor(order))


INDEPENDENT = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "pow": torch.pow,
    "abs": torch.abs,
    "sign": torch.sign,
    "remainder": lambda x, y: torch.remainder(x.long(), y.long()),
    "floor": torch.floor,
    "round": torch.round,
    "min": torch.minimum,
    "max": torch.maximum,
    "clamp": torch.clamp,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
    "select": lambda c, x, y: torch.where(c != 0, x, y),
    "to_real": lambda x: x.double(),
    "hypot": torch.hypot,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": torch.log,
    "log2": torch.log2,
    "log1p": torch.log1p,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "acosh": torch.acosh,
    "atanh": torch.atanh,
    "atan": torch.atan,
    "atan2": torch.atan2,
    "asin": torch.asin,
    "acos": torch.acos,
    "sigmoid": torch.sigmoid,
    "softplus": torch.nn.functional.softplus,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "lgamma": torch.lgamma,
    "digamma": torch.digamma,
    "polygamma": lambda order, x: torch.tensor(
        [float(mpmath.polygamma(order, value)) for value in x.tolist()], dtype=torch.float64
    ),
    "re": lambda x: x,
    "im": torch.zeros_like,
    "conj": lambda x: x,
    "complex": torch.complex,
    "bspline": basis_spline,
    "chebyshev": polynomial(torch.special.chebyshev_polynomial_t),
    "legendre": polynomial(torch.special.legendre_polynomial_p),
    "hermite": polynomial(torch.special.hermite_polynomial_h),
}
CASES = [(name, order) for name in SCALAR_OPS for order in ORDERS.get(name, (None,))]


def has_slope(name: str) -> bool:
    return name not in EXPANDED and SCALAR_OPS[name].kind not in ("bool", "int", "complex")


def sketch(name: str, order: int | None, kinds: tuple[str, ...]) -> tuple[Sketch, tuple[int, ...], int]:
    """A graph of one op over one axis, its operand numbers and its result."""
    s = Sketch({"N": None}, {f"x{slot}": ("N", kind) for slot, kind in enumerate(kinds)})
    operands = [s.whole(f"x{slot}") for slot in range(len(kinds))]
    if order is not None:
        operands[0] = s.builder.const(order)
    return s, tuple(operands), s(name, *operands)


def draw(name: str, seed: int) -> list[numpy.ndarray]:
    generator = numpy.random.default_rng(seed)
    return [generator.uniform(low, high, POINTS) for low, high in SCALAR_OPS[name].ranges]


def test_every_record_has_an_independent_source():
    assert sorted(INDEPENDENT) == sorted(SCALAR_OPS)


@pytest.mark.parametrize(("name", "order"), CASES)
def test_reference(name: str, order: int | None):
    s, _, result = sketch(name, order, ("float",) * SCALAR_OPS[name].arity)
    values = draw(name, 1)
    found = s.out("y", "N", result).run(**{f"x{slot}": value for slot, value in enumerate(values)})
    arguments = [torch.from_numpy(value) for value in values]
    expected = INDEPENDENT[name](*((order, arguments[1]) if order is not None else arguments))
    numpy.testing.assert_allclose(found, expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "order"), [case for case in CASES if has_slope(case[0])])
def test_derivative_is_the_slope(name: str, order: int | None):
    """The gradient graph of sum(w * op(...)) against central differences; None must mean a slope of 0."""
    record = SCALAR_OPS[name]
    s, operands, result = sketch(name, order, ("float",) * record.arity)
    values = draw(name, 2)
    weight = s.builder.const(1.0)
    shares = record.derivative(s.builder, operands, result, weight)
    assert len(shares) == record.arity
    step = 1e-5
    for slot, share in enumerate(shares):
        if order is not None and slot == 0:
            assert share is None
            continue
        ahead, behind = ([value + sign * step * (k == slot) for k, value in enumerate(values)] for sign in (1, -1))
        slope = (value_of(name, order, ahead) - value_of(name, order, behind)) / (2 * step)
        jumps = numpy.abs(slope) > 0.1 / step  # a step within the difference
        gradient = numpy.zeros(POINTS)
        if share is not None:
            gradient = gradient_of(name, order, slot, values)
        numpy.testing.assert_allclose(gradient[~jumps], slope[~jumps], rtol=2e-6, atol=2e-6)
        assert jumps.sum() <= 2


def value_of(name: str, order: int | None, values: list[numpy.ndarray]) -> numpy.ndarray:
    s, _, result = sketch(name, order, ("float",) * len(values))
    return s.out("y", "N", result).run(**{f"x{slot}": value for slot, value in enumerate(values)}) * 1.0


def gradient_of(name: str, order: int | None, slot: int, values: list[numpy.ndarray]) -> numpy.ndarray:
    s, operands, result = sketch(name, order, ("float",) * len(values))
    shares = SCALAR_OPS[name].derivative(s.builder, operands, result, s.builder.const(1.0))
    share = shares[slot]
    if s.builder.nodes[share].kind == "complex":  # what a real operand of a complex function gets
        share = s("re", share)
    return s.out("g", "N", share).run(**{f"x{k}": value for k, value in enumerate(values)})


COMPLEX = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "conj": torch.conj,
    "re": torch.real,
    "im": torch.imag,
    "select": None,
    "eq": None,
    "ne": None,
    "pow": None,
    "complex": None,
}
FUNCTIONS = "sqrt rsqrt exp exp2 expm1 log log2 log1p sin cos tan sinh cosh tanh asinh acosh atanh asin acos atan sigmoid"
COMPLEX |= {name: getattr(torch, name) for name in FUNCTIONS.split()}


def test_complex_ops_are_all_tested():
    allowed = [name for name, record in SCALAR_OPS.items() if record.complex_allowed or name in ("re", "im", "complex")]
    assert sorted(allowed) == sorted(COMPLEX)


def complex_values(generator: numpy.random.Generator) -> numpy.ndarray:
    return generator.normal(size=POINTS) + 1j * generator.normal(size=POINTS)


def compare_complex(name: str, build, function, values: list[numpy.ndarray], kinds: tuple[str, ...]) -> None:
    """Value and gradient of build(sketch, operands) against torch's for `function`."""
    s = Sketch({"N": None}, {**{f"x{k}": ("N", kind) for k, kind in enumerate(kinds)}, "g": ("N", "complex"), "h": "N"})
    operands = tuple(s.whole(f"x{k}") for k in range(len(kinds)))
    op, arguments = build(s, operands)
    result = s(op, *arguments)
    complex_result = s.builder.nodes[result].kind == "complex"
    shares = SCALAR_OPS[op].derivative(s.builder, arguments, result, s.whole("g" if complex_result else "h"))
    s.out("y", "N", result)
    wanted = [slot for slot, argument in enumerate(arguments) if argument in operands and shares[slot] is not None]
    for slot in wanted:
        share = shares[slot]
        if kinds[operands.index(arguments[slot])] == "float" and s.builder.nodes[share].kind == "complex":
            share = s("re", share)
        s.out(f"d{operands.index(arguments[slot])}", "N", share)
    generator = numpy.random.default_rng(9)
    cotangents = {"g": complex_values(generator), "h": generator.normal(size=POINTS)}
    found = s.run(**{f"x{k}": value for k, value in enumerate(values)}, **cotangents)
    found = found if isinstance(found, dict) else {"y": found}
    tensors = [torch.from_numpy(value).requires_grad_() for value in values]
    expected = function(*tensors)
    numpy.testing.assert_allclose(found["y"], expected.detach().resolve_conj().numpy(), rtol=1e-12, atol=1e-12)
    expected.backward(torch.from_numpy(cotangents["g" if complex_result else "h"]))
    for slot in wanted:
        k = operands.index(arguments[slot])
        numpy.testing.assert_allclose(found[f"d{k}"], tensors[k].grad.resolve_conj().numpy(), rtol=1e-11, atol=1e-11)
    assert wanted


@pytest.mark.parametrize(
    ("name", "mixed"),
    [(name, mixed) for name in COMPLEX if COMPLEX[name] for mixed in ((False, True) if SCALAR_OPS[name].arity == 2 else (False,))],
)
def test_complex(name: str, mixed: bool):
    arity = SCALAR_OPS[name].arity
    generator = numpy.random.default_rng(3)
    kinds = ("float" if mixed else "complex", "complex")[:arity]
    values = [generator.normal(size=POINTS) if kind == "float" else complex_values(generator) for kind in kinds]
    compare_complex(name, lambda s, o: (name, o), COMPLEX[name], values, kinds)


@pytest.mark.parametrize("exponent", [-2, 0, 1, 3])
def test_complex_power(exponent: int):
    values = [complex_values(numpy.random.default_rng(4))]
    if exponent == 0:
        s = Sketch({"N": None}, {"x": ("N", "complex")})
        x, n = s.whole("x"), s.builder.const(0)
        assert SCALAR_OPS["pow"].derivative(s.builder, (x, n), s("pow", x, n), x) == (None, None)
        return
    compare_complex("pow", lambda s, o: ("pow", (o[0], s.builder.const(exponent))), lambda z: z**exponent, values, ("complex",))


def test_complex_of_parts():
    generator = numpy.random.default_rng(5)
    values = [generator.normal(size=POINTS), generator.normal(size=POINTS)]
    compare_complex("complex", lambda s, o: ("complex", o), torch.complex, values, ("float", "float"))


def test_complex_choice_and_comparison():
    generator = numpy.random.default_rng(6)
    x, y = complex_values(generator), complex_values(generator)
    y[:10] = x[:10]
    s = Sketch({"N": None}, {"x": ("N", "complex"), "y": ("N", "complex")})
    same = s("eq", s.whole("x"), s.whole("y"))
    s.out("same", "N", same).out("other", "N", s("ne", s.whole("x"), s.whole("y")))
    s.out("chosen", "N", s("select", same, s("neg", s.whole("x")), s.whole("y")))
    found = s.run(x=x, y=y)
    assert found["same"].sum() == 10 and (found["same"] != found["other"]).all()
    numpy.testing.assert_array_equal(found["chosen"], numpy.where(x == y, -x, y))


@pytest.mark.parametrize(("name", "function"), [("hypot", torch.hypot), ("atan2", torch.atan2)])
def test_gradient_at_the_origin_is_zero(name: str, function):
    zero = numpy.zeros(POINTS)
    for slot in (0, 1):
        tensors = [torch.zeros(POINTS, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        if name == "atan2":
            function(*tensors).sum().backward()
            numpy.testing.assert_array_equal(tensors[slot].grad.numpy(), zero)
        numpy.testing.assert_array_equal(gradient_of(name, None, slot, [zero, zero]), zero)


@pytest.mark.parametrize(("name", "points"), [("max", (0.0, 0.0)), ("min", (1.0, 1.0)), ("abs", (0.0,)), ("pow", (0.0, 0.0))])
def test_conventions_are_torch(name: str, points: tuple[float, ...]):
    """Ties of max and min are shared, the gradient of abs at 0 is 0, and that of 0^0 is 0 in both operands."""
    tensors = [torch.tensor([point], dtype=torch.float64, requires_grad=True) for point in points]
    INDEPENDENT[name](*tensors).sum().backward()
    for slot, tensor in enumerate(tensors):
        values = [numpy.full(POINTS, point) for point in points]
        numpy.testing.assert_array_equal(gradient_of(name, None, slot, values), numpy.full(POINTS, tensor.grad.item()))


@pytest.mark.parametrize("name", ["max", "min", "clamp"])
def test_values_and_gradients_at_ties_and_nan_are_torch(name: str):
    arity = len(SCALAR_OPS[name].ranges)
    grid = numpy.meshgrid(*[[1.0, 2.0, 3.0, numpy.nan]] * arity)
    values = [points.ravel() for points in grid]
    tensors = [torch.tensor(points, requires_grad=True) for points in values]
    expected = INDEPENDENT[name](*tensors)
    expected.sum().backward()
    numpy.testing.assert_array_equal(value_of(name, None, values), expected.detach().numpy())
    for slot, tensor in enumerate(tensors):
        numpy.testing.assert_array_equal(gradient_of(name, None, slot, values), tensor.grad.numpy())


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("constant", [False, True])
def test_integer_powers(exponent: int, constant: bool):
    """x^n with n an integer constant, and an integer value: torch's value and gradient, at 0 and below it too."""
    x = numpy.array([-2.0, -0.5, 0.0, 0.5, 3.0])
    s = Sketch({"N": None, "K": 1}, {"x": "N"})
    base = s.whole("x")
    n = s.builder.const(exponent) if constant else s("add", s("index", axis="K"), Const(exponent))
    result = s("pow", base, n)
    share = SCALAR_OPS["pow"].derivative(s.builder, (base, n), result, s.builder.const(1.0))[0]
    share = s.builder.const(0.0) if share is None else share
    found = s.out("y", "N K", result).out("g", "N K", share).run(x=x)
    tensor = torch.from_numpy(x).requires_grad_()
    value = tensor**exponent
    value.sum().backward()
    numpy.testing.assert_allclose(found["y"][:, 0], value.detach().numpy())
    numpy.testing.assert_allclose(found["g"][:, 0], tensor.grad.numpy())


def test_orders_that_vary_along_an_axis():
    """Each position of the order's axis has its own degree."""
    s = Sketch({"N": None, "K": 4}, {"x": "N"})
    order, x = s("index", axis="K"), s.whole("x")
    for name in ("bspline", "chebyshev", "legendre", "hermite"):
        s.out(name, "K N", s(name, order, x))
    points = numpy.random.default_rng(8).uniform(-1, 3, POINTS)
    found = s.run(x=points)
    for name, values in found.items():
        for degree in range(4):
            expected = INDEPENDENT[name](degree, torch.from_numpy(points))
            numpy.testing.assert_allclose(values[degree], expected.numpy(), rtol=1e-12, atol=1e-12)


def test_sign_of_nan_is_zero_as_in_torch():
    values = numpy.array([numpy.nan, -numpy.inf, -2.0, 0.0, numpy.inf])
    expected = torch.sign(torch.from_numpy(values)).numpy()
    numpy.testing.assert_array_equal(SCALAR_OPS["sign"].reference(values), expected)
