"""The banner of an emitted source: what it was made from, for what, and how numbers are treated in it.

In: a graph, a signature, the target. Out: lines of text, without comment marks.
"""

from __future__ import annotations

from ..ir.fingerprint import fingerprint
from ..ir.graph import Graph
from ..schedule.program import Signature
from .version import VERSION

_FUSION = {
    "cpp": ("allowed (-ffp-contract=fast)", "only in sums marked `omp simd reduction`"),
    "cuda": ("allowed (--fmad=true)", "only in sums: threads' sums are added up as trees, in float64"),
    "triton": ("allowed (enable_fp_fusion)", "only in sums: tiles are added up as trees, and these in float64"),
}
_PASSES = (
    "planar, resolve_views, recognize_and_unroll, differentiate, transpose_scatters, split",
    "expand_complex_functions, write_out_extrema, write_out_strided_windows, share_nested_sums, share_reciprocals",
)


def banner(graph: Graph, signature: Signature, direction: str, target: str, same_bits: bool) -> list[str]:
    """The lines of the banner. `same_bits`: whether no products and sums are fused."""
    allowed, reassociation = _FUSION[target]
    fused = "none: the gradient of a maximum compares values computed twice" if same_bits else allowed
    option = "" if target == "cpp" else f" -t {target}"
    stored = ", ".join(f"{entry.name} {entry.dtype} {entry.layout}" for entry in signature.inputs)
    return [
        f"Lamina {VERSION}: layer {graph.name}, {direction}, target {target}, reals computed in {signature.compute}",
        *_statements(graph),
        f"inputs: {stored or 'none'}",
        f"fused multiply-add: {fused}; reassociation: {reassociation}",
        "approximations: none",
        f"passes: {_PASSES[0]}, {_PASSES[1]}",
        f"fingerprint: {fingerprint(graph)}",
        f"made by: lamina inspect FILE source -l {graph.name} --direction {direction}{option}",
    ]


def _statements(graph: Graph) -> list[str]:
    """The lines of the specification that named values come from, in its order."""
    spans = [node.span for node in graph.nodes if node.span is not None and node.name is not None and node.op != "read"]
    found = {(span.file, span.line): span.text for span in spans if span.text}
    return [f"    {found[place]}" for place in sorted(found)]
