"""Reductions of tiles as Triton text.

In: the nodes of a graph, a reduction's number. Out: texts that start, combine and finish it. Holds: `any` and `all` are the maximum
and the minimum of integers; what is "wide" is float64 or int64.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.graph import Node
from .expressions import ExpressionWriter, Value, bare

_INTEGER_START = {"sum": "0", "prod": "1", "any": "0", "all": "1", "max": "-9223372036854775808", "min": "9223372036854775807"}
_REAL_START = {"sum": "0.0", "prod": "1.0", "max": 'float("-inf")', "min": 'float("inf")'}
_AS_INTEGER = {"any": "max", "all": "min"}


class Reducer:
    def __init__(self, nodes: Sequence[Node], writer: ExpressionWriter) -> None:
        self.nodes = nodes
        self.writer = writer

    def _real(self, number: int) -> bool:
        return self.nodes[number].kind == "real"

    def operation(self, number: int) -> str:
        operation = self.nodes[number].attribute("operation")
        return _AS_INTEGER.get(operation, operation)

    def type_of(self, number: int, wide: bool = False) -> str:
        if not self._real(number):
            return "tl.int64"
        return "tl.float64" if wide else self.writer.real

    def neutral(self, number: int, wide: bool = False) -> str:
        """What changes nothing, and is the result for no value at all."""
        start = (_REAL_START if self._real(number) else _INTEGER_START)[self.nodes[number].attribute("operation")]
        return f"tl.full((), {start}, {self.type_of(number, wide)})" if "inf" in start or len(start) > 3 else start

    def start(self, number: int, shape: str, wide: bool = False) -> str:
        """A tile of neutral values."""
        start = (_REAL_START if self._real(number) else _INTEGER_START)[self.nodes[number].attribute("operation")]
        return f"tl.full({shape}, {start}, {self.type_of(number, wide)})"

    def operand(self, number: int, value: Value) -> str:
        """The reduction's operand in the type that it is combined in."""
        body = self.nodes[self.nodes[number].operands[0]]
        if not self._real(number) and (body.kind != "int" or value.bare):
            return f"tl.cast({bare(value.text)}, tl.int64)"
        if self._real(number) and body.kind != "real":
            return f"tl.cast({bare(value.text)}, {self.writer.real})"
        return bare(self.writer.typed(value, body.kind).text)

    def combined(self, number: int, first: str, second: str) -> str:
        """Two tiles as one, point by point."""
        operation = self.operation(number)
        if operation == "sum":
            return f"{first} + {second}"
        if operation == "prod":
            return f"{first} * {second}"
        return self.writer.maximum(operation, first, second, "real" if self._real(number) else "int")

    def wide(self, number: int, total: str, part: str) -> str:
        """A wide total and a part of the kernel's precision."""
        if self._real(number) and not self.writer.double:
            part = f"tl.cast({part}, tl.float64)"
        return self.combined(number, total, part)

    def finished(self, number: int, total: str) -> str:
        """A wide total in the kernel's precision."""
        if self._real(number) and not self.writer.double:
            return f"tl.cast({total}, tl.float32)"
        return total

    def across(self, number: int, text: str, axis: int, keep: bool = True) -> str:
        """A tile reduced along one of its dimensions."""
        kept = ", keep_dims=True" if keep else ""
        operation = self.operation(number)
        if operation == "sum":
            return f"tl.sum({bare(text)}, axis={axis}{kept})"
        stem = operation if self._real(number) or operation == "prod" else f"integer_{operation}"
        self.writer.functions.setdefault(f"lamina_combine_{stem}")
        return f"tl.reduce({bare(text)}, {axis}, lamina_combine_{stem}{kept})"
