"""The order of the passes, in one place.

In: a graph as built. Out: the graph at level "math", ready to be scheduled, and its derivatives. Each step says why it stands
where it does.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Builder, Graph
from .affine_scatters import transpose_scatters
from .autodiff import differentiate
from .complex_functions import expand_complex_functions
from .divisions import share_reciprocals
from .nested_sums import share_nested_sums
from .planar import planar
from .resolve_views import resolve_views
from .simplify import simplify
from .strided_windows import write_out_strided_windows
from .ties import needs_same_bits
from .unroll import recognize_and_unroll, write_out_extrema


def _builder(graph: Graph) -> Builder:
    return Builder(graph.name, graph.axes, graph.inputs, simplify)


def optimize(graph: Graph) -> Graph:
    """From level "layer" to level "math"."""
    # pairs of real values first: what follows, derivatives too, is about real ones
    graph = planar(graph)
    # views next: a read of a computed value hides the product that recognition looks for
    graph = resolve_views(graph, _builder(graph))
    # contractions before unrolling: a sum written out is no longer a matrix product
    graph = recognize_and_unroll(graph, _builder(graph))
    # a complex power whose exponent was an index is a product once written out
    return planar(graph)


def finish(graph: Graph) -> Graph:
    """What is done last, just before scheduling: nothing is differentiated after it, so adjoints never see reciprocals."""
    graph = expand_complex_functions(graph, _builder(graph))
    # after every derivative: the points of a reduction share a tie, the links of a chain do not
    graph = write_out_extrema(graph, _builder(graph), of_inputs_only=needs_same_bits(graph))
    # after every derivative, too: they take a window as a whole
    graph = write_out_strided_windows(graph, _builder(graph))
    # sums before reciprocals, which would make equal factors look different
    graph = share_nested_sums(graph, _builder(graph))
    if needs_same_bits(graph):
        return graph  # whether a divisor is shared differs between the programs that must agree
    return share_reciprocals(graph, _builder(graph))


def backward(graph: Graph, wanted: Sequence[str], given: Sequence[str] | None = None) -> Graph:
    """Gradients of a math-level graph, at math level: Horner chains and contractions are differentiated as they are, then the sums
    that the adjoints introduced are recognised in turn."""
    # cotangents of pairs, and the derivatives of functions of them, are complex
    derived = planar(differentiate(graph, wanted, given=given))
    # reads of the cotangents first, which may lie in computed values; recognition again, for the weight gradients' matrix products
    derived = transpose_scatters(derived, _builder(derived))
    derived = resolve_views(derived, _builder(derived))
    return planar(recognize_and_unroll(derived, _builder(derived)))
