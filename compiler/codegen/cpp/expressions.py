"""Scalar operations as C++ expressions.

In: a node and its operands' text. Out: text, parenthesised where an operator needs it. Holds: operands are converted to the kind
the operation works in (int to Real in a real sum); constants keep all their bits, as hexadecimal floats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...ir.graph import Node
from ...ir.ops import KIND_ORDER
from ...ir.scalar_ops import SCALAR_OPS
from ...lang.checked import Kind

_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_OPERATORS = ("add", "sub", "mul", "div", *_COMPARISONS, "and", "or")
CPP_TYPES: dict[str, str] = {"real": "Real", "int": "int64_t", "bool": "bool"}


def literal(value: float | int | bool) -> str:
    """A constant with all its bits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 2**31 else f"{value}LL"
    if math.isnan(value):
        return 'Real(__builtin_nan(""))'
    if math.isinf(value):
        return f"Real({'-' if value < 0 else ''}__builtin_inf())"
    if float(value).is_integer() and abs(value) < 2**53:
        return f"Real({int(value)})" if math.copysign(1.0, value) > 0 or value else "Real(-0.0)"
    return f"Real({value.hex()} /* {value!r} */)" if len(repr(value)) > 6 else f"Real({value!r})"


def convert(text: str, kind: Kind, wanted: Kind) -> str:
    """An operand in the kind that an operation works in."""
    if kind == wanted:
        return text
    if wanted == "bool":
        return f"({text} != 0)"
    return f"{CPP_TYPES[wanted]}({text})"


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


def expression(node: Node, operands: Sequence[str], kinds: Sequence[Kind], exponent: int | None = None) -> str:
    """The C++ text of a scalar op; `exponent` is the value of a constant integer second operand of pow, or first of a family."""
    record = SCALAR_OPS[node.op]
    if node.op == "pow":
        base = convert(operands[0], kinds[0], "real")
        if exponent is not None:
            return f"lamina::powi<{exponent}>({bare(base)})"
        if kinds[1] in ("int", "bool"):
            return f"lamina::powi({bare(base)}, int64_t({operands[1]}))"
        return f"lamina::pow({bare(base)}, {bare(operands[1])})"
    if node.op == "bspline":
        return f"lamina::bspline<{exponent}>({bare(operands[1])})"
    if node.op == "polygamma":
        return f"lamina::polygamma({operands[0]}, {bare(operands[1])})"
    if node.op == "select":
        chosen = [convert(text, kind, node.kind) for text, kind in zip(operands[1:], kinds[1:], strict=True)]
        return f"({convert(operands[0], kinds[0], 'bool')} ? {chosen[0]} : {chosen[1]})"
    if node.op in _COMPARISONS:
        work: Kind = KIND_ORDER[max(KIND_ORDER.index(kind) for kind in (*kinds, "int"))]
    elif node.op in ("and", "or", "not"):
        work = "bool"
    elif record.kind == "int":
        work = "int"
    elif record.kind == "promote":
        work = node.kind
    else:
        work = "real"
    texts = [convert(text, kind, work) for text, kind in zip(operands, kinds, strict=True)]
    if node.op in (*_OPERATORS, "neg", "not"):
        return f"({record.cpp.format(*texts)})"
    if work == "int":  # the arguments of a template are of one type: a literal is an int
        return record.cpp.format(*(f"int64_t({bare(text)})" for text in texts))
    return record.cpp.format(*(bare(text) for text in texts))
