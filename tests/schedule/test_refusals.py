"""What is not lowered yet is refused by name, forward and backward, and never by another exception."""

from __future__ import annotations

import pytest
from kernel_harness import signature_of
from lamina import pipeline
from lamina.codegen import generate
from lamina.lang.check import load
from lamina.passes.autodiff import NotDifferentiable
from lamina.schedule.partition import NotLowered
from lamina.schedule.program import InputSignature, Signature

TRANSPOSED = "the gradient of a read at a shifted index"
# layer, how the forward program is refused (None: it is not), how the backward one
REFUSED = {
    "shift": ("in x[B, L] axis M = L - 1 out y[B, M] = x[B, M + 1] - x[B, M]", None, TRANSPOSED),
    "zero": ("in x[B, L] out y[B, L] = zero(x)[B, L - 1]", None, TRANSPOSED),
    "wrap": ("in x[B, L] out y[B, L] = wrap(x)[B, L + 1]", None, TRANSPOSED),
    "clamp": ("in x[B, L] out y[B, L] = clamp(x)[B, L + 1]", None, TRANSPOSED),
    "reflect": ("in x[B, L] out y[B, L] = reflect(x)[B, L + 1]", None, TRANSPOSED),
    "convolution": (
        "in x[B, L] param k[K] = 1 out y[B, L] = sum[t < K](k[t] * zero(x)[B, L - t])",
        None,
        TRANSPOSED,
    ),
    "shift of a computed value": (
        "in x[B, L] let s[B, L] = sin(x) out y[B, L] = zero(s)[B, L - 1]",
        None,
        TRANSPOSED,
    ),
    "gather": ("in t[N, D] in i[B]: i64 out y[B, D] = t[i, D]", None, TRANSPOSED),
    "gather of a computed value": (
        "in t[N, D] in i[B]: i64 let u[N, D] = sin(t) out y[B, D] = u[i, D]",
        None,
        TRANSPOSED,
    ),
    "real transform": ("in x[B, L] axis F = L/2 + 1 out y[B, F] = re(rfft[L -> F](x))", "a transform", "rfft"),
    "cosine transform": ("in x[B, L] axis F = L out y[B, F] = dct[L -> F](x)", "a transform", "dct"),
    "scan": ("in x[B, L] out y[B, L] = scan[L](h = 0 : 0.5 * h + x)", "scan", "scan"),
    "complex input": ("in z[N]: complex out y[N] = re(z * z)", "complex values", "complex values"),
    "complex value": ("in x[N] out y[N] = re(cis(x) * cis(x))", "complex values", "complex values"),
    "diagonal": ("in x[N, M] require N == M out y[N] = x[N, N]", None, TRANSPOSED),
    "dilated": ("in x[B, 3*P] out y[B, P] = sum[k < 3](x[B, 3*P + k])", None, TRANSPOSED),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    text, forward, backward = REFUSED[name]
    graph = pipeline.forward_graph(load(f"layer refused {{ {text} }}"))
    if forward is None:
        generate(graph, signature_of(graph, "f32"))
    else:
        _refused(forward, lambda: generate(graph, _signature(graph)))
    wanted = [spec.name for spec in graph.inputs if spec.dtype in ("float", "complex")]

    def derive() -> None:
        derived = pipeline.backward_graph(graph, wanted)
        generate(derived, _signature(derived), "backward")

    _refused(backward, derive)


def _refused(words: str, action) -> None:
    with pytest.raises((NotLowered, NotDifferentiable)) as found:
        action()
    assert words in str(found.value)


def _signature(graph) -> Signature:
    stored = {"float": "f32", "complex": "c64"}
    return Signature(tuple(InputSignature(spec.name, stored.get(spec.dtype, spec.dtype)) for spec in graph.inputs), "f32")
