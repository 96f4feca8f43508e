"""How a layer's lengths follow from the shapes of a call.

In: the layer's graph and its requirements. Out: `Interface`. Holds: lengths are solved one after the other, each from a dimension
that is linear in it; what is left over is said (`complete`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy

from ..ir.graph import Entry, Graph, TensorSpec, entry_length
from ..ir.lengths import symbols
from ..ir.tensors import leading_place
from ..lang.checked import ELLIPSIS, CheckedLayer
from .expressions import python_text
from .interface import Condition, Interface, Step


def interface_of(graph: Graph, conditions: Sequence[Condition]) -> Interface:
    """The interface of a graph at level "layer"."""
    lengths = graph.axis_lengths
    outputs = tuple(output.spec for output in graph.outputs)
    steps, complete = _steps(graph)
    return Interface(
        name=graph.name,
        inputs=graph.inputs,
        outputs=outputs,
        conditions=tuple(conditions),
        steps=steps,
        complete=complete,
        axes=tuple((axis.name, python_text(axis.length)) for axis in graph.axes if axis.name != ELLIPSIS),
        dimensions={spec.name: tuple(_text(entry, lengths) for entry in spec.entries) for spec in (*graph.inputs, *outputs)},
        load=lambda: graph,
    )


def conditions(checked: CheckedLayer) -> tuple[Condition, ...]:
    return tuple(
        Condition(python_text(sympy.sympify(each.condition)), each.text, each.message, str(each.span))
        for each in checked.requirements
    )


def _steps(graph: Graph) -> tuple[tuple[Step, ...], bool]:
    """How each unknown length is computed, and whether that gives all of them."""
    lengths = graph.axis_lengths
    pending = [
        (number, place, entry_length(entry, lengths)) for number, spec in enumerate(graph.inputs) for place, entry in _places(spec)
    ]
    known: set[str] = set()
    steps: list[Step] = []
    progress = True
    while pending and progress:
        progress = False
        for each in list(pending):
            number, place, length = each
            unknown = [symbol for symbol in symbols(length) if symbol.name not in known]
            if not unknown:
                pending.remove(each)
            elif len(unknown) == 1 and (solution := _solution(length, unknown[0])) is not None:
                steps.append(Step(number, place, unknown[0].name, solution))
                known.add(unknown[0].name)
                pending.remove(each)
                progress = True
    needed = {symbol.name for axis in graph.axes for symbol in symbols(axis.length)} - {ELLIPSIS}
    return tuple(steps), needed <= known


def _places(spec: TensorSpec) -> list[tuple[int, Entry]]:
    """Each entry but `...`, with its dimension, counted from the end where `...` stands before it."""
    place = leading_place(spec)
    count = len(spec.entries)
    return [
        (number if place is None or number < place else number - count, entry)
        for number, entry in enumerate(spec.entries)
        if number != place
    ]


def _text(entry: Entry, lengths: Mapping[str, sympy.Expr]) -> str | None:
    return None if entry.axes == (ELLIPSIS,) else python_text(sympy.expand(entry_length(entry, dict(lengths))))


def _solution(length: sympy.Expr, symbol: sympy.Symbol) -> str | None:
    """The symbol's value where length = n["?"], for a length linear in it; a remainder shows when lengths are checked."""
    found = sympy.Symbol("?", integer=True, nonnegative=True)
    expanded = sympy.expand(length)
    slope = expanded.coeff(symbol, 1)
    rest = sympy.expand(expanded - slope * symbol)
    if slope == 0 or slope.has(symbol) or rest.has(symbol):
        return None
    difference = python_text(found) if rest == 0 else f"({python_text(found)} - {python_text(rest)})"
    return difference if slope == 1 else f"({difference} // {python_text(slope)})"
