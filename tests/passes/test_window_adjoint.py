"""Adjoints of reads at windows: the same values as a scatter gives, and no work on what would be zero."""

from __future__ import annotations

import numpy
import pytest
from lamina import pipeline
from lamina.ir.graph import Graph
from lamina.ir.interpret import interpret
from lamina.ir.verify import verify
from lamina.lang.check import load
from lamina.passes import pipeline as passes
from lamina.passes import read_adjoint

TEXTS = {
    "pooling": "axis P = (H - 3)/2 + 1 out y[B, P] = max[i < 3](x[B, 2*P + i])",
    "pooling, nothing between": "axis P = H/2 out y[B, P] = max[i < 2](x[B, 2*P + i])",
    "pooling, gaps": "axis P = H/3 out y[B, P] = max[i < 2](x[B, 3*P + i])",
    "pooling, backwards": "axis P = (H - 3)/2 + 1 out y[B, P] = max[i < 3](x[B, len(H) - 1 - 2*P - i])",
    "pooling, dilated": "axis P = (H - 5)/3 + 1 out y[B, P] = min[i < 3](x[B, 3*P + 2*i])",
    **{
        f"pooling, {boundary}, steps of {step}": f"axis P = (H + {step} - 1)/{step} "
        f"out y[B, P] = max[i < 3]({boundary}(x)[B, {step}*P + i - 1])"
        for boundary in ("zero", "clamp", "wrap", "reflect")
        for step in (1, 2, 3)
    },
    "far beyond the ends": "axis P = H/2 + 5 out y[B, P] = mean[i < 5](clamp(x)[B, 2*P + i - 4] * sin(i))",
    "two windows": "axis P = H/2 out y[B, P] = sum[i < 3, j < 2](exp(zero(x)[B, 2*P + i + 4*j - 3] / (1 + i)))",
    "too many phases": "axis P = H/20 + 1 out y[B, P] = max[i < 21](zero(x)[B, 20*P + i])",
    "two dimensions": "axis P = (B + 1)/2 axis Q = (H + 2)/3 out y[P, Q] = max[i < 3, j < 4](clamp(x)[2*P + i - 1, 3*Q + j - 1])",
    "an unknown stretch": "in w[I] axis P = H/2 out y[B, P] = sum[I](tanh(w * zero(x)[B, 2*P + I - 1]))",
}


def gradients(text: str, shape: tuple[int, int], width: int) -> tuple[Graph, dict[str, numpy.ndarray]]:
    graph = pipeline.optimize(pipeline.layer_graph(load(f"layer t {{ in x[B, H] {text} }}")))
    generator = numpy.random.default_rng(7)
    # ties, too
    arrays = {"x": generator.integers(-3, 4, shape).astype(float), "w": generator.standard_normal(width)}
    arrays = {spec.name: arrays[spec.name] for spec in graph.inputs}
    arrays |= {f"grad_{out}": generator.standard_normal(value.shape) for out, value in interpret(graph, arrays).items()}
    return passes.backward(graph, [spec.name for spec in graph.inputs]), arrays


SHAPES = [(2, 9), (3, 10), (1, 23), (2, 5), (0, 6), (5, 1), (1, 0)]
# a window that stays inside a shorter axis than itself has fewer than no places
SHORTEST = {"pooling": 3, "pooling, backwards": 3, "pooling, dilated": 5, "far beyond the ends": 1}


@pytest.mark.parametrize(("name", "shape"), [(n, s) for n in TEXTS for s in SHAPES if s[1] >= SHORTEST.get(n, 0)])
def test_same_values(name: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    graph, arrays = gradients(TEXTS[name], shape, 3)
    verify(graph)
    assert not any(node.op == "scatter" for node in graph.nodes)
    found = interpret(graph, arrays)
    monkeypatch.setattr(read_adjoint, "adjoint_of_windows", lambda *_: None)
    monkeypatch.setattr(read_adjoint._Adjoint, "_digits", lambda *_: None)
    monkeypatch.setattr(passes, "transpose_scatters", lambda graph, _: graph)
    expected = interpret(gradients(TEXTS[name], shape, 3)[0], arrays)
    for output, values in expected.items():
        numpy.testing.assert_allclose(found[output], values, rtol=1e-12, atol=1e-12, err_msg=output)
