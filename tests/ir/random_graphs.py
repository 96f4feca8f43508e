"""Random legal graphs, for property tests.

In: hypothesis' choices. Out: a `Graph` with every op, attribute and form of length that the builder takes.
"""

from __future__ import annotations

import sympy
from hypothesis import strategies as st
from lamina.ir.graph import Affine, Builder, GatherSlot, Graph, Output, TensorSpec
from lamina.ir.scalar_ops import SCALAR_OPS
from lamina.lang.checked import Axis, length_symbol
from lamina.spans import Span
from sketches import entries, index

L, C = length_symbol("L"), length_symbol("h.C")
AXES = (
    Axis("...", length_symbol("...")),
    Axis("L", L),
    Axis("G", sympy.Integer(3)),
    Axis("h.C", C),
    Axis("F", sympy.floor(L / 2) + 1),
    Axis("a.1", 2 * C + 1),
    Axis("k", sympy.Integer(2)),
)
INPUTS = (
    TensorSpec("x", "in", entries("... L G*h.C"), "float"),
    TensorSpec("h.w", "param", entries("a.1 k"), "f32"),
    TensorSpec("z", "buffer", entries("L F"), "complex"),
    TensorSpec("t", "in", entries("L"), "i64"),
    TensorSpec("s", "saved", (), "compute"),
)
LENGTHS = (sympy.Integer(0), sympy.Integer(-3), sympy.Integer(7), L, -L, 2 * L - 1, L * C, L**2, sympy.floor((L + C) / 3) - 2 * C)
REALS = st.floats(allow_nan=False, width=64)
SPANS = st.builds(Span, st.sampled_from(["a.lam", 'odd "name" @ 1:2-3:4.lam']), *[st.integers(1, 99)] * 4)
PROVENANCE = st.tuples(st.none() | st.sampled_from(["p", "h.q_2"]), st.none() | SPANS)


@st.composite
def indices(draw, rank: int, gathered: list[int]):
    """One index a dimension; those gathered are noted as operands in `gathered` by their position."""
    found = []
    for _ in range(rank):
        if draw(st.integers(0, 5)) == 0:
            gathered.append(len(gathered) + 1)
            found.append(GatherSlot(len(gathered)))
            continue
        axes = draw(st.lists(st.sampled_from([axis.name for axis in AXES]), unique=True, max_size=3))
        coefficients = [draw(st.sampled_from([each for each in LENGTHS if each != 0])) for _ in axes]
        found.append(Affine(tuple(zip(axes, coefficients, strict=True)), draw(st.sampled_from(LENGTHS))))
    return tuple(found)


@st.composite
def graphs(draw, most_nodes: int = 14) -> Graph:
    builder = Builder("random", AXES, INPUTS)
    values = [builder.const(draw(REALS | st.integers(-(2**40), 2**40) | st.booleans()))]
    values.append(builder.add("index", axis=draw(st.sampled_from(["L", "k", "..."]))))
    values.append(builder.add("length", length=draw(st.sampled_from(LENGTHS))))
    for _ in range(draw(st.integers(4, most_nodes))):
        label, span = draw(PROVENANCE)
        number = draw(node(builder, values))
        if number is not None:
            values.append(number)
            if label is not None:
                builder.label(number, label, span)
    outputs = []
    for position, number in enumerate(reversed(values[-8:])):  # most of what was drawn
        kind = builder.nodes[number].kind
        layout = " ".join(axis.name for axis in AXES if axis.name in builder.nodes[number].axes or draw(st.booleans()))
        dtype = {"bool": "bool", "int": "i64", "real": "float", "complex": "c128"}[kind]
        outputs.append(
            Output(TensorSpec(f"y{position}", draw(st.sampled_from(["out", "gradient"])), entries(layout), dtype), number)
        )
    return builder.finish(outputs, "layer")


@st.composite
def node(draw, builder: Builder, values: list[int]) -> int | None:
    """One more node over the values so far; None where the op chosen does not fit them."""
    span = draw(st.none() | SPANS)
    value = draw(st.sampled_from(values))
    axes = builder.nodes[value].axes
    op = draw(
        st.sampled_from(
            ["scalar", "scalar", "read", "view", "reduce", "contract", "stack", "slice", "transform", "scan", "scatter"]
        )
    )
    if op == "scalar":
        name = draw(st.sampled_from(sorted(SCALAR_OPS)))
        operands = [draw(st.sampled_from(values)) for _ in range(SCALAR_OPS[name].arity)]
        if any(builder.nodes[o].kind == "complex" for o in operands) and not SCALAR_OPS[name].complex_allowed:
            return None
        return builder.add(name, operands, span=span)
    if op in ("read", "scatter"):
        gathered: list[int] = []
        spec = draw(st.sampled_from(INPUTS))
        found = draw(indices(len(spec.entries), gathered))
        whole = [v for v in values if builder.nodes[v].kind == "int"]
        operands = [draw(st.sampled_from(whole)) for _ in gathered]
        boundary = draw(st.sampled_from([None, "zero", "wrap", "clamp", "reflect"]))
        if op == "read":
            return builder.add("read", (builder.input(spec.name), *operands), span=span, indices=found, boundary=boundary)
        over = builder.sorted_axes({*axes, *(axis for each in found if isinstance(each, Affine) for axis in each.axes)})
        return builder.add("scatter", (value, *operands), indices=found, boundary=boundary, entries=spec.entries, over=over)
    if op == "view":
        source = builder.add("view", (value,), entries=entries(" ".join(axes)))
        shift = draw(st.integers(-2, 2))
        return builder.add("read", (source,), indices=tuple(index(shift, **{axis: 1}) for axis in axes), boundary="zero")
    if op == "transform":
        n = draw(st.sampled_from(LENGTHS[2:]))
        function = draw(st.sampled_from(["fft", "ifft", "rfft", "irfft", "dct", "idct"]))
        return builder.add("transform", (value,), span=span, function=function, source="L", target="F", n=n)
    if op == "stack":
        return None if "k" in axes else builder.add("stack", (value, value), axis="k")
    if op == "scan":
        if "L" in axes:
            return None
        name = f"h_{len(builder.nodes)}"
        carried = builder.add("carried", name=name, kind="complex", axes=axes)
        body = builder.add(
            "add", (carried, builder.add("read", (builder.input("z"),), indices=(index(L=1), index(0)), boundary=None))
        )
        reverse = draw(st.booleans())
        if draw(st.booleans()):
            return builder.add("scan", (value, body), axis="L", names=(name,), result=0, reverse=reverse)
        other = builder.add("carried", name=f"{name}.2", kind="complex", axes=axes)
        bodies = (builder.add("add", (body, other)), body)
        names = (name, f"{name}.2")
        return builder.add("scan", (value, value, *bodies), axis="L", names=names, result=draw(st.integers(0, 1)), reverse=reverse)
    if not axes:
        return None
    axis = draw(st.sampled_from(axes))
    if op == "reduce":
        kind = builder.nodes[value].kind
        operation = draw(st.sampled_from(["sum", "prod"] if kind == "complex" else ["sum", "prod", "max", "min", "any", "all"]))
        return builder.add("reduce", (value,), span=span, operation=operation, over=(axis,))
    if op == "contract":
        return builder.add("contract", (value, draw(st.sampled_from(values))), over=(axis,))
    return builder.add("slice", (value,), axis=axis, position=draw(st.integers(0, 5)))
