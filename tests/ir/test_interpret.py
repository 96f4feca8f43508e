"""The interpreter against numpy, scipy and torch written by hand."""

from __future__ import annotations

import tracemalloc

import numpy
import pytest
import scipy.fft
import scipy.signal
import sympy
import torch
from graph_helpers import Const, Sketch, index
from lamina.errors import ArgumentError
from lamina.ir.graph import GatherSlot
from lamina.lang.checked import length_symbol

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
    for operation, expected in (("sum", 0.0), ("prod", 1.0)):
        s = Sketch({"A": None, "B": None}, {"x": "A B"})
        numpy.testing.assert_array_equal(s.out("y", "A", s.reduce(operation, s.whole("x"), "B")).run(x=data), [expected] * 3)
    s = Sketch({"A": None, "B": None}, {"x": "A B"})
    with pytest.raises(ArgumentError, match="max over B, which is empty"):
        s.out("y", "A", s.reduce("max", s.whole("x"), "B")).run(x=data)


def test_output_is_broadcast_along_axes_its_value_lacks():
    s = Sketch({"A": None, "B": None, "K": 3}, {"x": "A B"})
    data = normal(2, 4)
    found = s.out("y", "K B*A", s.sum(s.whole("x"), "B")).run(x=data)
    close(found, numpy.broadcast_to(numpy.tile(data.sum(1), 4), (3, 8)))


# ------------------------------------------------------------------------------------------------ reads


def test_split_axis_is_outer_times_inner():
    s = Sketch({"...": None, "G": 3, "C": None}, {"x": "... G*C", "a": "G"})
    data, a = normal(2, 12), normal(3)
    found = s.out("y", "... C*G", s("mul", s.whole("x"), s.whole("a"))).run(x=data, a=a)
    close(found, (data.reshape(2, 3, 4) * a[:, None]).transpose(0, 2, 1).reshape(2, 12))


def test_causal_convolution_by_a_zero_read():
    s = Sketch({"B": None, "H": None, "L": None, "K": None}, {"u": "B H L", "k": "H K"})
    shifted = s.read("u", index(B=1), index(H=1), index(L=1, K=-1), boundary="zero")
    y = s.sum(s("mul", s.whole("k"), shifted), "K")
    for length, taps in ((7, 3), (4, 6)):
        u, k = normal(2, 3, length), normal(3, taps)
        padded = torch.nn.functional.pad(torch.from_numpy(u), (taps - 1, 0))
        expected = torch.nn.functional.conv1d(padded, torch.from_numpy(k[:, None, ::-1].copy()), groups=3)
        s.outputs = []
        close(s.out("y", "B H L", y).run(u=u, k=k), expected.numpy(), rtol=1e-12)


def test_a_long_convolution_takes_no_window_apart():
    """A filter as long as its sequence; the window read would take 0.5 GiB."""
    s = Sketch({"H": None, "L": None, "K": None}, {"u": "H L", "k": "H K"})
    y = s.sum(s("mul", s.whole("k"), s.read("u", index(H=1), index(L=1, K=-1), boundary="zero")), "K")
    u, k = normal(4, 4096), normal(4, 4096)
    s.out("y", "H L", y)
    tracemalloc.start()
    found = s.run(u=u, k=k)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    close(found, scipy.signal.fftconvolve(u, k, axes=1)[:, :4096], rtol=1e-9, atol=1e-10)


def test_strided_dilated_convolution_in_two_dimensions():
    """Stride 2, dilation 3, padding 2 in one dimension; several channels."""
    axes = {"B": None, "C": None, "O": None, "H": None, "W": None, "P": None, "Q": None, "i": 3, "j": 2}
    axes |= {"P": (length_symbol("H") - 3) // 2 + 1, "Q": length_symbol("W") + 2 * 2 - 3}
    s = Sketch(axes, {"x": "B C H W", "w": "O C i j"})
    window = s.read("x", index(B=1), index(C=1), index(P=2, i=1), index(-2, Q=1, j=3), boundary="zero")
    y = s.sum(s("mul", s.whole("w"), window), "C", "i", "j")
    x, w = normal(2, 3, 9, 8), normal(4, 3, 3, 2)
    expected = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, w)), stride=(2, 1), padding=(0, 2), dilation=(1, 3))
    close(s.out("y", "B O P Q", y).run(x=x, w=w), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("boundary", "mode"), [("zero", "constant"), ("wrap", "circular"), ("clamp", "replicate"), ("reflect", "reflect")]
)
def test_boundaries_are_those_of_pad(boundary, mode):
    s = Sketch({"B": None, "C": None, "L": None, "T": length_symbol("L") + 7}, {"x": "B C L"})
    y = s.read("x", index(B=1), index(C=1), index(-3, T=1), boundary=boundary)
    x = normal(2, 3, 5)
    expected = torch.nn.functional.pad(torch.from_numpy(x), (3, 4), mode=mode)
    numpy.testing.assert_array_equal(s.out("y", "B C T", y).run(x=x), expected.numpy())


@pytest.mark.parametrize(("boundary", "mode"), [("wrap", "wrap"), ("clamp", "edge"), ("reflect", "reflect")])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_boundaries_far_outside(boundary, mode, length):
    s = Sketch({"L": None, "T": length_symbol("L") + 20}, {"x": "L"})
    x = normal(length)
    found = s.out("y", "T", s.read("x", index(-9, T=1), boundary=boundary)).run(x=x)
    numpy.testing.assert_array_equal(found, numpy.pad(x, (9, 11), mode=mode))


def test_zero_outside_an_empty_axis():
    s = Sketch({"L": None, "T": 3}, {"x": "L"})
    numpy.testing.assert_array_equal(s.out("y", "T", s.read("x", index(T=1), boundary="zero")).run(x=normal(0)), numpy.zeros(3))
    s = Sketch({"L": None, "T": 3}, {"x": "L"})
    with pytest.raises(ArgumentError, match="length being 0"):
        s.out("y", "T", s.read("x", index(T=1), boundary="clamp")).run(x=normal(0))


def test_zero_outside_holds_no_nan():
    s = Sketch({"L": None, "T": length_symbol("L") + 2}, {"x": "L"})
    found = s.out("y", "T", s.read("x", index(-1, T=1), boundary="zero")).run(x=numpy.full(2, numpy.nan))
    numpy.testing.assert_array_equal(found, [0, numpy.nan, numpy.nan, 0])


def test_a_read_outside_names_the_tensor_the_index_and_the_numbers():
    s = Sketch({"B": None, "P": 5, "L": None}, {"x": "B L"})
    s.out("y", "B P", s.read("x", index(B=1), index(1, P=2)))
    with pytest.raises(ArgumentError, match=r"x\[B, 2\*P\+1\]: 2\*P\+1 in dimension 1 runs from 1 to 9; expected 0..7"):
        s.run(x=normal(2, 8))
    assert s.run(x=normal(2, 10)).shape == (2, 5)
    assert s.run(x=normal(0, 10)).shape == (0, 5)


def test_diagonal_and_constant_indices():
    s = Sketch({"A": 4, "D": 4, "B": None}, {"x": "A D B"})
    data = normal(4, 4, 3)
    s.out("diagonal", "A B", s.read("x", index(A=1), index(A=1), index(B=1)))
    s.out("row", "B D", s.read("x", index(2), index(D=1), index(B=1)))
    found = s.run(x=data)
    close(found["diagonal"], numpy.einsum("aab->ab", data))
    close(found["row"], data[2].T)


def test_haar_by_even_and_odd_reads():
    symbol = length_symbol("P")
    s = Sketch({"B": None, "P": None, "x.1": 2 * symbol}, {"x": "B x.1"})
    even, odd = s.read("x", index(B=1), index(P=2)), s.read("x", index(B=1), index(1, P=2))
    s.out("low", "B P", s("add", even, odd)).out("high", "B P", s("sub", even, odd))
    data = normal(2, 8)
    found = s.run(x=data)
    close(found["low"], data[:, ::2] + data[:, 1::2])
    close(found["high"], data[:, ::2] - data[:, 1::2])


def test_embedding_gather():
    s = Sketch({"B": None, "T": None, "V": None, "D": None}, {"t": ("B T", "i64"), "w": "V D"})
    y = s.read("w", GatherSlot(1), index(D=1), gathered=[s.whole("t")])
    tokens, table = RANDOM.integers(0, 9, (2, 5)), normal(9, 3)
    close(s.out("y", "B T D", y).run(t=tokens, w=table), table[tokens])
    with pytest.raises(ArgumentError, match=r"expected 0\.\.8"):
        s.run(t=tokens + 9, w=table)


def test_gather_along_an_axis_shared_with_its_index():
    """torch.gather: the index varies along the axis that another dimension is read at."""
    s = Sketch({"B": None, "L": None, "K": None}, {"x": "B L", "i": ("B K", "i64")})
    x, i = normal(4, 6), RANDOM.integers(-2, 9, (4, 3))
    y = s.read("x", index(B=1), GatherSlot(1), boundary="wrap", gathered=[s.whole("i")])
    close(s.out("y", "B K", y).run(x=x, i=i), torch.gather(torch.from_numpy(x), 1, torch.from_numpy(i % 6)).numpy())


def test_a_computed_value_is_read_at_shifted_indices():
    s = Sketch({"B": None, "L": None, "N": 2}, {"x": "B L"})
    squared = s("mul", s.whole("x"), s.whole("x"))
    y = s.read_value(squared, "B L", index(B=1), index(-1, L=1), boundary="zero")
    x = normal(2, 5)
    expected = numpy.pad(x * x, ((0, 0), (1, 0)))[:, :-1]
    close(s.out("y", "B L", y).run(x=x), expected)
    s = Sketch({"B": None, "L": None, "N": 2}, {"x": "B L"})
    row = s.sum(s.whole("x"), "B")
    spread = s.read_value(row, "N L", index(1), index(L=1))  # broadcast along N, which it lacks
    close(s.out("y", "L", spread).run(x=x), x.sum(0))


# ------------------------------------------------------------------------------------------------ scatter


@pytest.mark.parametrize("boundary", ["zero", "wrap", "clamp", "reflect"])
def test_scatter_is_the_adjoint_of_read(boundary):
    """<read(x), y> = <x, scatter(y)>, an axis being both read whole and summed; a gathered index beside an affine one."""
    axes = {"B": None, "L": None, "k": 5, "M": None}
    tensors = {"x": "B L M", "y": "B L k", "i": ("B k", "i64")}
    indices = (index(B=1), index(-1, L=2, k=-3), GatherSlot(1))
    data = {"x": normal(2, 6, 4), "y": normal(2, 6, 5), "i": RANDOM.integers(-3, 8, (2, 5))}
    s = Sketch(axes, tensors)
    gathered = s.whole("i")
    taken = s.read("x", *indices, boundary=boundary, gathered=[gathered])
    spec = s.builder.inputs["x"]
    back = s("scatter", s.whole("y"), gathered, indices=indices, boundary=boundary, entries=spec.entries, over=("B", "L", "k"))
    assert s.builder.nodes[back].axes == ("B", "L", "M")
    s.out("taken", "B L k", taken).out("back", "B L M", back)
    found = s.run(**data)
    close((found["taken"] * data["y"]).sum(), (found["back"] * data["x"]).sum(), rtol=1e-12)
    tensor = torch.from_numpy(data["x"]).requires_grad_()
    position = -1 + 2 * numpy.arange(6)[:, None] - 3 * numpy.arange(5)
    fold = {"zero": lambda p, n: p, "wrap": lambda p, n: p % n, "clamp": lambda p, n: p.clip(0, n - 1), "reflect": reflected}[
        boundary
    ]
    inside = torch.from_numpy(((position >= 0) & (position < 6))[None] & ((data["i"] >= 0) & (data["i"] < 4))[:, None])
    first, second = (torch.from_numpy(fold(p, n)) for p, n in ((position, 6), (data["i"], 4)))
    value = tensor[torch.arange(2)[:, None, None], first[None] % 6, second[:, None] % 4]
    value = value * inside if boundary == "zero" else value
    (value * torch.from_numpy(data["y"])).sum().backward()
    close(found["taken"], value.detach().numpy())
    close(found["back"], tensor.grad.numpy(), rtol=1e-12, atol=1e-14)


def reflected(position: numpy.ndarray, length: int) -> numpy.ndarray:
    position = numpy.abs(position) % (2 * length - 2)
    return numpy.minimum(position, 2 * length - 2 - position)


def test_scatter_keeps_the_axes_it_does_not_sum():
    """Rest axes pass through; an axis shared with the entries selects the diagonal; a split dimension is addressed whole."""
    s = Sketch({"A": 3, "B": 2, "N": 4}, {"y": "A N", "i": ("A N", "i64")})
    entries = s.builder.inputs["y"].entries[:1]
    spread = s("scatter", s.whole("y"), s.whole("i"), indices=(GatherSlot(1),), boundary="zero", entries=entries, over=("N",))
    y, i = normal(3, 4), RANDOM.integers(0, 3, (3, 4))
    expected = [sum(y[a, n] for n in range(4) if i[a, n] == a) for a in range(3)]
    close(s.out("z", "A", spread).run(y=y, i=i), expected)
    s = Sketch({"A": 3, "B": 2, "N": 4, "T": None}, {"y": "T N"})
    entries = s.out("unused", "A*B", s.builder.const(0.0)).outputs[0].spec.entries
    spread = s("scatter", s.whole("y"), indices=(index(1, N=1),), boundary="clamp", entries=entries, over=("N",))
    y = normal(5, 4)
    found = s.out("z", "T A B", spread).run(y=y)["z"]
    close(found.reshape(5, 6)[:, 1:5], y)
    assert not found.reshape(5, 6)[:, [0, 5]].any()


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
    return s("scan", initial, step(carried), axis=axis, name=name)


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
