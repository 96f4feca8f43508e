"""What is not lowered yet is refused by name, forward and backward, and never by another exception."""

from __future__ import annotations

import pytest
from lamina import pipeline
from lamina.codegen import generate
from lamina.lang.check import load
from lamina.passes.autodiff import NotDifferentiable
from lamina.schedule.partition import NotLowered
from lamina.schedule.program import InputSignature, Signature

# layer, how the forward program is refused, how the backward one
WITHIN = "of a running value within its scan"
REFUSED = {
    "transform in a step": (
        "in x[L, D] in s[D] out y[L, D] = scan[L](h = s : re(fft[D -> D](h)) + x)",
        f"a transform {WITHIN}",
        f"a transform {WITHIN}",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    text, forward, backward = REFUSED[name]
    graph = pipeline.forward_graph(load(f"layer refused {{ {text} }}"))
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
