"""Reads and their adjoints: index maps, boundaries, gathers and views, against numpy and torch."""

from __future__ import annotations

import tracemalloc

import numpy
import pytest
import scipy.signal
import torch
from lamina.errors import ArgumentError
from lamina.ir.graph import GatherSlot
from lamina.lang.checked import length_symbol
from sketches import Sketch, index

RANDOM = numpy.random.default_rng(0)
close = numpy.testing.assert_allclose


def normal(*shape: int) -> numpy.ndarray:
    return RANDOM.normal(size=shape)


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
    with pytest.raises(ArgumentError, match="length 0"):
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
