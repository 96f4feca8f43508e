"""The graphs behind a layer's functions: the one place where the binding calls the compiler's middle.

In: a checked layer. Out: its graphs and those of its derivatives. Holds: graphs are derived when first asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import pipeline
from ..errors import TargetError
from ..ir.graph import Graph
from ..lang.checked import CheckedLayer
from ..passes.autodiff import NotDifferentiable
from ..passes.pipeline import optimize


def layer_graph(checked: CheckedLayer) -> Graph:
    """The layer as written."""
    return pipeline.layer_graph(checked)


def forward_graph(graph: Graph) -> Graph:
    """The graph at level "math" of one at level "layer"."""
    return optimize(graph)


def backward_graph(graph: Graph, wanted: Sequence[str], given: Sequence[str]) -> Graph:
    """Gradients of the inputs `wanted`, given cotangents of the outputs `given`. Errors: TargetError: an op has no derivative."""
    try:
        return pipeline.backward_graph(graph, tuple(wanted), tuple(given))
    except NotDifferentiable as missing:
        raise TargetError(
            f"layer {graph.name}: the gradient of {', '.join(wanted)} needs the derivative of {missing}, which is not known"
        ) from missing


def training_pair(graph: Graph, wanted: Sequence[str], given: Sequence[str]) -> tuple[Graph, Graph] | None:
    """The forward graph that saves and the backward graph that uses what was saved; None where there is nothing worth saving."""
    try:
        forward, derived = pipeline.training_pair(graph, tuple(wanted), tuple(given))
    except NotDifferentiable:
        return None
    return (forward, derived) if len(forward.outputs) > len(graph.outputs) else None
