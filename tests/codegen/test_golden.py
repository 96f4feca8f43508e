"""Emitted text: the same bytes under any hash seed, and a few small kernels and graphs as they are expected, to be read in review.

`pytest tests/codegen/test_golden.py --update-golden` writes the expected texts anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_cases import CASES
from kernel_harness import kernel_text, signature_of
from lamina import pipeline
from lamina.codegen import generate
from lamina.ir.graph import Graph
from lamina.ir.text import parse, to_text
from lamina.lang.check import load

FOLDER = Path(__file__).parent / "golden"
KERNELS = {
    "swish": "layer swish { in x[..., C]  param b[C] = 1  out y[..., C] = x / (1 + exp(-b * x)) }",
    "row_norm": """layer row_norm { in x[..., C]  param g[C] = 1
        let m = mean[C](x)  out y[..., C] = (x - m) * rsqrt(mean[C]((x - m)^2) + 1e-5) * g }""",
    "affine": """layer affine(O = 16) { in x[..., I]  param w[O, I] = 0.1  param b[O] = 0
        out y[..., O] = relu(sum[I](x * w) + b) }""",
}
GRAPHS = {
    "group_polynomial": """layer group_polynomial(G = 4) { in x[..., G*C]  param a[G, 4] = 1
        out y[..., G*C] = sum[i < 4](a[G, i] * x^i) }""",
    "affine": KERNELS["affine"],
}
DETERMINED = (
    "split: rational",
    "normalisations: statistics over different axes",
    "contractions: attention",
    "contractions: splines",
    "contractions: heads split and merged",
    "reductions: products over an index",
    "choices: nested choices",
    "reads: constant indices",
)
# run in another process: prints the sources of the cases named
_EMIT = """
import sys
sys.path.insert(0, {folder!r})
from kernel_cases import CASES
from kernel_harness import prepare
for name in {names!r}:
    for each in prepare(CASES[name]):
        print(each.program.source[: each.program.source.index(chr(10) * 2)])
        print(each.program.source[each.program.source.index("using Real") :], each.program.arguments, each.program.report)
"""


def backward_of(graph: Graph) -> Graph:
    return pipeline.backward_graph(graph, [spec.name for spec in graph.inputs])


def test_sources_do_not_depend_on_the_hash_seed() -> None:
    assert set(DETERMINED) <= set(CASES)
    script = _EMIT.format(folder=str(Path(__file__).parent), names=DETERMINED)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for seed in ("0", "1", "12345")
    ]
    results = [process.communicate() for process in running]
    assert all(process.returncode == 0 for process in running), results[0][1].decode()
    texts = [out for out, _ in results]
    assert texts[0].count(b"using Real") == 5 * len(DETERMINED)
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize(("name", "direction"), [("swish", "backward"), ("row_norm", "forward"), ("affine", "forward")])
def test_kernel(name: str, direction: str, request: pytest.FixtureRequest) -> None:
    graph = pipeline.forward_graph(load(KERNELS[name]))
    graph = graph if direction == "forward" else backward_of(graph)
    text = kernel_text(generate(graph, signature_of(graph, "f32"), direction))
    expect(FOLDER / f"{name}_{direction}.cpp", text, request)


@pytest.mark.parametrize("name", GRAPHS)
def test_graph(name: str, request: pytest.FixtureRequest) -> None:
    graph = pipeline.forward_graph(load(GRAPHS[name]))
    text = "".join(f"{to_text(each, provenance=False)}\n" for each in (graph, backward_of(graph)))
    expect(FOLDER / f"{name}.graph", text, request)
    assert parse(to_text(graph)) == graph


def expect(path: Path, text: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is not there: run with --update-golden"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs: see the difference, then run with --update-golden"
