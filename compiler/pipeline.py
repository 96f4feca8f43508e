"""From a checked layer to graphs: the middle of the road, without torch.

In: a `CheckedLayer`. Out: its graph at level "layer" or "math", the graphs of its derivatives, and the pair of graphs that
training runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from .ir.build import build
from .ir.graph import Graph
from .lang.checked import CheckedLayer
from .passes.pipeline import backward, optimize
from .passes.recompute import split


def layer_graph(checked: CheckedLayer) -> Graph:
    """The layer as written (level "layer")."""
    return build(checked)


def forward_graph(checked: CheckedLayer) -> Graph:
    """The layer with its structure recognised (level "math")."""
    return optimize(build(checked))


def backward_graph(graph: Graph, wanted: Sequence[str], given: Sequence[str] | None = None) -> Graph:
    """Inputs and cotangents `grad_<out>` in, gradients `grad_<input>` out."""
    return backward(graph, wanted, given)


def training_pair(graph: Graph, wanted: Sequence[str], given: Sequence[str] | None = None) -> tuple[Graph, Graph]:
    """A forward graph with further outputs of role "saved", and the backward graph that takes them as inputs."""
    return split(graph, backward(graph, wanted, given))
