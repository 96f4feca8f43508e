"""The reference meaning of a graph: computes it in float64, complex128 and int64 with numpy.

In: a graph at any level and its input arrays in stored shape. Out: its output arrays in stored shape.

What holds: every op has its meaning written here, or in the `reference` of its scalar record, once; passes and kernels are tested
against it. Values are arrays with one dimension per axis of their node. A sum of a product whose factors have different axes is one
einsum, so that a matrix product needs no three-dimensional intermediate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from ..errors import ArgumentError
from ..lang.checked import Kind
from . import stored
from .graph import Affine, GatherSlot, Graph, Node
from .lengths import Lengths, evaluate, solve_lengths
from .ops import dtype_kind
from .outside import outside_message
from .scalar_ops import SCALAR_OPS
from .scans import bodies_of, free_running_values, initials_of
from .stored import AffinePositions, Array, OutsideError, Positions, align
from .tensors import in_parts

DTYPES: dict[Kind, type] = {"bool": numpy.bool_, "int": numpy.int64, "real": numpy.float64, "complex": numpy.complex128}
_LARGEST_COPY = 2**22  # elements
_TAKE_BOOLS = ("and", "or", "not", "select", "eq", "ne", "lt", "le", "gt", "ge")
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": numpy.sum,
    "prod": numpy.prod,
    "max": numpy.max,
    "min": numpy.min,
    "any": numpy.any,
    "all": numpy.all,
}


def _scipy_fft(name: str, *arguments: Any, **options: Any) -> Any:
    """A function of scipy.fft, imported when it is first called: the import is slow."""
    import scipy.fft

    return getattr(scipy.fft, name)(*arguments, **options)


_TRANSFORMS: dict[str, Callable[..., Any]] = {
    "fft": numpy.fft.fft,
    "ifft": numpy.fft.ifft,
    "rfft": numpy.fft.rfft,
    "irfft": numpy.fft.irfft,
    "dct": lambda *arguments, **options: _scipy_fft("dct", *arguments, **options),
    "idct": lambda *arguments, **options: _scipy_fft("idct", *arguments, **options),
}


def interpret(graph: Graph, tensors: Mapping[str, Array], lengths: Mapping[str, int] | None = None) -> dict[str, Array]:
    """The outputs of `graph` by name, in stored shape, as float64, complex128, int64 or bool.

    `tensors` has every input of the graph, in stored shape (further ones are ignored); `lengths` gives sizes that no shape tells.
    Raises ArgumentError where a tensor is missing, a shape or a kind does not fit, or a read leaves its range.
    """
    arrays: dict[str, Array] = {}
    for spec in graph.inputs:
        if spec.name not in tensors:
            raise ArgumentError(
                f"{spec.name}: expected a tensor, found none; the graph takes {[each.name for each in graph.inputs]}"
            )
        array = numpy.asarray(tensors[spec.name])
        kind = DTYPES[dtype_kind(spec.dtype)]
        if in_parts(spec) and kind is numpy.complex128:
            array, kind = stored.parts(array), numpy.float64
        if not numpy.can_cast(array.dtype, kind, "same_kind"):
            raise ArgumentError(f"{spec.name}: expected values of {spec.dtype}, found {array.dtype}")
        arrays[spec.name] = array.astype(kind)
    shapes = {spec.name: arrays[spec.name].shape[:-1] if in_parts(spec) else arrays[spec.name].shape for spec in graph.inputs}
    solved = solve_lengths(graph.inputs, graph.axes, shapes, lengths)
    with numpy.errstate(all="ignore"):
        return _Interpreter(graph, arrays, solved).run()


class _Frame:
    """Values known at one place: at the top, or in one step of a scan, where `axis` has the one position `position`."""

    def __init__(self, outer: _Frame | None, axis: str | None, position: int) -> None:
        self.outer, self.axis, self.position = outer, axis, position
        self.values: dict[int, Array] = {}


class _Interpreter:
    def __init__(self, graph: Graph, arrays: Mapping[str, Array], solved: Lengths) -> None:
        self.graph = graph
        self.solved = solved
        self.sizes = {axis.name: solved.values[axis.name] for axis in graph.axes}
        self.starts = dict.fromkeys(self.sizes, 0)
        self.arrays = {
            spec.name: arrays[spec.name].reshape([self._entry_size(entry.axes) for entry in spec.entries]) for spec in graph.inputs
        }
        self.factors: dict[int, tuple[int, ...]] = {}
        self.needed = self._needed()
        self.free = free_running_values(graph.nodes)

    def _entry_size(self, axes: Sequence[str]) -> int:
        size = 1
        for axis in axes:
            size *= self.sizes[axis]
        return size

    def _needed(self) -> list[bool]:
        """Which nodes are computed: all that the outputs use, but for a product inside an einsum its factors."""
        needed = [False] * len(self.graph.nodes)
        for output in self.graph.outputs:
            needed[output.node] = True
        for number in reversed(range(len(self.graph.nodes))):
            if needed[number]:
                node = self.graph.nodes[number]
                factors = product_factors(self.graph, node)
                if factors is not None:
                    self.factors[number] = factors
                for operand in node.operands if factors is None else factors:
                    needed[operand] = True
        return needed

    def run(self) -> dict[str, Array]:
        top = _Frame(None, None, 0)
        last_use: dict[int, list[int]] = {}
        seen = {output.node for output in self.graph.outputs}
        for number in reversed(range(len(self.graph.nodes))):
            if self.needed[number]:
                # what a scan's body uses lives as long as the scan
                uses = self._inside(number) if self.graph.nodes[number].op == "scan" else ()
                for operand in (*self.factors.get(number, self.graph.nodes[number].operands), *uses):
                    if operand not in seen:
                        seen.add(operand)
                        last_use.setdefault(number, []).append(operand)
        for number in range(len(self.graph.nodes)):
            if self.needed[number] and not self.free[number]:
                top.values[number] = self.compute(number, top)
            for operand in last_use.get(number, ()):
                top.values.pop(operand, None)
        results: dict[str, Array] = {}
        for output in self.graph.outputs:
            node = self.graph.nodes[output.node]
            array = stored.store(top.values[output.node], node.axes, output.spec.entries, self.sizes)
            shape: list[int] = []
            for entry, length in zip(output.spec.entries, array.shape, strict=True):
                shape.extend((self.solved.leading or ()) if entry.axes == ("...",) else (length,))
            kind = DTYPES[dtype_kind(output.spec.dtype)]
            if in_parts(output.spec):
                array = stored.joined(array)
                shape.pop()
            results[output.spec.name] = numpy.array(array.reshape(shape), dtype=kind, copy=True)
        return results

    def _inside(self, scan: int) -> tuple[int, ...]:
        """All that the body of a scan uses, in order: the nodes of its steps and what these read from outside."""
        inside = set(self.graph.nodes[scan].operands)
        for number in reversed(range(scan)):
            if number in inside and self.free[number]:
                inside.update(self.factors.get(number, self.graph.nodes[number].operands))
        return tuple(sorted(inside))

    def lookup(self, number: int, frame: _Frame) -> Array:
        value = frame.values.get(number)
        if value is not None:
            return value
        assert frame.outer is not None
        value = self.lookup(number, frame.outer)
        node = self.graph.nodes[number]
        if node.op not in ("input", "view") and frame.axis in node.axes:
            dimension = node.axes.index(frame.axis)
            value = value[(slice(None),) * dimension + (slice(frame.position, frame.position + 1),)]
        frame.values[number] = value
        return value

    # -------------------------------------------------------------------------------------------- one node

    def compute(self, number: int, frame: _Frame) -> Array:
        node = self.graph.nodes[number]
        if number in self.factors:
            values = [self.lookup(factor, frame) for factor in self.factors[number]]
            axes = [self.graph.nodes[factor].axes for factor in self.factors[number]]
            return self._einsum(values, axes, node)
        if node.op == "scan":
            return self._scan(number, frame)
        operands = [self.lookup(operand, frame) for operand in node.operands]
        if node.op in SCALAR_OPS:
            result = self._scalar(node, operands)
        else:
            result = getattr(self, f"_{node.op}")(node, operands, frame)
        return numpy.asarray(result, dtype=DTYPES[node.kind])

    def _aligned(self, node: Node, slot: int, value: Array, target: Sequence[str]) -> Array:
        return align(value, self.graph.nodes[node.operands[slot]].axes, target)

    def _range(self, axis: str) -> Array:
        return numpy.arange(self.starts[axis], self.starts[axis] + self.sizes[axis])

    def _scalar(self, node: Node, operands: list[Array]) -> Array:
        aligned = [self._aligned(node, slot, value, node.axes) for slot, value in enumerate(operands)]
        if node.op not in _TAKE_BOOLS:
            aligned = [value.astype(numpy.int64) if value.dtype == numpy.bool_ else value for value in aligned]
        return numpy.asarray(SCALAR_OPS[node.op].reference(*aligned))

    def _input(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        return self.arrays[node.attribute("name")]

    def _const(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        return numpy.asarray(node.attribute("value"))

    def _length(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        return numpy.asarray(evaluate(node.attribute("length"), self.solved.values))

    def _index(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        return self._range(node.attribute("axis"))

    def _positions(self, node: Node, operands: list[Array]) -> list[Positions | AffinePositions]:
        positions: list[Positions | AffinePositions] = []
        for index in node.attribute("indices"):
            if isinstance(index, GatherSlot):
                gathered = self.graph.nodes[node.operands[index.operand]]
                positions.append(Positions(operands[index.operand], gathered.axes))
                continue
            coefficients = tuple(evaluate(coefficient, self.solved.values) for _, coefficient in index.terms)
            base = evaluate(index.offset, self.solved.values)
            base += sum(c * self.starts[axis] for c, axis in zip(coefficients, index.axes, strict=True))
            positions.append(AffinePositions(base, coefficients, tuple(self.sizes[axis] for axis in index.axes), index.axes))
        return positions

    def _read(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        try:
            return stored.read(operands[0], self._positions(node, operands), node.attribute("boundary"), node.axes)
        except OutsideError as error:
            raise self._outside(node, error) from None

    def _scatter(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        positions = self._positions(node, operands)
        over = node.attribute("over")
        used = {*over, *self.graph.nodes[node.operands[0]].axes, *(axis for each in positions for axis in each.axes)}
        loop = tuple(axis.name for axis in self.graph.axes if axis.name in used)
        value = self._aligned(node, 0, operands[0], loop)
        entries = node.attribute("entries")
        try:
            return stored.scatter(value, loop, positions, node.attribute("boundary"), entries, over, self.sizes, node.axes)
        except OutsideError as error:
            raise self._outside(node, error) from None

    def _outside(self, node: Node, error: OutsideError) -> ArgumentError:
        text = outside_text(self.graph.nodes, node, error.dimension)
        return ArgumentError(outside_message(text, error.low, error.high, error.length))

    def _view(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        return stored.store(operands[0], self.graph.nodes[node.operands[0]].axes, node.attribute("entries"), self.sizes)

    def _reduce(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        operation, over = node.attribute("operation"), node.attribute("over")
        inner = self.graph.nodes[node.operands[0]].axes
        value = operands[0]
        if operation in ("sum", "prod") and value.dtype == numpy.bool_:
            value = value.astype(numpy.int64)
        along = tuple(inner.index(axis) for axis in over)
        if operation in ("max", "min"):  # of nothing it is the bound of all numbers, which nobody sees (see lang/extrema.py)
            bound = float("inf") if value.dtype.kind == "f" else numpy.iinfo(numpy.int64).max
            return numpy.asarray(_REDUCTIONS[operation](value, axis=along, initial=-bound if operation == "max" else bound))
        return numpy.asarray(_REDUCTIONS[operation](value, axis=along))

    def _contract(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        return self._einsum(operands, [self.graph.nodes[operand].axes for operand in node.operands], node)

    def _einsum(self, values: list[Array], axes: list[tuple[str, ...]], node: Node) -> Array:
        labels = {axis: label for label, axis in enumerate(dict.fromkeys(axis for each in axes for axis in each))}
        arguments: list[Any] = []
        for value, own in zip(values, axes, strict=True):
            arguments += [numpy.asarray(value, DTYPES[node.kind]), [labels[axis] for axis in own]]
        # einsum's own planning copies its operands for a matrix product: not where an operand is a large window into a small array
        plan = False if len(values) == 2 and any(_is_large_window(value) for value in values) else "greedy"
        return numpy.asarray(numpy.einsum(*arguments, [labels[axis] for axis in node.axes], optimize=plan))

    def _stack(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        rest = tuple(axis for axis in node.axes if axis != node.attribute("axis"))
        aligned = [self._aligned(node, slot, value, rest) for slot, value in enumerate(operands)]
        shape = [self.sizes[axis] for axis in rest]
        return numpy.stack([numpy.broadcast_to(each, shape) for each in aligned], axis=node.axes.index(node.attribute("axis")))

    def _slice(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        axes = self.graph.nodes[node.operands[0]].axes
        return operands[0].take(node.attribute("position"), axis=axes.index(node.attribute("axis")))

    def _transform(self, node: Node, operands: list[Array], frame: _Frame) -> Array:
        source, target = node.attribute("source"), node.attribute("target")
        inner = self.graph.nodes[node.operands[0]].axes
        value = operands[0]
        if source not in inner:  # the same all along it
            value = numpy.broadcast_to(value[..., None], (*value.shape, self.sizes[source]))
            inner = (*inner, source)
        count = evaluate(node.attribute("n"), self.solved.values)
        function = node.attribute("function")
        if count < 1 or self.sizes[source] < 1:
            raise ArgumentError(
                f"{function} along {source}: expected at least one point, found length {min(count, self.sizes[source])}"
            )
        if value.size == 0:
            shape = [self.sizes[target] if axis == source else self.sizes[axis] for axis in inner]
            result: Array = numpy.zeros(shape)
        else:
            dimension = inner.index(source)
            result = stored.of_length(_TRANSFORMS[function](value, n=count, axis=dimension), dimension, self.sizes[target])
        return align(result, tuple(target if axis == source else axis for axis in inner), node.axes)

    def _scan(self, number: int, frame: _Frame) -> Array:
        node = self.graph.nodes[number]
        axis, names, chosen = node.attribute("axis"), node.attribute("names"), node.attribute("result")
        initials, bodies = initials_of(node), bodies_of(node)
        steps = self.sizes[axis]
        own = frozenset(names)
        block = [k for k in self._inside(number) if own & self.free[k] and self.free[k] <= self.free[number] | own]
        carried = {k: names.index(self.graph.nodes[k].attribute("name")) for k in block if self.graph.nodes[k].op == "carried"}
        result: Array = numpy.zeros([self.sizes[each] for each in node.axes], DTYPES[node.kind])
        if result.size == 0:
            return result
        running: dict[int, Array] = {}
        for k, position in carried.items():
            running[k] = align(self.lookup(initials[position], frame), self._axes(initials[position]), self._axes(k))
        self.sizes[axis] = 1
        for step in reversed(range(steps)) if node.attribute("reverse") else range(steps):
            self.starts[axis] = step
            inner = _Frame(frame, axis, step)
            for k in block:
                if k in carried:
                    shape = [self.sizes[each] for each in self._axes(k)]
                    inner.values[k] = numpy.broadcast_to(running[k], shape).astype(DTYPES[self.graph.nodes[k].kind])
                else:
                    inner.values[k] = self.compute(k, inner)
            place = (slice(None),) * node.axes.index(axis) + (slice(step, step + 1),)
            result[place] = align(self.lookup(bodies[chosen], inner), self._axes(bodies[chosen]), node.axes)
            for k, position in carried.items():
                value, axes = self.lookup(bodies[position], inner), self._axes(bodies[position])
                if axis in axes:
                    value = value.take(0, axis=axes.index(axis))
                running[k] = align(value, tuple(each for each in axes if each != axis), self._axes(k))
        self.sizes[axis], self.starts[axis] = steps, 0
        return result

    def _axes(self, number: int) -> tuple[str, ...]:
        return self.graph.nodes[number].axes


def outside_text(nodes: Sequence[Node], node: Node, dimension: int) -> str:
    """What to say of a read that leaves a dimension, for `outside_message` to fill in."""
    source = nodes[node.operands[0]]
    if node.op == "read" and source.op == "input":
        name = source.attribute("name")
    else:
        name = (nodes[source.operands[0]].name if source.op == "view" else source.name) or "a value"
    indices = [_index_text(index) for index in node.attribute("indices")]
    place = f"{node.span}: " if node.span is not None else ""
    return f"{place}{name}[{', '.join(indices)}]: {indices[dimension]} in dimension {dimension}"


def product_factors(graph: Graph, node: Node) -> tuple[int, ...] | None:
    """The factors of a summed product, where no computed one varies over all of its axes; else None.

    A read over all axes is no larger than what it reads where it is a window, so that it does not count.
    """
    if node.op != "reduce" or node.attribute("operation") != "sum" or graph.nodes[node.operands[0]].op != "mul":
        return None
    factors: list[int] = []
    pending = [node.operands[0]]
    while pending:
        number = pending.pop()
        if graph.nodes[number].op == "mul":
            pending.extend(reversed(graph.nodes[number].operands))
        else:
            factors.append(number)
    whole = set(graph.nodes[node.operands[0]].axes)
    if len(factors) > 16 or any(graph.nodes[f].op != "read" and whole <= set(graph.nodes[f].axes) for f in factors):
        return None
    return tuple(factors)


def _is_large_window(value: Array) -> bool:
    """Whether the array is a view with far more elements than the memory it looks at."""
    extent = (
        sum((length - 1) * abs(stride) for length, stride in zip(value.shape, value.strides, strict=True)) // value.itemsize + 1
    )
    return value.size > max(_LARGEST_COPY, 4 * extent)


def _index_text(index: Affine | GatherSlot) -> str:
    if isinstance(index, GatherSlot):
        return "(a tensor)"
    text = ""
    for axis, coefficient in index.terms:
        term = axis if coefficient in (1, -1) else f"{abs(coefficient) if coefficient.is_number else f'({coefficient})'}*{axis}"
        negative = coefficient.is_number and coefficient < 0
        text += ("-" if negative else "+" if text else "") + term
    if index.offset != 0 or not text:
        text += f"{'+' if text and not str(index.offset).startswith('-') else ''}{index.offset}"
    return text
