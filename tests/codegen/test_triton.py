"""Triton kernels, interpreted on the CPU, against the interpreter of graphs: every case that C++ kernels are held to."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from kernel_cases import CASES
from kernel_cases import GROUPS as KERNEL_GROUPS
from kernel_harness import Case, signature_of
from lamina import pipeline
from lamina.codegen import generate
from lamina.codegen.triton import kernel as kernel_module
from lamina.codegen.triton import product, sizes
from lamina.ir.interpret import interpret
from lamina.lang.check import load
from lamina.ops.references import REFERENCES
from lamina.runtime.execute import TORCH_DTYPES, to_array
from triton_harness import check, run

ROOT = Path(__file__).resolve().parents[2]
# The same kernels in another precision: where precision is what is tried.
SINGLE = [name for name, case in CASES.items() if name.split(":")[0] in ("functions", "shapes", "choices") and "f32" in case.dtypes]
LOW = [f"low precision: {name}" for name in KERNEL_GROUPS["low precision"]]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


# A step of a recurrence is a run of Python under the interpreter; long rows are kernels of their own in C++ only, and an iteration
# within a scan is as many steps again.
LONG = [
    name
    for name, case in CASES.items()
    if name == "scans: iterated within a scan"
    or (name.startswith("scans: ") and max(map(max, filter(None, case.shapes.values()))) > 1000)
]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "f64" in case.dtypes and name not in LONG])
def test_as_interpreted(name):
    check(CASES[name], "f64")


@pytest.mark.parametrize("name", [*SINGLE, *LOW])
def test_as_interpreted_in_other_precisions(name):
    dtype = "f32" if name in SINGLE else CASES[name].dtypes[0]
    check(CASES[name], dtype, orders=1)


def library_case(name, number=0):
    """A case of the library's references, as one of the kernels'."""
    reference = REFERENCES[name]
    case = reference.cases[number]
    draws = reference.draws(case)
    text = (ROOT / "ops" / f"{name}.lam").read_text(encoding="utf-8")
    values = {
        tensor: (lambda generator, shape, d=draw: d.offset + d.scale * generator.standard_normal(shape))
        for tensor, draw in draws.items()
    }
    declared = [spec.name for spec in pipeline.layer_graph(load(text, None, dict(case.sizes))).inputs]
    names = dict(zip(draws, sorted(declared, key=list(draws).index) if set(declared) == set(draws) else declared, strict=True))
    return Case(
        text,
        {names[tensor]: draw.shape for tensor, draw in draws.items()},
        {names[tensor]: value for tensor, value in values.items()},
        dict(case.sizes),
        derived_from_math=True,
    )


@pytest.mark.parametrize("name", REFERENCES)
def test_the_library_as_interpreted(name):
    check(library_case(name), "f32", orders=1)


@pytest.mark.parametrize("name", ["group_rational", "layer_norm", "softmax", "attention", "cheby_kan", "conv1d"])
def test_second_derivatives_of_library_entries(name):
    check(library_case(name), "f64")


SPECIFICATIONS = {
    "cheby_kan": ({"O": 6}, {"x": (5, 7), "w": (6, 7, 5)}),
    "evonorm_s0": ({}, {"x": (2, 16, 3, 5), "v": (16,), "g": (16,), "b": (16,)}),
    "gated_long_conv": ({}, {"u": (2, 3, 9), "v": (2, 3, 9), "k": (3, 5), "d": (3,)}),
    "group_rational": ({}, {"x": (3, 24), "a": (8, 6), "b": (8, 4)}),
    "haar2": ({}, {"x": (2, 3, 4, 6)}),
    "linear": ({"O": 5}, {"x": (2, 3, 7), "w": (5, 7), "b": (5,)}),
    "lti": ({}, {"x": (2, 9, 5), "a": (5,)}),
    "poly_norm": ({}, {"x": (3, 17), "w": (3,), "b": ()}),
    "spectral_conv": ({"O": 4, "M": 3}, {"u": (2, 3, 10), "w": (4, 3, 3)}),
    "spline_kan": ({"O": 4}, {"x": (5, 3), "w": (4, 3, 8), "s": (4, 3)}),
}


def test_every_example_is_tried():
    assert sorted(SPECIFICATIONS) == sorted(path.stem for path in (ROOT / "examples" / "specs").glob("*.lam"))


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_the_examples_as_interpreted(name):
    given, shapes = SPECIFICATIONS[name]
    text = (ROOT / "examples" / "specs" / f"{name}.lam").read_text(encoding="utf-8")
    check(Case(text, shapes, sizes=given, growth=2048.0, derived_from_math=True), "f32", orders=1)


# ---------------------------------------------------------------------------------------------------- sizes of tiles


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles so small that few elements need many programs, several blocks each, and rows are longer than a tile."""
    for name, size in {"WHOLE": 8, "TILE": 16, "POINTS": 16, "SUMMED_COLUMNS": 4, "BESIDE": 1, "PROGRAMS": 6, "CHUNK": 2}.items():
        monkeypatch.setattr(sizes, name, size)
    monkeypatch.setattr(kernel_module, "CHUNK", 2)
    for name, size in {"_EDGE": 16, "_SHARE": 16, "_ENOUGH": 4}.items():
        monkeypatch.setattr(product, name, size)


@pytest.mark.parametrize("name", ["layer_norm", "softmax", "poly_norm", "group_rational", "evonorm_s0", "cheby_kan", "linear"])
def test_many_programs_agree_too(name, small_tiles):
    reference = REFERENCES[name]

    def elements(number):
        return sum(int(numpy.prod(draw.shape)) for draw in reference.draws(reference.cases[number]).values())

    number = max(range(len(reference.cases)), key=elements)
    check(library_case(name, number), "f32", orders=1)


def test_long_sums_are_accurate():
    """A parameter shared by a million elements: its gradient is as good as the elements'."""
    text = "layer scaled { in x[N, C]  param s[] = 1  out y[N, C] = s * x }"
    graph = pipeline.backward_graph(pipeline.forward_graph(load(text)), ["s"])
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.rand(1000, 1000, generator=generator) for name in ("x", "grad_y")} | {"s": torch.ones(())}
    found = run(graph, signature_of(graph, "f32"), tensors)["grad_s"]
    exact = (tensors["x"].double() * tensors["grad_y"].double()).sum()
    assert abs(found.double() - exact) < 1e-6 * exact


# ---------------------------------------------------------------------------------------------------- the text


def test_the_same_layer_gives_the_same_text():
    graph = pipeline.forward_graph(load("layer f { in x[..., C]  out y[..., C] = softmax[C](x) }"))
    texts = {generate(graph, signature_of(graph, "f32"), "forward", "triton").source for _ in range(2)}
    assert len(texts) == 1


def test_a_basis_is_not_stored():
    """No temporary of a Kolmogorov-Arnold layer has the basis, forward or backward."""
    text = (ROOT / "ops" / "cheby_kan.lam").read_text(encoding="utf-8")
    graph = pipeline.forward_graph(load(text, None, {"O": 64, "D": 4}))
    forward, backward = pipeline.training_pair(graph, [spec.name for spec in graph.inputs])
    for each in (forward, backward):
        program = generate(each, signature_of(each, "f32"), "forward", "triton")
        for argument in program.with_role("temporary"):
            assert not ("n['...']" in argument.shape and "n['I']" in argument.shape), argument


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize(
    "function",
    ["exp", "log", "expm1", "log1p", "tanh", "sinh", "atan", "sigmoid", "softplus", "erf", "erfc", "sqrt", "asinh", "sin"],
)
def test_functions_at_the_ends(function, dtype):
    """Infinities, zeros, NaN and the ends of the range go where the reference sends them."""
    largest = torch.finfo(TORCH_DTYPES[dtype]).max
    ends = [0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 100.0, -100.0, 1e4, -1e4, largest, -largest]
    x = torch.tensor([*ends, float("inf"), float("-inf"), float("nan")], dtype=TORCH_DTYPES[dtype])
    if function == "sin":
        x = x[:10]
    graph = pipeline.forward_graph(load(f"layer f {{ in x[N]  out y[N] = {function}(x) }}"))
    found = run(graph, signature_of(graph, dtype), {"x": x})["y"]
    expected = torch.from_numpy(interpret(graph, {"x": to_array(x)})["y"]).to(x.dtype)
    torch.testing.assert_close(found, expected, rtol=4 * torch.finfo(x.dtype).eps, atol=torch.finfo(x.dtype).tiny, equal_nan=True)


# the blocks of a gradient that is written phase by phase reach beyond the tensor's ends, where nothing is stored
POOLING = {
    "inside": "axis P = (H - 3)/2 + 1 axis Q = (W - 3)/2 + 1 out y[B, P, Q] = max[i < 3, j < 3](x[B, 2*P + i, 2*Q + j])",
    "clamp": "axis P = (H + 1)/2 axis Q = (W + 1)/2 out y[B, P, Q] = max[i < 3, j < 3](clamp(x)[B, 2*P + i - 1, 2*Q + j - 1])",
}


@pytest.mark.parametrize("name", POOLING)
def test_what_lies_beyond_the_ends_is_not_stored(name):
    check(Case(f"layer pool {{ in x[B, H, W] {POOLING[name]} }}", {"x": (2, 7, 12)}), "f32", orders=1)
