"""Specifications built into graphs and interpreted, against torch and numpy written by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import pytest
import scipy.fft
import torch
from lamina.errors import ArgumentError
from lamina.ir.build import build
from lamina.ir.graph import Graph
from lamina.ir.interpret import interpret
from lamina.ir.text import parse, to_text
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.lang.checked import Apply, CheckedLayer, Number, Out
from lamina.spans import Span

RANDOM = numpy.random.default_rng(0)
close = numpy.testing.assert_allclose


def normal(*shape: int) -> numpy.ndarray:
    return RANDOM.normal(size=shape)


def graph_of(body: str, **sizes: int) -> Graph:
    """The graph of a layer with this body and these sizes, verified and written out and read back on the way."""
    head = f"layer example({', '.join(sizes)})" if sizes else "layer example"
    graph = build(load(f"{head} {{ {body} }}", sizes=sizes))
    verify(graph)
    assert parse(to_text(graph)) == graph
    return graph


def run(body: str, lengths: dict[str, int] | None = None, sizes: dict[str, int] | None = None, **tensors):
    """The outputs of a layer with this body: the only one by itself, several by name."""
    found = interpret(graph_of(body, **(sizes or {})), tensors, lengths)
    return next(iter(found.values())) if len(found) == 1 else found


# ------------------------------------------------------------------------------------------------ whole layers


def test_linear():
    x, w, b = normal(2, 3, 5), normal(4, 5), normal(4)
    found = run("in x[..., I]  param w[O, I] = 0  param b[O] = 0  out y[..., O] = sum[I](x * w) + b", x=x, w=w, b=b)
    close(found, x @ w.T + b, rtol=1e-12)


def test_group_rational():
    body = """in x[..., G*C]  param a[G, M+1] = 0  param b[G, N] = 0
    let p = sum[i < M+1](a[G, i] * x^i)  let q = 1 + abs(sum[j < N](b[G, j] * x^(j+1)))  out y[..., G*C] = p / q"""
    x, a, b = normal(2, 6), normal(3, 6), normal(3, 4)
    found = run(body, sizes={"G": 3, "M": 5, "N": 4}, x=x, a=a, b=b)
    split = x.reshape(2, 3, 2)
    numerator = sum(a[:, i, None] * split**i for i in range(6))
    denominator = 1 + abs(sum(b[:, j, None] * split ** (j + 1) for j in range(4)))
    close(found, (numerator / denominator).reshape(2, 6), rtol=1e-12)


def test_gated_long_convolution():
    body = """in u[B, H, L]  in v[B, H, L]  param k[H, K] = normal(0.02)  param d[H] = 1
    let s = u * v  out y[B, H, L] = v * (sum[t < K](k[H, t] * zero(s)[B, H, L - t]) + d * s)"""
    u, v, k, d = normal(2, 3, 6), normal(2, 3, 6), normal(3, 4), normal(3)
    s = u * v
    convolved = numpy.stack([numpy.convolve(s[b, h], k[h])[:6] for b in range(2) for h in range(3)]).reshape(2, 3, 6)
    close(run(body, u=u, v=v, k=k, d=d), v * (convolved + d[:, None] * s), rtol=1e-12)


@pytest.mark.parametrize("length", [8, 9])
def test_spectral_convolution(length):
    body = """in u[B, I, X]  param w[O, I, M]: complex = normal(1/I)  axis F = X/2 + 1  let z = rfft[X -> F](u)
    let s = sum[I](select(index(F) < M, z * clamp(w)[O, I, F], 0))  out y[B, O, X] = irfft[F -> X](s)"""
    u, w = normal(2, 3, length), normal(4, 3, 2) + 1j * normal(4, 3, 2)
    spectrum = torch.fft.rfft(torch.from_numpy(u))
    modes = torch.zeros(2, 4, length // 2 + 1, dtype=torch.complex128)
    modes[..., :2] = torch.einsum("bim,oim->bom", spectrum[..., :2], torch.from_numpy(w))
    close(run(body, u=u, w=w), torch.fft.irfft(modes, n=length).numpy(), rtol=1e-11, atol=1e-13)


def test_evonorm():
    body = """in x[B, G*C, H, W]  param v[G*C] = 1  param g[G*C] = 1  param b[G*C] = 0  let m = mean[C, H, W](x)
    let s = sqrt(mean[C, H, W]((x - m)^2) + 1e-5)  out y[B, G*C, H, W] = x * sigmoid(v*x) / s * g + b"""
    x, v, g, b = normal(2, 6, 3, 4), normal(6), normal(6), normal(6)
    deviation = numpy.sqrt(x.reshape(2, 3, 2, 3, 4).var(axis=(2, 3, 4), keepdims=True) + 1e-5)
    gate = x / (1 + numpy.exp(-v[:, None, None] * x))
    expected = (gate.reshape(2, 3, 2, 3, 4) / deviation).reshape(x.shape) * g[:, None, None] + b[:, None, None]
    close(run(body, sizes={"G": 3}, x=x, v=v, g=g, b=b), expected, rtol=1e-12)


def test_haar_in_two_dimensions():
    body = """in x[B, C, 2*P, 2*Q]  let a = x[B, C, 2*P, 2*Q]  let b = x[B, C, 2*P, 2*Q+1]  let c = x[B, C, 2*P+1, 2*Q]
    let d = x[B, C, 2*P+1, 2*Q+1]  out ll[B, C, P, Q] = (a+b+c+d)/2  out hh[B, C, P, Q] = (a-b-c+d)/2"""
    x = normal(2, 3, 4, 6)
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    found = run(body, x=x)
    close(found["ll"], (a + b + c + d) / 2)
    close(found["hh"], (a - b - c + d) / 2)
    with pytest.raises(ArgumentError, match=r"x: dimension 2 must be 2\*P, a multiple of 2, found 5"):
        run(body, x=normal(2, 3, 5, 6))


def test_diagonal_recurrence():
    x, a = normal(2, 5, 3), normal(3)
    found = run("in x[B, L, D]  param a[D] = 1  out h[B, L, D] = scan[L](s = 0 : a*s + x)", x=x, a=a)
    state, states = numpy.zeros((2, 3)), []
    for t in range(5):
        state = a * state + x[:, t]
        states.append(state)
    close(found, numpy.stack(states, 1), rtol=1e-12)


def test_chebyshev_and_spline_bases():
    x, w = normal(4, 3), normal(2, 3, 5)
    body = "in x[..., I]  param w[O, I, D+1] = 0  let t = tanh(x)  out y[..., O] = sum[I, d < D+1](w[O, I, d] * chebyshev(d, t))"
    found = run(body, sizes={"O": 2, "D": 4}, x=x, w=w)
    basis = numpy.cos(numpy.arange(5) * numpy.arccos(numpy.tanh(x))[..., None])
    close(found, numpy.einsum("oid,nid->no", w, basis), rtol=1e-10)
    body = "in x[N]  param w[G+P] = 0  let t = (x + 1) * G / 2  out y[N] = sum[j < G+P](w[j] * bspline(P, t - j + P))"
    points, weights = RANDOM.uniform(-1, 1, 20), normal(8)
    knots = (numpy.arange(5 + 2 * 3 + 1) - 3) * 2 / 5 - 1
    expected = scipy.interpolate.BSpline(knots, weights, 3)(points)
    close(run(body, sizes={"G": 5, "P": 3}, x=points, w=weights), expected, rtol=1e-10)


def test_a_called_layer():
    text = """layer inner(O) { in x[..., I]  param w[O, I] = 0  out y[..., O] = sum[I](x * w) }
    layer outer { in x[..., D]  let h[..., F] = inner(x, O = 2*D)  out y[..., F] = max(h, 0) }"""
    graph = build(load(text, layer="outer"))
    verify(graph)
    assert [spec.name for spec in graph.inputs] == ["x", "h.w"]
    x, w = normal(3, 4), normal(8, 4)
    close(interpret(graph, {"x": x, "h.w": w})["y"], numpy.maximum(x @ w.T, 0))


def test_every_library_layer_is_legal():
    """Each file of the library gives a verified graph whose text reads back, the same on a second build."""
    files = sorted((Path(__file__).parents[2] / "ops").glob("*.lam"))
    assert len(files) > 20
    for path in files:
        graph = build(load(path))
        verify(graph)
        assert parse(to_text(graph)) == graph == build(load(path))


# ------------------------------------------------------------------------------------------------ reads and lets


def test_a_let_read_whole_is_its_node():
    graph = graph_of("in x[A, B]  let s[B, A] = x * 2  out y[A, B] = s + s[B, A]")
    assert not [node for node in graph.nodes if node.op == "view"]
    assert [node.name for node in graph.nodes if node.op == "mul"] == ["s"]


def test_a_let_read_at_other_indices():
    body = """in x[A, B]  let s[A, B] = x * x
    out renamed[A] = sum[j < B](s[A, j])  out fixed[B] = s[0, B]  out shifted[A, B] = wrap(s)[A, B + 1]  out same[A, B] = s"""
    x = normal(3, 4)
    found = run(body, x=x)
    close(found["renamed"], (x * x).sum(1))
    close(found["fixed"], x[0] ** 2)
    close(found["shifted"], numpy.roll(x * x, -1, 1))


def test_a_let_broadcast_along_an_axis_it_declares():
    body = """in x[A]  in z[A, B]  let s[A, B] = x * 2
    out total[A] = sum[B](s)  out averaged[A] = mean[B](s)  out largest[A] = max[B](s)  out powers[A] = prod[B](s)
    out read[A, B] = zero(s)[A, B + 1] + z"""
    x, z = normal(3), normal(3, 4)
    found = run(body, x=x, z=z)
    close(found["total"], 8 * x)
    close(found["averaged"], 2 * x)
    close(found["largest"], 2 * x)
    close(found["powers"], (2 * x) ** 4)
    shifted = numpy.repeat(2 * x[:, None], 4, 1)
    shifted[:, -1] = 0
    close(found["read"], shifted + z)


def test_a_transform_of_a_let_broadcast_along_its_axis():
    x, z = normal(3), normal(3, 4)
    body = "in x[A]  in z[A, B]  axis F = B/2 + 1  let s[A, B] = x  out y[A, F] = re(rfft[B -> F](s))  out unused[A, B] = z"
    close(run(body, x=x, z=z)["y"], numpy.stack([4 * x, 0 * x, 0 * x], 1))


def test_gathers():
    tokens, table = RANDOM.integers(0, 7, (2, 5)), normal(7, 3)
    close(run("in t[B, T]: i64  param w[V, D] = 0  out y[B, T, D] = w[t, D]", t=tokens, w=table), table[tokens])
    body = "in t[B, T]: i64  in x[B, T, D]  out y[B, T, D] = clamp(x)[B, t - 1, D]"
    x = normal(2, 5, 3)
    close(run(body, t=tokens, x=x), numpy.take_along_axis(x, (tokens - 1).clip(0, 4)[..., None], 1))


@pytest.mark.parametrize(("boundary", "mode"), [("zero", "constant"), ("wrap", "wrap"), ("clamp", "edge"), ("reflect", "reflect")])
def test_boundaries(boundary, mode):
    x = normal(2, 5)
    found = run(f"in x[B, L]  axis T = L + 5  out y[B, T] = {boundary}(x)[B, T - 2]", x=x)
    close(found, numpy.pad(x, ((0, 0), (2, 3)), mode=mode))


def test_a_split_dimension_at_one_index():
    x = normal(2, 12)
    found = run("in x[B, G*C]  out first[B] = x[B, 1]  out whole[B, G, C] = x[B, G*C]", sizes={"G": 3}, x=x)
    close(found["first"], x[:, 1])
    close(found["whole"], x.reshape(2, 3, 4))


# ------------------------------------------------------------------------------------------------ operations


def test_reductions_over_an_index_of_their_own():
    """An index that the body does not use repeats it."""
    x = normal(4)
    body = """in x[A]  out s[A] = sum[i < 3](x)  out p[A] = prod[i < 3](x)  out m[A] = mean[i < 3](x)  out l[A] = max[i < 3](x)
    out t[A] = sum[i in 2..5](i * x)  out both[] = sum[A, i < 2](x)"""
    found = run(body, x=x)
    for name, expected in {"s": 3 * x, "p": x**3, "m": x, "l": x, "t": 9 * x, "both": 2 * x.sum()}.items():
        close(found[name], expected, rtol=1e-14)


def test_logical_reductions_and_dtypes():
    x = normal(3, 4)
    body = """in x[A, B]  out some[A] = any[B](x > 1)  out every[A] = all[B](x < 1)  out repeated[A, B] = any[i < 2](x > 0)
    out count[A] = sum[B](select(x > 0, 1, 0))  out place[A, B] = index(A) * len(B) + index(B)"""
    found = run(body, x=x)
    numpy.testing.assert_array_equal(found["some"], (x > 1).any(1))
    numpy.testing.assert_array_equal(found["every"], (x < 1).all(1))
    numpy.testing.assert_array_equal(found["repeated"], x > 0)
    numpy.testing.assert_array_equal(found["count"], (x > 0).sum(1))
    numpy.testing.assert_array_equal(found["place"], numpy.arange(12).reshape(3, 4))
    graph = graph_of(body)
    assert [output.spec.dtype for output in graph.outputs] == ["bool", "bool", "bool", "i64", "i64"]


def test_an_empty_mean_is_nan_and_an_empty_sum_zero():
    found = run("in x[A, B]  out m[A] = mean[B](x)  out s[A] = sum[B](x)", x=numpy.zeros((2, 0)))
    numpy.testing.assert_array_equal(found["m"], [numpy.nan] * 2)
    numpy.testing.assert_array_equal(found["s"], [0, 0])


def test_division_of_lengths_is_real_in_expressions_and_rounded_in_lengths():
    found = run("in x[L]  axis H = L/2  out half[] = L/2  out y[H] = index(H) + 1/4", x=normal(5))
    close(found["half"], 2.5)
    close(found["y"], [0.25, 1.25])


def test_complex_functions():
    z = normal(6) + 1j * normal(6)
    body = """in z[N]: complex  in x[N]  out size[N] = abs(z)  out angle[N] = arg(z)  out turned[N] = z * cis(x)
    out parts[N] = re(z) - im(z)  out mirrored[N] = conj(z)  out raised[N] = exp(z) + z^3  out plain[N] = arg(x) + re(x) + im(x)"""
    x = normal(6)
    found = run(body, z=z, x=x)
    expected = {
        "size": abs(z),
        "angle": numpy.angle(z),
        "turned": z * numpy.exp(1j * x),
        "parts": z.real - z.imag,
        "mirrored": z.conj(),
        "raised": numpy.exp(z) + z**3,
        "plain": numpy.angle(x) + x,
    }
    for name, value in expected.items():
        close(found[name], value, rtol=1e-13, err_msg=name)


def test_constants_and_extrema_of_several():
    x = normal(5)
    body = "in x[N]  out y[N] = e^x + pi  out m[N] = max(x, min(0.5, -x))  out c[N] = clamp(x, -1, 1)"
    found = run(body, x=x)
    close(found["y"], numpy.exp(x) + numpy.pi)
    close(found["m"], numpy.maximum(x, numpy.minimum(0.5, -x)))
    close(found["c"], x.clip(-1, 1))


def test_transforms_with_padding_and_cosine_transforms():
    x = normal(2, 6)
    body = """in x[B, L]  axis N = 10  axis F = 6  axis K = L
    out padded[B, F] = rfft[L -> F, n = 10](x)  out full[B, N] = fft[L -> N, n = 10](x)
    out cosine[B, K] = dct[L -> K](x)  out back[B, L] = idct[K -> L](dct[L -> K](x))"""
    found = run(body, x=x)
    close(found["padded"], numpy.fft.rfft(x, 10), atol=1e-13)
    close(found["full"], numpy.fft.fft(x, 10), atol=1e-13)
    close(found["cosine"], scipy.fft.dct(x), atol=1e-13)
    close(found["back"], x, atol=1e-13)


def test_iteration():
    """All names step at once; the value is the first's; a body may hold a scan, built anew at each step."""
    x = normal(4)
    found = run("in x[N]  out y[N] = iterate[5](a = 0, b = x : b, a + b)", x=x)
    close(found, 5 * x)
    found = run("in x[N]  out y[N] = iterate[0](a = x : a * a)", x=x)
    close(found, x)
    found = run("in x[B, L]  out y[B, L] = iterate[3](z = x : scan[L](s = 0 : s + z))", x=x.reshape(2, 2))
    close(found, x.reshape(2, 2).cumsum(1).cumsum(1).cumsum(1))


def test_long_iterations_are_loops():
    """Written out, their steps would fill the graph; the value is the same, within a scan too."""
    x = numpy.array([0.5, 2.0])
    graph = build(load("layer root { in x[N]  out y[N] = iterate[5000](z = 1, s = x : z - 0.01 * (z*z - s), 0.5 * (s + x)) }"))
    assert len(graph.nodes) < 40
    close(interpret(graph, {"x": x})["y"], numpy.sqrt(x), rtol=1e-12)
    text = "in x[L]  out y[L] = scan[L](h = 0 : iterate[600](z = h : z - 0.1 * (z - 0.5 * h - x) * (1 + 0 * z)))"
    assert len(build(load(f"layer solved {{ {text} }}")).nodes) < 40
    close(run(text, x=x), [0.5, 2.25], rtol=1e-12)


def test_a_scan_with_an_initial_value_and_the_running_index():
    x, start = normal(2, 5), normal(2)
    found = run("in x[B, L]  in h[B]  out y[B, L] = scan[L](s = h : s * 0.5 + x * index(L))", x=x, h=start)
    state, states = start, []
    for t in range(5):
        state = 0.5 * state + x[:, t] * t
        states.append(state)
    close(found, numpy.stack(states, 1))


def test_a_read_outside_is_an_error_with_its_place():
    text = "layer example { in x[B, 2*P]\n out y[B, P] = x[B, 2*P + K] }".replace("example", "example(K = 0)")
    graph = build(load(text, sizes={"K": 1}))
    assert interpret(graph, {"x": normal(2, 6)})["y"].shape == (2, 3)
    tokens = build(load("layer example { in t[N]: i64\n  in w[V]  out y[N] = w[t] }"))
    with pytest.raises(ArgumentError, match=re.escape(":2:")) as caught:
        interpret(tokens, {"t": numpy.array([0, 7]), "w": normal(5)})
    assert "in dimension 0 runs from 0 to 7; expected 0..4" in str(caught.value)


# ------------------------------------------------------------------------------------------------ size and depth


def test_depth_costs_no_stack():
    """A sum of 20000 terms, nested to the left."""
    span = Span("deep.lam", 1, 1, 1, 2)
    expr = one = Number((), "real", span, 1.0)
    for _ in range(20_000):
        expr = Apply((), "real", span, "add", (expr, one))
    layer = CheckedLayer("deep", (), (), (), (Out("y", (), expr, span),), (), (), "")
    assert interpret(build(layer), {})["y"] == 20_001


def test_shared_subexpressions_are_built_once():
    """A value doubled 200 times by a shared subtree: 2**200 paths, 200 nodes."""
    span = Span("wide.lam", 1, 1, 1, 2)
    expr = Number((), "real", span, 1.0)
    for _ in range(200):
        expr = Apply((), "real", span, "add", (expr, expr))
    layer = CheckedLayer("wide", (), (), (), (Out("y", (), expr, span),), (), (), "")
    graph = build(layer)
    assert len(graph.nodes) == 201
    assert interpret(graph, {})["y"] == 2.0**200
