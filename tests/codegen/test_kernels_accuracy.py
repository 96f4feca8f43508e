"""Sums over many terms: the gradient of what all elements share, in f32, against float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from kernel_harness import bound_of, build_together, run, signature_of
from lamina import pipeline
from lamina.codegen import generate
from lamina.lang.check import load

TERMS = 20_000_000
# layer, shape of x for n elements, shape of a, shape in which x is grouped for the expected sum, the axes summed
ROADS = {
    "lanes over short rows": (
        "layer lanes(G = 4) { in x[N, G*C] param a[G] = 1 out y[N, G*C] = sin(a * x) }",
        lambda n: (n // 96, 96),
        (4,),
        (-1, 4, 24),
        (0, 2),
    ),
    "lanes over long rows": (
        "layer wide(G = 4) { in x[N, G*C] param a[G] = 1 out y[N, G*C] = sin(a * x) }",
        lambda n: (1, n // 4 * 4),
        (4,),
        (-1, 4, "C"),
        (0, 2),
    ),
    "one long row in chunks": ("layer long { in x[N] param a[] = 1 out y[N] = sin(a * x) }", lambda n: (n,), (), (-1,), (0,)),
    "long rows": (
        "layer rows { in x[B, N] param a[B] = 1 out y[B, N] = sin(a * x) }",
        lambda n: (4, n // 4),
        (4,),
        None,
        (1,),
    ),
    "columns": ("layer columns { in x[N, C] param a[C] = 1 out y[N, C] = sin(a * x) }", lambda n: (n // 64, 64), (64,), None, (0,)),
    "channels": (
        "layer channels { in x[B, C, H] param a[C] = 1 out y[B, C, H] = sin(a * x) }",
        lambda n: (n // 3000, 30, 100),
        (30,),
        None,
        (0, 2),
    ),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    yield


def relative_error(road: str, terms: int) -> float:
    text, shape_of, shape, grouped, summed = ROADS[road]
    backward = pipeline.backward_graph(pipeline.forward_graph(load(text)), ("a",))
    (executable,) = build_together([generate(backward, signature_of(backward, "f32"), "backward")], "accuracy")
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(shape_of(terms), generator=generator)
    cotangent = torch.rand(x.shape, generator=generator)
    a = torch.rand(shape, generator=generator) * 0.1 + 0.2
    found = run(executable, backward, {"x": x, "a": a, "grad_y": cotangent}, threads=2)["grad_a"].double()
    grouped = tuple(terms // 4 if length == "C" else length for length in grouped or x.shape)
    x, cotangent = (each.double().reshape(grouped) for each in (x, cotangent))
    along = [1 if dimension in summed else length for dimension, length in enumerate(x.shape)]
    expected = x * torch.cos(a.double().reshape(along) * x)
    expected = expected.mul_(cotangent).sum(summed).reshape(shape)
    return float(((found - expected) / expected).abs().max())


@pytest.mark.parametrize("road", ROADS)
def test_shared_parameter(road: str) -> None:
    assert (
        relative_error(
            road, TERMS if road in ("lanes over short rows", "lanes over long rows", "one long row in chunks") else TERMS // 10
        )
        < 1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
def test_shared_parameter_of_a_hundred_million(road: str) -> None:
    assert relative_error(road, 100_000_000) < 1e-6


def test_more_elements_than_32_bits_count() -> None:
    """A mask of 2^31 + 5 elements, all one element in memory: counts and offsets are 64 bits wide."""
    count = 2**31 + 5
    graph = pipeline.forward_graph(load("layer count { in m[N]: bool in x[N]: i32 out y[] = sum[N](select(m, x, 1)) }"))
    signature = signature_of(graph, "f64", ("m", "x"))
    (executable,) = build_together([generate(graph, signature)], "large")
    tensors = {"m": torch.ones(1, dtype=torch.bool).expand(count), "x": torch.full((1,), 3, dtype=torch.int32).expand(count)}
    found = run_without_copies(executable, graph, tensors)
    assert float(found) == 3.0 * count


@pytest.mark.slow
def test_an_element_beyond_32_bits_is_read_where_it_is() -> None:
    """The last element of a row of 2^31 + 64 bytes."""
    count = 2**31 + 64
    graph = pipeline.forward_graph(load("layer last { in m[N, C]: bool out y[C] = sum[N](select(m, index(N), 0)) }"))
    (executable,) = build_together([generate(graph, signature_of(graph, "f64"))], "large")
    m = torch.zeros(count // 64, 64, dtype=torch.bool)
    m[-1, -1] = True
    found = run_without_copies(executable, graph, {"m": m})
    assert found[-1] == count // 64 - 1 and found[:-1].abs().sum() == 0


def run_without_copies(executable, graph, tensors) -> torch.Tensor:
    given = [tensors[name] for name in executable.inputs]
    (result,) = executable.prepare(given, bound_of(graph, tensors))(given)
    return result
