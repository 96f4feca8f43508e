"""From a checked layer to its graph.

In: a `CheckedLayer`. Out: a `Graph` at level "layer", as written: one node an operation, nothing recognised, nothing reordered.

What holds:
- Inputs are the layer's tensors in declared order; outputs its `out`s in order, of dtype float, complex, i64 or bool by their kind.
- A let is the node of its value, labelled with its name; read at other indices it is a `read` of a `view` of that node.
- `mean` is a sum over a length, `iterate` is written out or, where that is long, a scan along its steps; complex functions are
  built from real ones.
- Every node carries the place in the text that it comes from.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import sympy

from ..lang.checked import (
    AffineIndex,
    Apply,
    Boundary,
    Carried,
    CheckedLayer,
    Entry,
    Expr,
    Index,
    IndexValue,
    Iterate,
    Length,
    LengthValue,
    Let,
    Number,
    Read,
    Reduce,
    Scan,
    Tensor,
    TensorIndex,
    Transform,
)
from ..spans import Span
from .graph import Affine, Builder, GatherSlot, Graph, Output, TensorSpec, size_of, whole_index
from .ops import widest
from .scalar_ops import SCALAR_OPS

# Each method that meets an inner expression yields it and is resumed with its node number: depth costs no Python stack.
_Steps = Generator["tuple[Expr, _Scope]", int, int]

# an iteration of more steps, with more nodes in all of them, is a loop instead of written out
MOST_STEPS_OF_ANY_SIZE, MOST_UNROLLED_NODES = 16, 1024
_OUTPUT_DTYPES = {"bool": "bool", "int": "i64", "real": "float", "complex": "complex"}


def build(layer: CheckedLayer) -> Graph:
    """The graph of `layer` at level "layer"."""
    return _Build(layer).graph()


class _Scope:
    """The running values in force at a place, and the nodes of the expressions already built there."""

    def __init__(self, carried: Mapping[str, int]) -> None:
        self.carried = dict(carried)
        self.built: dict[int, int] = {}


class _Build:
    def __init__(self, layer: CheckedLayer) -> None:
        self.layer = layer
        self.tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in layer.tensors}
        self.scans: dict[str, int] = {}
        self.lets: dict[str, tuple[int, tuple[Entry, ...]]] = {}
        specs = [TensorSpec(tensor.name, tensor.role, tensor.entries, tensor.dtype) for tensor in layer.tensors]
        self.builder = Builder(layer.name, layer.axes, specs)
        self.lengths = self.builder.lengths

    def graph(self) -> Graph:
        outputs = []
        scope = _Scope({})
        for statement in self.layer.statements:
            number = self.value(statement.value, scope)
            if isinstance(statement, Let):
                self.builder.label(number, statement.name, statement.span)
                entries = statement.entries
                if entries is None:
                    entries = tuple(Entry((axis,)) for axis in statement.value.axes)
                self.lets[statement.name] = (number, entries)
            else:
                dtype = _OUTPUT_DTYPES[self.builder.nodes[number].kind]
                outputs.append(Output(TensorSpec(statement.name, "out", statement.entries, dtype), number))
        return self.builder.finish(outputs, "layer")

    def value(self, expr: Expr, scope: _Scope) -> int:
        """The node of an expression, built by running the generators of its parts on an explicit stack."""
        pending: list[tuple[Expr, _Scope, _Steps]] = []
        wanted: tuple[Expr, _Scope] | None = (expr, scope)
        number = -1
        while True:
            if wanted is not None:
                inner, place = wanted
                known = place.built.get(id(inner))
                if known is None:
                    pending.append((inner, place, self.steps(inner, place)))
                    send = None
                else:
                    number = known
                    send = number
                wanted = None
            else:
                send = number
            if not pending:
                return number
            current, place, steps = pending[-1]
            try:
                wanted = next(steps) if send is None else steps.send(send)
            except StopIteration as stop:
                number = stop.value
                place.built[id(current)] = number
                pending.pop()

    def add(self, span: Span, op: str, *operands: int, **attributes: Any) -> int:
        return self.builder.add(op, operands, span=span, **attributes)

    def steps(self, expr: Expr, scope: _Scope) -> _Steps:
        if isinstance(expr, Number):
            yield from ()
            return self.builder.const(float(expr.value) if expr.kind == "real" else expr.value)
        if isinstance(expr, LengthValue):
            return self.length(expr.length, expr.span)
        if isinstance(expr, IndexValue):
            return self.add(expr.span, "index", axis=expr.axis)
        if isinstance(expr, Carried):
            return scope.carried[expr.name]
        if isinstance(expr, Read):
            return (yield from self.read(expr, scope))
        if isinstance(expr, Apply):
            arguments = []
            for argument in expr.arguments:
                arguments.append((yield argument, scope))
            return self.apply(expr.function, arguments, expr.span)
        if isinstance(expr, Reduce):
            body = yield expr.body, scope
            return self.reduce(expr.operation, body, expr.over, expr.span)
        if isinstance(expr, Transform):
            body = yield expr.body, scope
            return self.add(
                expr.span,
                "transform",
                body,
                function=expr.function,
                source=expr.source,
                target=expr.target,
                n=sympy.sympify(expr.n),
            )
        if isinstance(expr, Scan):
            return (yield from self.scan(expr, scope))
        if isinstance(expr, Iterate):
            return (yield from self.iterate(expr, scope))
        raise TypeError(f"no rule for {type(expr).__name__}")

    # -------------------------------------------------------------------------------------------- leaves and reads

    def length(self, length: Length, span: Span) -> int:
        length = sympy.sympify(length)
        if length.is_Integer:
            return self.builder.const(int(length))
        return self.add(span, "length", length=length)

    def read(self, expr: Read, scope: _Scope) -> _Steps:
        tensor = self.tensors.get(expr.source)
        entries = tensor.entries if tensor is not None else self.lets[expr.source][1]
        indices: list[Affine | GatherSlot] = []
        gathered: list[int] = []
        whole = True
        for entry, index in zip(entries, expr.indices, strict=True):
            if isinstance(index, TensorIndex):
                gathered.append((yield index.value, scope))
                indices.append(GatherSlot(len(gathered)))
                whole = False
                continue
            affine = _affine(index)
            identity = whole_index(entry, self.lengths)
            if _same(affine, identity):
                affine = identity
            else:
                whole = False
            indices.append(affine)
        # read whole, a tensor cannot leave its range
        boundary: Boundary | None = None if whole else expr.boundary
        if tensor is not None:
            source = self.builder.input(tensor.name)
        else:
            source = self.lets[expr.source][0]
            if whole:
                return source
            source = self.add(expr.span, "view", source, entries=entries)
        return self.add(expr.span, "read", source, *gathered, indices=tuple(indices), boundary=boundary)

    # -------------------------------------------------------------------------------------------- operations

    def apply(self, function: str, arguments: list[int], span: Span) -> int:
        complex_valued = [self.builder.nodes[argument].kind == "complex" for argument in arguments]
        if function == "cis":
            return self.add(span, "complex", self.add(span, "cos", arguments[0]), self.add(span, "sin", arguments[0]))
        if function == "arg":
            real, imaginary = (self.apply(part, arguments, span) for part in ("re", "im"))
            return self.add(span, "atan2", imaginary, real)
        if function == "abs" and complex_valued[0]:
            return self.add(span, "hypot", self.add(span, "re", arguments[0]), self.add(span, "im", arguments[0]))
        if function in ("re", "conj") and not complex_valued[0]:
            return arguments[0]
        if function == "im" and not complex_valued[0]:
            return self.builder.const(0.0)
        if function in ("min", "max"):
            result = arguments[0]
            for argument in arguments[1:]:
                result = self.add(span, function, result, argument)
            return result
        if function not in SCALAR_OPS:
            raise ValueError(f"no scalar function {function}")
        return self.add(span, function, *arguments)

    def reduce(self, operation: str, body: int, over: tuple[str, ...], span: Span) -> int:
        """A reduction. An axis that the body does not vary along contributes by its length alone: sum[i < 3](x) is x * 3."""
        if operation == "mean":
            count = size_of(self.lengths[axis] for axis in over)
            return self.add(span, "div", self.reduce("sum", body, over, span), self.length(count, span))
        varying = self.builder.nodes[body].axes
        own = self.builder.sorted_axes(axis for axis in over if axis in varying)
        result = self.add(span, "reduce", body, operation=operation, over=own) if own else body
        repeats = size_of(self.lengths[axis] for axis in over if axis not in varying)
        if repeats == 1 and (own or operation in ("max", "min", "prod")):
            return result
        count_node = self.length(repeats, span)
        if operation == "sum":
            return self.add(span, "mul", result, count_node)
        if operation == "prod":
            return self.add(span, "pow", result, count_node)
        if operation == "any":
            return self.add(span, "and", result, self.add(span, "gt", count_node, self.builder.const(0)))
        if operation == "all":
            return self.add(span, "or", result, self.add(span, "eq", count_node, self.builder.const(0)))
        return result

    def scan(self, expr: Scan, scope: _Scope) -> _Steps:
        initial = yield expr.initial, scope
        axes = self.builder.sorted_axes(axis for axis in expr.axes if axis != expr.axis)
        name = self.running_name(expr.name)
        carried = self.add(expr.span, "carried", name=name, kind=expr.kind, axes=axes)
        body = yield expr.body, _Scope({**scope.carried, expr.name: carried})
        return self.add(expr.span, "scan", initial, body, axis=expr.axis, names=(name,), result=0, reverse=False)

    def iterate(self, expr: Iterate, scope: _Scope) -> _Steps:
        values = []
        for initial in expr.initials:
            values.append((yield initial, scope))
        for step in range(expr.count):
            inner = _Scope({**scope.carried, **dict(zip(expr.names, values, strict=True))})
            following = []
            before = len(self.builder.nodes)
            for body in expr.bodies:
                following.append((yield body, inner))
            size = len(self.builder.nodes) - before
            if step == 0 and expr.count > MOST_STEPS_OF_ANY_SIZE and expr.count * size > MOST_UNROLLED_NODES:
                return (yield from self.loop(expr, values, scope))
            values = following
        return values[0]

    def loop(self, expr: Iterate, initials: list[int], scope: _Scope) -> _Steps:
        """Many steps: a scan along an axis of their number, of which the last value is taken."""
        axis = self.builder.fresh_axis("step", sympy.Integer(expr.count))
        names = tuple(self.running_name(name) for name in expr.names)
        carried = []
        for name, initial, body in zip(names, expr.initials, expr.bodies, strict=True):
            axes = self.builder.sorted_axes({*initial.axes, *body.axes})
            kind = widest([initial.kind, body.kind])
            carried.append(self.add(expr.span, "carried", name=name, kind=kind, axes=axes))
        inner = _Scope({**scope.carried, **dict(zip(expr.names, carried, strict=True))})
        bodies = []
        for body in expr.bodies:
            bodies.append((yield body, inner))
        steps = self.add(expr.span, "scan", *initials, *bodies, axis=axis, names=names, result=0, reverse=False)
        return self.add(expr.span, "slice", steps, axis=axis, position=expr.count - 1)

    def running_name(self, name: str) -> str:
        """An iteration may build the same scan several times: each needs a running value of its own."""
        self.scans[name] = self.scans.get(name, 0) + 1
        return name if self.scans[name] == 1 else f"{name}.{self.scans[name]}"


def _affine(index: Index) -> Affine:
    """A checked index as the graph's: like terms collected, zero terms dropped."""
    assert isinstance(index, AffineIndex)
    coefficients: dict[str, Length] = {}
    for axis, coefficient in index.terms:
        coefficients[axis] = coefficients.get(axis, sympy.Integer(0)) + sympy.sympify(coefficient)
    return Affine(tuple((axis, c) for axis, c in coefficients.items() if c != 0), sympy.sympify(index.offset))


def _same(first: Affine, second: Affine) -> bool:
    """Whether two indices are equal whatever the order and the form of their terms."""
    ours, theirs = dict(first.terms), dict(second.terms)
    if ours.keys() != theirs.keys():
        return False
    differences = [ours[axis] - theirs[axis] for axis in ours] + [first.offset - second.offset]
    return all(difference == 0 or sympy.expand(difference) == 0 for difference in differences)
