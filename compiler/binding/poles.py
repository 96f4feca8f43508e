"""Proof that a fitted layer divides by nothing that can be zero on the interval of its fit.

In: the layer's graph, the interval, the values of all other tensors. Out: a lower bound of every divisor's magnitude on the whole
interval, or the place that it could not be bounded away from zero at. Holds: the bound is certain, not sampled.

Method: interval arithmetic (Moore, "Interval Analysis", 1966) in float64, every bound rounded outwards, on pieces of the interval;
pieces on which some divisor may be zero are halved, until none is left or they are too short. What a rule is missing for may be
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy

from ..ir.graph import Affine, Graph, Node
from ..ir.lengths import evaluate
from ..ir.walk import with_operands
from ..lang.checked import Length

Array = Any
Bounds = tuple[Array, Array]

_PIECES = 64
_MOST_PIECES = 4096
_SHORTEST = 2.0**-36  # of the interval
_ULPS = 4  # that a function of the mathematics library may be off


@dataclass(frozen=True)
class Divisors:
    """`least`: a lower bound of every divisor's magnitude; None where nothing that varies is divided by. `pole`: the place, and the
    divisor's name in the specification, that may be a zero."""

    least: float | None
    pole: tuple[float, str | None] | None = None


def bound_divisors(graph: Graph, argument: str, low: float, high: float, values: Mapping[str, Array]) -> Divisors:
    """The divisors of a math-level graph where the input `argument` lies in [low, high] and the others have these values."""
    divisors = [node.operands[1] for node in graph.nodes if node.op == "div" and node.kind == "real"]
    divisors = [number for number in dict.fromkeys(divisors) if _depends(graph, number, argument)]
    if not divisors:
        return Divisors(None)
    edges = numpy.linspace(low, high, _PIECES + 1)
    lower, upper = edges[:-1], edges[1:]
    least = numpy.inf
    while len(lower):
        bounds = _evaluate(graph, argument, (lower, upper), values)
        open_ = numpy.zeros(len(lower), dtype=bool)
        magnitudes = numpy.full(len(lower), numpy.inf)
        for number in divisors:
            below, above = (numpy.broadcast_to(each, lower.shape) for each in bounds[number])
            apart = (below > 0) | (above < 0)
            open_ |= ~apart
            magnitudes = numpy.minimum(magnitudes, numpy.where(apart, numpy.minimum(abs(below), abs(above)), 0.0))
            first = int(numpy.argmax(~apart))
            short = upper[first] - lower[first] <= _SHORTEST * (high - low)
            if not apart[first] and (short or numpy.count_nonzero(~apart) > _MOST_PIECES):
                return Divisors(0.0, (float((lower[first] + upper[first]) / 2), graph.nodes[number].name))
        least = min(least, float(magnitudes[~open_].min(initial=numpy.inf)))
        middle = (lower[open_] + upper[open_]) / 2
        lower, upper = numpy.concatenate([lower[open_], middle]), numpy.concatenate([middle, upper[open_]])
        order = numpy.argsort(lower)
        lower, upper = lower[order], upper[order]
    return Divisors(least)


def _depends(graph: Graph, number: int, argument: str) -> bool:
    below = (graph.nodes[each] for each in with_operands(graph.nodes, [number]))
    return any(node.op == "input" and node.attribute("name") == argument for node in below)


def _outward(below: Array, above: Array, ulps: int = 1) -> Bounds:
    """The bounds moved apart by so many units in the last place; without a number, anything."""
    for _ in range(ulps):
        below, above = numpy.nextafter(below, -numpy.inf), numpy.nextafter(above, numpy.inf)
    unknown = numpy.isnan(below) | numpy.isnan(above)
    return numpy.where(unknown, -numpy.inf, below), numpy.where(unknown, numpy.inf, above)


def _corners(operation: Callable[[Array, Array], Array], x: Bounds, y: Bounds) -> Bounds:
    ends = [operation(one, other) for one in x for other in y]
    return _outward(numpy.minimum.reduce(numpy.broadcast_arrays(*ends)), numpy.maximum.reduce(numpy.broadcast_arrays(*ends)))


def _magnitude(x: Bounds) -> Bounds:
    inside = (x[0] <= 0) & (x[1] >= 0)
    return numpy.where(inside, 0.0, numpy.minimum(abs(x[0]), abs(x[1]))), numpy.maximum(abs(x[0]), abs(x[1]))


def _quotient(x: Bounds, y: Bounds) -> Bounds:
    below, above = _corners(numpy.divide, x, y)
    zero = (y[0] <= 0) & (y[1] >= 0)
    return numpy.where(zero, -numpy.inf, below), numpy.where(zero, numpy.inf, above)


def _power(x: Bounds, exponent: int) -> Bounds:
    base = _magnitude(x) if exponent % 2 == 0 else x
    return _outward(base[0] ** exponent, base[1] ** exponent, _ULPS)


# growing functions, with the smallest and the largest value they can have
_GROWING: Mapping[str, tuple[Callable[[Array], Array], float, float]] = {
    "exp": (numpy.exp, 0.0, numpy.inf),
    "exp2": (numpy.exp2, 0.0, numpy.inf),
    "expm1": (numpy.expm1, -1.0, numpy.inf),
    "log": (numpy.log, -numpy.inf, numpy.inf),
    "log1p": (numpy.log1p, -numpy.inf, numpy.inf),
    "sqrt": (numpy.sqrt, 0.0, numpy.inf),
    "tanh": (numpy.tanh, -1.0, 1.0),
    "atan": (numpy.arctan, -numpy.inf, numpy.inf),
    "sinh": (numpy.sinh, -numpy.inf, numpy.inf),
    "asinh": (numpy.arcsinh, -numpy.inf, numpy.inf),
    "sigmoid": (lambda x: 0.5 * (1.0 + numpy.tanh(0.5 * x)), 0.0, 1.0),
    "softplus": (lambda x: numpy.logaddexp(0.0, x), 0.0, numpy.inf),
}
_RANGES: Mapping[str, tuple[float, float]] = {"sin": (-1.0, 1.0), "cos": (-1.0, 1.0), "erf": (-1.0, 1.0), "cosh": (1.0, numpy.inf)}
_ANYTHING: Bounds = (numpy.float64(-numpy.inf), numpy.float64(numpy.inf))


def _evaluate(graph: Graph, argument: str, piece: Bounds, values: Mapping[str, Array]) -> list[Bounds]:
    """Bounds of every node's value, for each piece."""
    found: list[Bounds] = []
    with numpy.errstate(all="ignore"):
        for node in graph.nodes:
            found.append(_bounds(graph, node, [found[operand] for operand in node.operands], argument, piece, values))
    return found


def _bounds(graph: Graph, node: Node, operands: list[Bounds], argument: str, piece: Bounds, values: Mapping[str, Array]) -> Bounds:
    if node.op == "const":
        value = numpy.float64(node.attribute("value"))
        return value, value
    if node.op == "length":
        value = numpy.float64(_points(graph, node.attribute("length")))
        return value, value
    if node.op == "reduce" and node.attribute("operation") in ("sum", "mean", "max", "min"):
        return _reduced(graph, node, operands[0])
    if node.op == "read":
        source = graph.nodes[node.operands[0]]
        if source.op != "input" or node.attribute("boundary") is not None:
            return _ANYTHING
        name = source.attribute("name")
        return piece if name == argument else _stored(values[name], node.attribute("indices"))
    if node.op == "add":
        return _outward(operands[0][0] + operands[1][0], operands[0][1] + operands[1][1])
    if node.op == "sub":
        return _outward(operands[0][0] - operands[1][1], operands[0][1] - operands[1][0])
    if node.op == "neg":
        return -operands[0][1], -operands[0][0]
    if node.op == "mul":
        return _power(operands[0], 2) if node.operands[0] == node.operands[1] else _corners(numpy.multiply, *operands)
    if node.op == "div":
        return _quotient(*operands)
    if node.op == "abs":
        return _magnitude(operands[0])
    if node.op in ("max", "min"):
        pick = numpy.maximum if node.op == "max" else numpy.minimum
        return pick(operands[0][0], operands[1][0]), pick(operands[0][1], operands[1][1])
    if node.op in _CONDITIONS:
        return _CONDITIONS[node.op](*operands)
    if node.op == "select":
        return _choice(*operands)
    if node.op == "pow":
        exponent = graph.nodes[node.operands[1]]
        whole = exponent.op == "const" and float(exponent.attribute("value")).is_integer() and exponent.attribute("value") >= 0
        return _power(operands[0], int(exponent.attribute("value"))) if whole else _ANYTHING
    if node.op in _GROWING:
        function, smallest, largest = _GROWING[node.op]
        below, above = _outward(function(operands[0][0]), function(operands[0][1]), _ULPS)
        return numpy.maximum(below, smallest), numpy.minimum(above, largest)
    return _RANGES.get(node.op, _ANYTHING)


def _choice(condition: Bounds, first: Bounds, second: Bounds) -> Bounds:
    """One of two values: where the condition is certain, the one it takes."""
    surely, never = condition[0] >= 1, condition[1] <= 0
    below = numpy.where(surely, first[0], numpy.where(never, second[0], numpy.minimum(first[0], second[0])))
    above = numpy.where(surely, first[1], numpy.where(never, second[1], numpy.maximum(first[1], second[1])))
    return below, above


def _less(x: Bounds, y: Bounds) -> Bounds:
    return numpy.where(x[1] < y[0], 1.0, 0.0), numpy.where(x[0] >= y[1], 0.0, 1.0)


def _at_most(x: Bounds, y: Bounds) -> Bounds:
    return numpy.where(x[1] <= y[0], 1.0, 0.0), numpy.where(x[0] > y[1], 0.0, 1.0)


# truth as a number: (1, 1) is certain, (0, 0) impossible, (0, 1) open
_CONDITIONS: Mapping[str, Callable[..., Bounds]] = {
    "lt": _less,
    "gt": lambda x, y: _less(y, x),
    "le": _at_most,
    "ge": lambda x, y: _at_most(y, x),
    "not": lambda x: (1 - x[1], 1 - x[0]),
    "and": lambda x, y: (numpy.minimum(x[0], y[0]), numpy.minimum(x[1], y[1])),
    "or": lambda x, y: (numpy.maximum(x[0], y[0]), numpy.maximum(x[1], y[1])),
}


def _points(graph: Graph, length: Length) -> int:
    """A length, where one that only a call knows is 1: the layer is fitted on one number."""
    return evaluate(length, {symbol.name: 1 for symbol in length.free_symbols})


def _reduced(graph: Graph, node: Node, value: Bounds) -> Bounds:
    count = 1
    for axis in node.attribute("over"):
        count *= _points(graph, graph.axis_lengths[axis])
    if node.attribute("operation") != "sum":
        return value if count else _ANYTHING
    return _outward(value[0] * count, value[1] * count, count.bit_length() + 1)


def _stored(value: Array, indices: tuple[Any, ...]) -> Bounds:
    """The least and the largest of the values that a read may mean: all along a dimension with an index that varies."""
    places: list[int | slice] = []
    for index in indices:
        fixed = isinstance(index, Affine) and not index.terms and index.offset.is_Integer
        places.append(int(index.offset) if fixed else slice(None))
    part = numpy.asarray(value, dtype=numpy.float64)[tuple(places)]
    return part.min(), part.max()
