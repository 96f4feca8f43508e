"""Local simplification, tried on every node as it is built.

Before: op(operands; attributes), about to be added. After: the number of an equal, simpler value, or None.
Why it is legal: each rule is an identity of real arithmetic that changes no result by more than the roundings it removes, keeps
NaN and infinity (x * 0 is left alone), and x^0 = 1 is the language's own definition. Constants are folded in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from ..ir.graph import Builder, entry_length, whole_index
from ..ir.scalar_ops import ORDERED_POLYNOMIALS, SCALAR_OPS
from .factors import product, product_factors, strip_factors
from .polynomials import expand_polynomial
from .substitute import is_part_of_transform, push_slice
from .windows import window_roles

_COMMUTATIVE = ("add", "mul", "min", "max", "eq", "ne", "and", "or")


def simplify(builder: Builder, op: str, operands: tuple[int, ...], attributes: dict[str, Any]) -> int | None:
    """The `Builder.simplify` hook."""
    if op == "reduce":
        return _reduce(builder, operands[0], attributes["operation"], attributes["over"])
    if op == "read":
        return _read(builder, operands, attributes)
    if op == "contract":
        return _contract(builder, operands, attributes["over"])
    if op == "slice":
        return _slice(builder, operands[0], attributes["axis"], attributes["position"])
    if op == "length" and attributes["length"].is_Integer:
        return builder.const(int(attributes["length"]))
    if op not in SCALAR_OPS:
        return None
    folded = _fold(builder, op, operands)
    if folded is not None:
        return folded
    rule = _RULES.get(op)
    if rule is not None:
        result = rule(builder, *operands)
        if result is not None:
            return result
    if op in _COMMUTATIVE:
        return builder.find(op, (operands[1], operands[0]))
    return None


def _read(builder: Builder, operands: tuple[int, ...], attributes: dict[str, Any]) -> int | None:
    """A value that is a tensor read whole need not be laid out to be read at other indices: the tensor is read there."""
    view = builder.nodes[operands[0]]
    if view.op != "view":
        return None
    value = builder.nodes[view.operands[0]]
    if value.op != "read" or value.attribute("boundary") is not None or builder.nodes[value.operands[0]].op != "input":
        return None
    lengths = builder.lengths
    dimensions = builder.inputs[builder.nodes[value.operands[0]].attribute("name")].entries
    wholes = [whole_index(entry, lengths) for entry in view.attribute("entries")]
    places = [wholes.index(index) if index in wholes else -1 for index in value.attribute("indices")]
    if sorted(places) != list(range(len(wholes))):
        return None
    entries = [view.attribute("entries")[place] for place in places]
    if any(entry_length(entry, lengths) != entry_length(own, lengths) for entry, own in zip(entries, dimensions, strict=True)):
        return None
    indices = tuple(attributes["indices"][place] for place in places)
    return builder.add("read", (value.operands[0], *operands[1:]), indices=indices, boundary=attributes["boundary"])


def constant(builder: Builder, number: int) -> float | int | bool | None:
    """The value of a constant node, else None."""
    node = builder.nodes[number]
    return node.attribute("value") if node.op == "const" else None


def _fold(builder: Builder, op: str, operands: tuple[int, ...]) -> int | None:
    values = [constant(builder, operand) for operand in operands]
    if any(value is None for value in values):
        return None
    record = SCALAR_OPS[op]
    if record.kind == "complex" or op in ("conj", "re", "im"):
        return None
    with numpy.errstate(all="ignore"):
        result = record.reference(*values)
    kinds = [builder.nodes[operand].kind for operand in operands]
    kind = record.kind
    if kind == "promote":
        real = "real" in (kinds[1:] if op == "select" else kinds) or record.floor == "real"
        kind = "real" if real else ("int" if record.floor == "int" or "int" in kinds else "bool")
    if kind == "bool":
        return builder.const(bool(result))
    if kind == "int":
        return builder.const(int(result))
    value = float(result)
    if math.isnan(value) or (value == 0.0 and math.copysign(1.0, value) < 0.0):
        return None  # kept as written: a constant cannot tell these apart from others
    return builder.const(value)


def _is(builder: Builder, number: int, value: float) -> bool:
    found = constant(builder, number)
    return found is not None and not isinstance(found, bool) and found == value


def _keeps_kind(builder: Builder, kept: int, other: int) -> bool:
    """Whether dropping `other` leaves the result's kind as it was."""
    order = ("bool", "int", "real", "complex")
    kept_kind = builder.nodes[kept].kind
    return kept_kind != "bool" and order.index(builder.nodes[other].kind) <= order.index(kept_kind)


def _integer_shift(builder: Builder, number: int) -> tuple[int, int]:
    """number as (base, integer constant added to it)."""
    node = builder.nodes[number]
    if node.op in ("add", "sub") and node.kind == "real":
        value = constant(builder, node.operands[1])
        if value is not None and float(value).is_integer() and abs(value) < 2**20:
            return node.operands[0], int(value) if node.op == "add" else -int(value)
    return number, 0


def _shifted(builder: Builder, base: int, shift: int) -> int:
    if shift == 0:
        return base
    return (
        builder.add("add", (base, builder.const(float(shift))))
        if shift > 0
        else builder.add("sub", (base, builder.const(float(-shift))))
    )


def _add(builder: Builder, x: int, y: int) -> int | None:
    if _is(builder, y, 0) and _keeps_kind(builder, x, y):
        return x
    if _is(builder, x, 0) and _keeps_kind(builder, y, x):
        return y
    if builder.nodes[y].op == "neg":
        return builder.add("sub", (x, builder.nodes[y].operands[0]))
    if builder.nodes[x].op == "neg":
        return builder.add("sub", (y, builder.nodes[x].operands[0]))
    return _join_choices(builder, x, y) or _merge_shift(builder, x, y, 1)


def _join_choices(builder: Builder, x: int, y: int) -> int | None:
    """(c ? a : 0) + (c ? 0 : b) is c ? a : b."""
    first, second = builder.nodes[x], builder.nodes[y]
    if first.op != "select" or second.op != "select" or first.operands[0] != second.operands[0]:
        return None
    for one, other in ((first, second), (second, first)):
        if _is(builder, one.operands[2], 0) and _is(builder, other.operands[1], 0):
            return builder.add("select", (one.operands[0], one.operands[1], other.operands[2]))
    return None


def _and(builder: Builder, x: int, y: int) -> int | None:
    for one, other in ((x, y), (y, x)):
        known = constant(builder, other)
        if known is not None:
            return one if known else builder.const(False)
    return x if x == y else None


def _or(builder: Builder, x: int, y: int) -> int | None:
    for one, other in ((x, y), (y, x)):
        known = constant(builder, other)
        if known is not None:
            return builder.const(True) if known else one
        if builder.nodes[other].op == "not" and builder.nodes[other].operands[0] == one:
            return builder.const(True)
    return x if x == y else None


def _sub(builder: Builder, x: int, y: int) -> int | None:
    if _is(builder, y, 0) and _keeps_kind(builder, x, y):
        return x
    if _is(builder, x, 0) and _keeps_kind(builder, y, x):
        return builder.add("neg", (y,))
    if builder.nodes[y].op == "neg":
        return builder.add("add", (x, builder.nodes[y].operands[0]))
    return _merge_shift(builder, x, y, -1)


def _merge_shift(builder: Builder, x: int, y: int, sign: int) -> int | None:
    """(z + m) + n is z + (m + n) for integers m and n: one rounding instead of two."""
    value = constant(builder, y)
    if value is None or isinstance(value, bool) or not float(value).is_integer() or abs(value) >= 2**20:
        return None
    base, shift = _integer_shift(builder, x)
    if base == x:
        return None
    return _shifted(builder, base, shift + sign * int(value))


def _mul(builder: Builder, x: int, y: int) -> int | None:
    for kept, other in ((x, y), (y, x)):
        if _is(builder, other, 1) and _keeps_kind(builder, kept, other):
            return kept
        if _is(builder, other, -1) and _keeps_kind(builder, kept, other):
            return builder.add("neg", (kept,))
        value = constant(builder, other)
        if value is not None and builder.nodes[kept].op == "mul" and builder.nodes[kept].kind == "real":
            inner = builder.nodes[kept].operands
            for first, second in (inner, inner[::-1]):
                factor = constant(builder, first)
                if factor is not None:
                    return builder.add("mul", (builder.const(float(factor) * float(value)), second))
        if builder.nodes[other].op == "neg":
            return builder.add("neg", (builder.add("mul", (kept, builder.nodes[other].operands[0])),))
    return None


def _div(builder: Builder, x: int, y: int) -> int | None:
    if _is(builder, y, 1) and builder.nodes[x].kind in ("real", "complex"):
        return x
    value = constant(builder, y)
    if value and builder.nodes[x].kind == "real" and math.frexp(abs(value))[0] == 0.5:
        return builder.add("mul", (x, builder.const(1.0 / value)))  # exact: a power of two
    return None


def _neg(builder: Builder, x: int) -> int | None:
    node = builder.nodes[x]
    return node.operands[0] if node.op == "neg" else None


def _pow(builder: Builder, x: int, exponent: int) -> int | None:
    value = constant(builder, exponent)
    if value is None or isinstance(value, bool):
        return None
    real = builder.nodes[x].kind in ("real", "complex")
    if value == 0:
        return builder.const(1.0)
    if value == 1 and real:
        return x
    if value == 2 and real:
        return builder.add("mul", (x, x))
    if isinstance(value, float) and real:
        if value.is_integer() and abs(value) <= 64:
            return builder.add("pow", (x, builder.const(int(value))))
        if value == 0.5:
            return builder.add("sqrt", (x,)) if builder.nodes[x].kind == "real" else None
    return None


def _select(builder: Builder, condition: int, x: int, y: int) -> int | None:
    value = constant(builder, condition)
    if value is not None and builder.nodes[x].kind == builder.nodes[y].kind:
        return x if value else y
    if x == y:
        return x
    inner = builder.nodes[x]
    if inner.op == "select" and inner.operands[0] == condition:
        return builder.add("select", (condition, inner.operands[1], y))
    inner = builder.nodes[y]
    if inner.op == "select" and inner.operands[0] == condition:
        return builder.add("select", (condition, x, inner.operands[2]))
    return None


def _ordered(name: str) -> Any:
    def rule(builder: Builder, order: int, t: int) -> int | None:
        value = constant(builder, order)
        return None if value is None else expand_polynomial(builder, name, int(value), t)

    return rule


_RULES: dict[str, Any] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "pow": _pow,
    "and": _and,
    "or": _or,
    "select": _select,
    **{name: _ordered(name) for name in ORDERED_POLYNOMIALS},
}


def _reduce(builder: Builder, value: int, operation: str, over: tuple[str, ...]) -> int | None:
    """Factors without a reduced axis leave a sum: sum(c * x) = c * sum(x). Nested sums join. Equal elements need no loop."""
    if not over:
        return value
    node = builder.nodes[value]
    lost = tuple(axis for axis in over if axis not in node.axes)
    if lost:
        rest = tuple(axis for axis in over if axis in node.axes)
        return _reduce_equal(builder, builder.reduce(operation, value, rest) if rest else value, operation, lost)
    if operation != "sum":
        return None
    if node.op == "reduce" and node.attribute("operation") == "sum":
        return builder.reduce("sum", node.operands[0], (*over, *node.attribute("over")))
    if node.kind != "real" or node.op not in ("mul", "neg"):
        return None
    if node.op == "neg":
        return builder.add("neg", (builder.reduce("sum", node.operands[0], over),))
    axes = builder.nodes
    factors = product_factors(builder, value)
    outside = {f for f in factors if not set(axes[f].axes) & set(over)}
    if not outside:
        return None
    inner = strip_factors(builder, value, outside)
    outer = [f for f in factors if f in outside]
    if inner is None or not set(over) <= set(axes[inner].axes):
        return None
    return builder.add("mul", (product(builder, outer), builder.reduce("sum", inner, over)))


def _reduce_equal(builder: Builder, value: int, operation: str, axes: tuple[str, ...]) -> int:
    """The reduction of a value over axes that it does not vary along, because a rule above has found all its elements equal."""
    if operation in ("max", "min"):
        return value  # over no element at all they are refused
    for axis in axes:
        count = builder.add("length", length=builder.lengths[axis])
        is_empty = builder.add("eq", (count, builder.const(0)))
        kind = builder.nodes[value].kind
        if operation == "any":
            value = builder.add("and", (value, builder.add("not", (is_empty,))))
        elif operation == "all":
            value = builder.add("or", (value, is_empty))
        elif operation == "sum":
            number = builder.add("select", (value, builder.const(1), builder.const(0))) if kind == "bool" else value
            # not 0 * number, which is NaN where that is infinite
            none = builder.const(0) if kind in ("bool", "int") else builder.const(0.0)
            value = builder.add("select", (is_empty, none, builder.add("mul", (number, count))))
        elif kind in ("real", "complex"):
            value = builder.add("pow", (value, count))
        else:  # an integer's power is a real: the product is left, over a value made to vary
            first = builder.add("ge", (builder.add("index", axis=axis), builder.const(0)))
            ones = builder.add("select", (first, builder.const(1), builder.const(0)))
            value = builder.add("reduce", (builder.add("mul", (value, ones)),), operation=operation, over=(axis,))
    return value


def _contract(builder: Builder, operands: tuple[int, ...], over: tuple[str, ...]) -> int | None:
    """A matrix product one of whose sides has no axis of its own any more is a sum, unless it is one over windows."""
    left, right = (set(builder.nodes[operand].axes) for operand in operands)
    if left - right - set(over) and right - left - set(over):
        return None
    if window_roles(builder, operands[0], operands[1], over) is not None:
        return None
    return builder.reduce("sum", builder.add("mul", operands), over)


def _slice(builder: Builder, value: int, axis: str, position: int) -> int | None:
    """A slice moves down to the reads, stacks and sums below it; a sum may yet be recognised as a contraction, which stays
    whole."""
    node = builder.nodes[value]
    if axis not in node.axes:
        return value
    if node.op in ("stack", "read", "index") or (node.op in SCALAR_OPS and not is_part_of_transform(builder, value)):
        return push_slice(builder, value, axis, position)
    return None
