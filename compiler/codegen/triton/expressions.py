"""Scalar operations as Triton expressions.

In: a node and its operands as `Value`s. Out: text. Holds: operands are converted to the kind the operation works in; constants keep
all their bits (Triton takes a bare float literal for a float32); what is computed from constants alone is typed explicitly, so that
nothing is computed in fewer bits than the kernel's.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.graph import Node
from ...ir.ops import KIND_ORDER
from ...ir.scalar_ops import SCALAR_OPS
from ...lang.checked import Kind

_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_INFIX = {
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "eq": "({0} == {1})",
    "ne": "({0} != {1})",
    "lt": "({0} < {1})",
    "le": "({0} <= {1})",
    "gt": "({0} > {1})",
    "ge": "({0} >= {1})",
    "and": "({0} & {1})",
    "or": "({0} | {1})",
    "neg": "(-{0})",
    "not": "({0} == 0)",
}
STORAGE_TYPES = {
    "f64": "tl.float64",
    "f32": "tl.float32",
    "f16": "tl.float16",
    "bf16": "tl.bfloat16",
    "i64": "tl.int64",
    "i32": "tl.int32",
    "bool": "tl.int1",
}


@dataclass(frozen=True)
class Value:
    """`text`: an expression; `dims`: the dimensions of the tile that it varies along; `bare`: a Python number or an integer
    argument, which has no type of its own."""

    text: str
    dims: frozenset[int] = frozenset()
    bare: bool = False


class ExpressionWriter:
    """Expressions in one precision. `functions`: the names of the runtime functions used so far, in order."""

    def __init__(self, double: bool) -> None:
        self.double = double
        self.real = "tl.float64" if double else "tl.float32"
        self.functions: dict[str, None] = {}

    def type_of(self, kind: Kind) -> str:
        return {"real": self.real, "int": "tl.int64", "bool": "tl.int1"}[kind]

    def storage(self, dtype: str) -> str:
        """The Triton type of a buffer's elements."""
        return self.real if dtype == "compute" else STORAGE_TYPES[dtype]

    def call(self, name: str, *arguments: str) -> str:
        """A call of a runtime function, `lamina_<name>`."""
        self.functions.setdefault(f"lamina_{name}")
        return f"lamina_{name}({', '.join(bare(argument) for argument in arguments)})"

    def literal(self, value: float | int | bool) -> Value:
        """A constant with all its bits."""
        if isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**31):
            return Value(repr(value), bare=True)
        if isinstance(value, int):
            return Value(f"tl.full((), {value}, tl.int64)")
        if not math.isfinite(value):
            return Value(f'tl.full((), float("{value}"), {self.real})')
        text = repr(value)
        if self.double and not _is_single(value):
            return Value(f"tl.full((), {text}, tl.float64)")
        if not self.double and not _in_range(value):
            rounded = "0.0" if abs(value) < 1.0 else f'float("{"-" if value < 0 else ""}inf")'
            return Value(f"tl.full((), {rounded}, tl.float32)")
        return Value(f"({text})" if text.startswith("-") else text, bare=True)

    def convert(self, value: Value, kind: Kind, wanted: Kind) -> Value:
        """An operand in the kind that an operation works in."""
        if kind == wanted:
            return value
        if wanted == "bool":
            return Value(f"({value.text} != 0)", value.dims, value.bare)
        if wanted == "real" and value.text.isdigit():
            return Value(f"{value.text}.0", bare=True)
        return Value(f"tl.cast({bare(value.text)}, {self.type_of(wanted)})", value.dims)

    def typed(self, value: Value, kind: Kind) -> Value:
        """The value as a tensor of its kind's type."""
        return Value(f"tl.cast({bare(value.text)}, {self.type_of(kind)})", value.dims) if value.bare else value

    def expression(self, node: Node, operands: Sequence[Value], kinds: Sequence[Kind], exponent: int | None = None) -> Value:
        """A scalar op; `exponent` is the value of a constant integer second operand of pow, or first of a family."""
        op = node.op
        if op == "select":
            chosen = [self.convert(value, kind, node.kind) for value, kind in zip(operands[1:], kinds[1:], strict=True)]
            if chosen[0].bare and chosen[1].bare:
                chosen[0] = self.typed(chosen[0], node.kind)
            condition = self.typed(self.convert(operands[0], kinds[0], "bool"), "bool")
            return _joined(
                f"tl.where({bare(condition.text)}, {bare(chosen[0].text)}, {bare(chosen[1].text)})", (condition, *chosen)
            )
        work = self._work(node, kinds)
        works = [work] * len(operands)
        if op == "pow" and kinds[1] in ("int", "bool"):
            works[1] = "int"
        values = [self.convert(value, kind, wanted) for value, kind, wanted in zip(operands, kinds, works, strict=True)]
        if all(value.bare for value in values):
            values = [self.typed(value, wanted) for value, wanted in zip(values, works, strict=True)]
        return _joined(self._text(node, values, kinds, work, exponent), values)

    def _work(self, node: Node, kinds: Sequence[Kind]) -> Kind:
        """The kind that an operation works in."""
        if node.op in _COMPARISONS:
            return KIND_ORDER[max(KIND_ORDER.index(kind) for kind in (*kinds, "int"))]
        if node.op in ("and", "or", "not"):
            return "bool"
        if SCALAR_OPS[node.op].kind == "int":
            return "int"
        return node.kind if SCALAR_OPS[node.op].kind == "promote" else "real"

    def _text(self, node: Node, values: Sequence[Value], kinds: Sequence[Kind], work: Kind, exponent: int | None) -> str:
        op, texts = node.op, [value.text for value in values]
        if op in _INFIX:
            return _INFIX[op].format(*texts)
        if op == "to_real":
            return texts[0]
        if op == "div":
            return f"({texts[0]} / {texts[1]})" if self.double else f"tl.div_rn({bare(texts[0])}, {bare(texts[1])})"
        if op == "pow":
            if exponent is not None:
                return self.call(f"power_{exponent}".replace("-", "m"), texts[0])
            if kinds[1] in ("int", "bool"):
                return self.call("integer_power", texts[0], texts[1])
            return self.call("power", *texts)
        if op == "bspline":
            return self.call(f"bspline_{exponent}", texts[1])
        if op == "polygamma":
            assert exponent is not None, "polygamma of an order that varies"
            return self.call("polygamma", texts[1], str(exponent))
        if work == "int" and op in ("floor", "round"):
            return texts[0]
        if op in ("abs", "floor"):
            return f"tl.{op}({bare(texts[0])})"
        if op in ("min", "max"):
            return self.maximum(op, texts[0], texts[1], work)
        if op == "clamp":
            return self.maximum("min", self.maximum("max", texts[0], texts[1], work), texts[2], work)
        if work == "int" and op == "sign":
            return self.call("integer_sign", texts[0])
        return self.call(op, *texts)

    def maximum(self, op: str, first: str, second: str, kind: Kind) -> str:
        """The larger ("max") or the smaller ("min") of two; NaN passes."""
        nan = ", propagate_nan=tl.PropagateNan.ALL" if kind == "real" else ""
        return f"tl.{op}imum({bare(first)}, {bare(second)}{nan})"


def _joined(text: str, values: Sequence[Value]) -> Value:
    return Value(text, frozenset().union(*(value.dims for value in values)))


def _is_single(value: float) -> bool:
    return _in_range(value) and struct.unpack("f", struct.pack("f", value))[0] == value


def _in_range(value: float) -> bool:
    return value == 0 or 2.0**-126 <= abs(value) < 3.4028235e38


def bare(text: str) -> str:
    """The text without one pair of parentheses around the whole of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1]
