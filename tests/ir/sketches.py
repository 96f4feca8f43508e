"""Short hands for building small graphs in tests.

In: axis lengths and tensor layouts as text. Out: a `Sketch`: a builder with methods for whole reads, explicit reads and outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
from lamina.ir.graph import Affine, Builder, GatherSlot, Graph, Output, TensorSpec
from lamina.ir.interpret import interpret
from lamina.ir.verify import verify
from lamina.lang.checked import Axis, Entry, length_symbol


def entries(layout: str) -> tuple[Entry, ...]:
    """The entries of a layout such as "... G*C"."""
    return tuple(Entry(tuple(entry.split("*"))) for entry in layout.split())


def index(offset: Any = 0, **coefficients: Any) -> Affine:
    """The index offset + coefficient * axis + ..., axes by keyword."""
    return Affine(tuple((axis, sympy.sympify(c)) for axis, c in coefficients.items()), sympy.sympify(offset))


class Sketch:
    """A graph under construction. Axes given without a length (None) are solved from the tensors."""

    def __init__(self, axes: Mapping[str, Any], tensors: Mapping[str, str | tuple[str, str]], name: str = "sketch") -> None:
        specs = []
        for tensor, layout in tensors.items():
            layout, dtype = layout if isinstance(layout, tuple) else (layout, "float")
            specs.append(TensorSpec(tensor, "in", entries(layout), dtype))
        known = [Axis(axis, length_symbol(axis) if length is None else sympy.sympify(length)) for axis, length in axes.items()]
        self.builder = Builder(name, known, specs)
        self.outputs: list[Output] = []

    def __call__(self, op: str, *operands: Any, **attributes: Any) -> int:
        """A node; numbers as operands become constants."""
        numbers = [self.builder.const(o.value) if isinstance(o, Const) else o for o in operands]
        return self.builder.add(op, numbers, **attributes)

    def whole(self, name: str) -> int:
        return self.builder.read_whole(self.builder.inputs[name])

    def read(self, name: str, *indices: Affine, boundary: str | None = None, gathered: Sequence[int] = ()) -> int:
        """A read of an input at one index a dimension; a number in `gathered` is the operand of each GatherSlot."""
        return self.builder.add("read", (self.builder.input(name), *gathered), indices=tuple(indices), boundary=boundary)

    def read_value(self, value: int, layout: str, *indices: Affine | GatherSlot, boundary: str | None = None) -> int:
        view = self.builder.add("view", (value,), entries=entries(layout))
        return self.builder.add("read", (view,), indices=tuple(indices), boundary=boundary)

    def sum(self, value: int, *over: str) -> int:
        return self.builder.reduce("sum", value, over)

    def reduce(self, operation: str, value: int, *over: str) -> int:
        return self.builder.reduce(operation, value, over)

    def out(self, name: str, layout: str, value: int, dtype: str | None = None) -> Sketch:
        kind = self.builder.nodes[value].kind
        dtype = dtype or {"bool": "bool", "int": "i64", "real": "float", "complex": "complex"}[kind]
        self.outputs.append(Output(TensorSpec(name, "out", entries(layout), dtype), value))
        return self

    def graph(self) -> Graph:
        graph = self.builder.finish(self.outputs, "layer")
        verify(graph)
        return graph

    def run(self, **tensors: Any) -> Any:
        """The outputs for these tensors: the only one by itself, several by name."""
        results = interpret(self.graph(), tensors)
        return next(iter(results.values())) if len(results) == 1 else results


class Const:
    """A constant operand of a `Sketch` node."""

    def __init__(self, value: float | int | bool) -> None:
        self.value = value
