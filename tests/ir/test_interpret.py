"""The interpreter against numpy, scipy and torch written by hand."""

from __future__ import annotations

import numpy
import pytest
import scipy.fft
import scipy.signal
import sympy
import torch
from lamina.errors import ArgumentError
from lamina.lang.checked import length_symbol
from sketches import Const, Sketch, index

RANDOM = numpy.random.default_rng(0)
close = numpy.testing.assert_allclose


def normal(*shape: int) -> numpy.ndarray:
    return RANDOM.normal(size=shape)


def complex_normal(*shape: int) -> numpy.ndarray:
    return normal(*shape) + 1j * normal(*shape)


# ------------------------------------------------------------------------------------------------ pointwise and reductions


@pytest.mark.parametrize("leading", [(), (3,), (2, 0), (2, 3, 4)])
def test_pointwise_over_leading_dimensions(leading):
    """silu with a weight per channel; the dimensions of `...` come back as they were."""
    s = Sketch({"...": None, "C": None}, {"x": "... C", "w": "C"})
    x = s.whole("x")
    y = s("mul", s.whole("w"), s("mul", x, s("sigmoid", x)))
    data, w = normal(*leading, 5), normal(5)
    found = s.out("y", "... C", y).run(x=data, w=w)
    assert found.shape == data.shape
    close(found, w * torch.nn.functional.silu(torch.from_numpy(data)).numpy(), rtol=1e-14)


def test_softmax_over_a_middle_axis():
    s = Sketch({"A": None, "B": None, "C": None}, {"x": "A B C"})
    x = s.whole("x")
    shifted = s("exp", s("sub", x, s.reduce("max", x, "B")))
    y = s("div", shifted, s.sum(shifted, "B"))
    data = normal(2, 5, 3)
    close(s.out("y", "A B C", y).run(x=data), torch.softmax(torch.from_numpy(data), 1).numpy(), rtol=1e-13)


def test_layer_norm():
    s = Sketch({"...": None, "C": None}, {"x": "... C", "w": "C", "b": "C"})
    x, count = s.whole("x"), s("length", length=length_symbol("C"))
    centred = s("sub", x, s("div", s.sum(x, "C"), count))
    variance = s("div", s.sum(s("mul", centred, centred), "C"), count)
    unit = s("mul", centred, s("rsqrt", s("add", variance, Const(1e-5))))
    y = s("add", s("mul", unit, s.whole("w")), s.whole("b"))
    data, w, b = normal(4, 3, 7), normal(7), normal(7)
    expected = torch.nn.functional.layer_norm(*map(torch.from_numpy, (data,)), (7,), torch.from_numpy(w), torch.from_numpy(b))
    close(s.out("y", "... C", y).run(x=data, w=w, b=b), expected.numpy(), rtol=1e-12)


def test_reductions_over_several_axes():
    data = normal(3, 4, 5)
    for operation, function in (("sum", numpy.sum), ("prod", numpy.prod), ("max", numpy.max), ("min", numpy.min)):
        s = Sketch({"A": None, "B": None, "C": None}, {"x": "A B C"})
        close(s.out("y", "B", s.reduce(operation, s.whole("x"), "A", "C")).run(x=data), function(data, axis=(0, 2)))
    s = Sketch({"A": None, "B": None, "C": None}, {"x": "A B C"})
    large = s("gt", s.whole("x"), Const(1.0))
    s.out("any", "A B", s.reduce("any", large, "C")).out("all", "A B", s.reduce("all", large, "C"))
    s.out("count", "A B", s.sum(large, "C"))
    found = s.run(x=data)
    numpy.testing.assert_array_equal(found["any"], (data > 1).any(2))
    numpy.testing.assert_array_equal(found["all"], (data > 1).all(2))
    numpy.testing.assert_array_equal(found["count"], (data > 1).sum(2))
    assert [found[name].dtype for name in ("any", "all", "count")] == [bool, bool, numpy.int64]


def test_nan_passes_through_extrema():
    data = numpy.array([[1.0, numpy.nan, 2.0], [3.0, 4.0, 5.0]])
    for operation, expected in (("max", [numpy.nan, 5.0]), ("min", [numpy.nan, 3.0])):
        s = Sketch({"A": None, "B": None}, {"x": "A B"})
        numpy.testing.assert_array_equal(s.out("y", "A", s.reduce(operation, s.whole("x"), "B")).run(x=data), expected)
    s = Sketch({"A": None, "B": None}, {"x": "A B"})
    y = s("max", s.whole("x"), Const(2.0))
    numpy.testing.assert_array_equal(s.out("y", "A B", y).run(x=data), numpy.maximum(data, 2.0))


def test_empty_reductions():
    data = numpy.zeros((3, 0))
    for operation, expected in (("sum", 0.0), ("prod", 1.0), ("max", -numpy.inf), ("min", numpy.inf)):
        s = Sketch({"A": None, "B": None}, {"x": "A B"})
        numpy.testing.assert_array_equal(s.out("y", "A", s.reduce(operation, s.whole("x"), "B")).run(x=data), [expected] * 3)


def test_output_is_broadcast_along_axes_its_value_lacks():
    s = Sketch({"A": None, "B": None, "K": 3}, {"x": "A B"})
    data = normal(2, 4)
    found = s.out("y", "K B*A", s.sum(s.whole("x"), "B")).run(x=data)
    close(found, numpy.broadcast_to(numpy.tile(data.sum(1), 4), (3, 8)))


# ------------------------------------------------------------------------------------------------ contractions


def test_a_sum_of_a_product_needs_no_intermediate():
    """A matrix product whose three-dimensional product would take 16 GiB."""
    s = Sketch({"...": None, "I": None, "O": None}, {"x": "... I", "w": "O I", "b": "O"})
    y = s("add", s.sum(s("mul", s.whole("x"), s.whole("w")), "I"), s.whole("b"))
    x, w, b = normal(4, 1024, 512), normal(1024, 512), normal(1024)
    close(s.out("y", "... O", y).run(x=x, w=w, b=b), x @ w.T + b, rtol=1e-10, atol=1e-10)


def test_a_product_of_three_factors():
    s = Sketch({"A": None, "B": None, "C": None, "D": None}, {"x": "A B", "y": "B C", "z": "C D"})
    product = s("mul", s("mul", s.whole("x"), s.whole("y")), s.whole("z"))
    s.out("chain", "D A", s.sum(product, "B", "C"))
    s.out("whole", "A B C D", product)  # used by itself too
    x, y, z = normal(3, 4), normal(4, 5), normal(5, 2)
    found = s.run(x=x, y=y, z=z)
    close(found["chain"], (x @ y @ z).T, rtol=1e-12)
    close(found["whole"], numpy.einsum("ab,bc,cd->abcd", x, y, z), rtol=1e-12)


def test_contract_keeps_kinds():
    s = Sketch({"A": None, "B": None}, {"x": ("A B", "complex"), "y": "B", "i": ("A B", "i64")})
    s.out("c", "A", s("contract", s.whole("x"), s.whole("y"), over=("B",)))
    s.out("i", "A", s("contract", s.whole("i"), s("gt", s.whole("y"), Const(0.0)), over=("B",)))
    x, y, i = complex_normal(3, 4), normal(4), RANDOM.integers(-5, 5, (3, 4))
    found = s.run(x=x, y=y, i=i)
    close(found["c"], x @ y)
    numpy.testing.assert_array_equal(found["i"], i @ (y > 0))
    assert found["i"].dtype == numpy.int64


def test_attention_with_a_causal_mask():
    s = Sketch({"B": None, "H": None, "I": None, "J": None, "D": None}, {"q": "B H I D", "k": "B H J D", "v": "B H J D"})
    scores = s("div", s.sum(s("mul", s.whole("q"), s.whole("k")), "D"), s("sqrt", s("length", length=length_symbol("D"))))
    visible = s("le", s("index", axis="J"), s("index", axis="I"))
    scores = s("select", visible, scores, Const(-numpy.inf))
    weights = s("exp", s("sub", scores, s.reduce("max", scores, "J")))
    weights = s("div", weights, s.sum(weights, "J"))
    y = s.sum(s("mul", weights, s.whole("v")), "J")
    q, k, v = normal(2, 3, 5, 4), normal(2, 3, 5, 4), normal(2, 3, 5, 4)
    expected = torch.nn.functional.scaled_dot_product_attention(*map(torch.from_numpy, (q, k, v)), is_causal=True)
    close(s.out("y", "B H I D", y).run(q=q, k=k, v=v), expected.numpy(), rtol=1e-12)


def test_stack_and_slice():
    s = Sketch({"A": None, "B": None, "K": 3}, {"x": "A B"})
    x = s.whole("x")
    stacked = s("stack", x, s.sum(x, "A"), s.builder.const(2), axis="K")
    s.out("y", "K A B", stacked).out("z", "A B", s("slice", stacked, axis="K", position=1))
    data = normal(2, 3)
    found = s.run(x=data)
    close(found["y"], numpy.stack([data, numpy.broadcast_to(data.sum(0), (2, 3)), numpy.full((2, 3), 2.0)]))
    close(found["z"], numpy.broadcast_to(data.sum(0), (2, 3)))


# ------------------------------------------------------------------------------------------------ transforms


@pytest.mark.parametrize("length", [1, 7, 8])
@pytest.mark.parametrize("points", [None, 5, 12])
@pytest.mark.parametrize("function", ["fft", "ifft", "rfft", "irfft"])
def test_fourier_transforms_are_torch(function, length, points):
    """With zero padding and truncation; the transformed axis is in the middle."""
    n = length_symbol("X") if points is None else sympy.Integer(points)
    if function == "irfft" and points is None:
        n = 2 * length_symbol("X")
    bins = {"fft": n, "ifft": n, "rfft": sympy.floor(n / 2) + 1, "irfft": n}[function]
    real = function == "rfft"
    s = Sketch({"B": None, "X": None, "C": None, "F": bins}, {"x": ("B X C", "float" if real else "complex")})
    y = s("transform", s.whole("x"), function=function, source="X", target="F", n=n)
    data = normal(2, length, 3) if real else complex_normal(2, length, 3)
    count = 2 * length if function == "irfft" and points is None else points
    expected = getattr(torch.fft, function)(torch.from_numpy(data), n=count, dim=1)
    close(s.out("y", "B F C", y).run(x=data), expected.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("points", [None, 4, 9])
@pytest.mark.parametrize("function", ["dct", "idct"])
def test_cosine_transforms_are_scipy(function, points):
    n = length_symbol("X") if points is None else sympy.Integer(points)
    s = Sketch({"X": None, "C": None, "F": n}, {"x": "X C"})
    y = s("transform", s.whole("x"), function=function, source="X", target="F", n=n)
    data = normal(6, 3)
    close(s.out("y", "C F", y).run(x=data), getattr(scipy.fft, function)(data, n=points, axis=0).T, rtol=1e-12, atol=1e-14)


def test_transform_of_a_constant_and_of_an_empty_batch():
    s = Sketch({"X": None, "C": None, "F": length_symbol("X")}, {"x": "X C"})
    y = s("transform", s.builder.const(3.0), function="fft", source="X", target="F", n=length_symbol("X"))
    z = s("transform", s.whole("x"), function="fft", source="X", target="F", n=length_symbol("X"))
    found = s.out("y", "F", y).out("z", "F C", z).run(x=numpy.zeros((4, 0)))
    close(found["y"], [12, 0, 0, 0])
    assert found["z"].shape == (4, 0)
    with pytest.raises(ArgumentError, match="fft along X: expected at least one point, found length 0"):
        s.run(x=numpy.zeros((0, 2)))


# ------------------------------------------------------------------------------------------------ scans


def recurrence(s: Sketch, axis: str, initial: int, axes: tuple[str, ...], step, name: str = "h", kind: str = "real") -> int:
    carried = s("carried", name=name, kind=kind, axes=axes)
    return s("scan", initial, step(carried), axis=axis, names=(name,), result=0, reverse=False)


def test_running_sum_in_the_middle_axis():
    s = Sketch({"B": None, "L": None, "D": None}, {"x": "B L D"})
    y = recurrence(s, "L", s.builder.const(0.0), ("B", "D"), lambda h: s("add", h, s.whole("x")))
    s.out("y", "B L D", y)
    for length in (0, 1, 6):
        data = normal(2, length, 3)
        close(s.run(x=data), data.cumsum(1), rtol=1e-13)


def test_linear_recurrence_with_an_initial_value():
    """The running index inside the body counts the steps; a later value uses the scan shifted."""
    s = Sketch({"B": None, "L": None, "D": None}, {"x": "B L D", "a": "D", "h0": "B D"})

    def step(h):
        return s("add", s("add", s("mul", s.whole("a"), h), s.whole("x")), s("index", axis="L"))

    h = recurrence(s, "L", s.whole("h0"), ("B", "D"), step)
    earlier = s.read_value(h, "B L D", index(B=1), index(-1, L=1), index(D=1), boundary="zero")
    x, a, h0 = normal(2, 5, 3), normal(3), normal(2, 3)
    found = s.out("h", "B L D", h).out("earlier", "B L D", earlier).run(x=x, a=a, h0=h0)
    state, states = h0, []
    for t in range(5):
        state = a * state + x[:, t] + t
        states.append(state)
    close(found["h"], numpy.stack(states, 1), rtol=1e-12)
    close(found["earlier"], numpy.stack([numpy.zeros_like(h0), *states[:-1]], 1), rtol=1e-12)


def test_scan_with_a_matrix_product_in_its_step():
    """h_k <- tanh(sum_j w[k, j] h_j + x): the running value under another axis name, summed within the step."""
    s = Sketch({"L": None, "K": None, "J": length_symbol("K")}, {"x": "L K", "w": "K J"})

    def step(h):
        inner = s.read_value(h, "K", index(J=1))
        return s("tanh", s("add", s.sum(s("mul", s.whole("w"), inner), "J"), s.whole("x")))

    h = recurrence(s, "L", s.builder.const(0.0), ("K",), step)
    x, w = normal(6, 3), normal(3, 3)
    state, states = numpy.zeros(3), []
    for t in range(6):
        state = numpy.tanh(w @ state + x[t])
        states.append(state)
    close(s.out("h", "L K", h).run(x=x, w=w), states, rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_coupled_running_values_step_at_once(reverse: bool):
    """(a, b) <- (b + x, 0.5 * a * b) with different axes; the same scan read at either value."""
    s = Sketch({"L": None, "D": None}, {"x": "L D", "b0": "D"})
    a = s("carried", name="a", kind="real", axes=("D",))
    b = s("carried", name="b", kind="real", axes=("D",))
    bodies = (s("add", b, s.whole("x")), s("mul", s("mul", Const(0.5), a), b))
    initials = (s.builder.const(1.0), s.whole("b0"))
    for number, name in enumerate("ab"):
        s.out(name, "L D", s("scan", *initials, *bodies, axis="L", names=("a", "b"), result=number, reverse=reverse))
    for length in (0, 1, 5):
        x, b0 = normal(length, 3), normal(3)
        states, pair = [], (numpy.ones(3), b0)
        for row in x[::-1] if reverse else x:
            pair = (pair[1] + row, 0.5 * pair[0] * pair[1])
            states.append(pair)
        found = s.run(x=x, b0=b0)
        for number, name in enumerate("ab"):
            expected = numpy.array([each[number] for each in states]).reshape(length, 3)
            close(found[name], expected[::-1] if reverse else expected, rtol=1e-12)


def test_scan_inside_a_scan():
    """The inner running value varies along the outer axis, of which each outer step sees one position."""
    s = Sketch({"L": None, "M": None}, {"x": "L M"})

    def outer(h):
        def within(g):
            return s("add", s("mul", g, Const(0.5)), s("mul", s("add", h, Const(1.0)), s.whole("x")))

        inner = recurrence(s, "M", s.builder.const(1.0), ("L",), within, "g")
        return s("add", s.sum(inner, "M"), s("mul", h, Const(0.25)))

    y = recurrence(s, "L", s.builder.const(0.0), (), outer)
    x = normal(4, 3)
    h, expected = 0.0, []
    for row in x:
        g, total = 1.0, 0.0
        for value in row:
            g = 0.5 * g + (h + 1) * value
            total += g
        h = total + 0.25 * h
        expected.append(h)
    close(s.out("y", "L", y).run(x=x), expected, rtol=1e-12)


# ------------------------------------------------------------------------------------------------ arguments


def test_arguments_are_checked_by_name():
    s = Sketch({"B": None, "I": None}, {"x": "B I", "i": ("I", "i64")})
    s.out("y", "B I", s("mul", s.whole("x"), s.whole("i")))
    with pytest.raises(ArgumentError, match="i: expected a tensor, found none"):
        s.run(x=normal(2, 3))
    with pytest.raises(ArgumentError, match="i: expected values of i64, found float64"):
        s.run(x=normal(2, 3), i=normal(3))
    with pytest.raises(ArgumentError, match=r"i: dimension 0 must be I = 3, found 4"):
        s.run(x=normal(2, 3), i=numpy.arange(4))


def test_inputs_are_not_written_to():
    s = Sketch({"L": None}, {"x": "L"})
    x = numpy.arange(3.0)
    found = s.out("y", "L", s.whole("x")).run(x=x)
    found += 1
    numpy.testing.assert_array_equal(x, [0, 1, 2])
