"""Parameters chosen so that a layer is a given function: `fit(f, lo, hi)`.

In: a checked layer whose parameters have a `fit`. Out: the values of all of them together, with the largest error found, and
a proof that no divisor is zero on the interval (`poles.py`). Holds:
the same values on every run: the starts are seeded, nothing depends on time; the same along axes that the parameters share with
the data.

Method: nonlinear least squares from several starts at once (Levenberg-Marquardt on batches), then successive linear programs on
the largest error in a trust region (Madsen, "An algorithm for minimax solution of overdetermined systems of non-linear
equations", 1975), which at a regular solution converges to the best approximation in the sense of Chebyshev. The layer is
evaluated by the interpreter, all starts and all difference quotients of a step in one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import sympy

from ..errors import ArgumentError
from ..ir.build import build
from ..ir.fingerprint import fingerprint
from ..ir.graph import Affine, Builder, Entry, Graph, Output, TensorSpec
from ..ir.interpret import interpret
from ..ir.lengths import evaluate
from ..lang.checked import ELLIPSIS, Axis, CheckedLayer, FitInit, length_symbol
from ..lang.checked import Tensor as Declared
from ..passes.pipeline import optimize
from .minimax import minimise_largest
from .poles import bound_divisors

Array = Any
_BATCH = "fit.batch"
_POINTS = 257
_CHECKED_POINTS = 4001
_VERSION = 2


@dataclass(frozen=True)
class Coefficients:
    """A fitted tensor's own values: over its axes, of length 1 along those that it shares with the data."""

    name: str
    entries: tuple[Entry, ...]
    shape: tuple[int, ...]


class Fit:
    """The fit of a layer's parameters; solved when first asked for, and remembered on disk."""

    def __init__(self, key: str, tensors: tuple[Coefficients, ...], solve: Any, solution: dict[str, Any] | None = None) -> None:
        self.key = key
        self.tensors = tensors
        self._solve = solve
        self._solution = solution

    @property
    def solution(self) -> dict[str, Any]:
        """`values`: tensor name -> nested lists; `error`: the largest found; `function`, `low`, `high`; `divisor`: a lower bound of
        what is divided by, in magnitude, on the interval (None: nothing that varies is). ArgumentError where it may be zero."""
        if self._solution is None:
            from ..runtime import cache

            known = cache.get_json("fits", self.key)
            if isinstance(known, dict) and {"values", "error", "function", "low", "high", "divisor"} <= set(known):
                self._solution = known
            else:
                self._solution = self._solve()
                cache.put_json("fits", self.key, self._solution)
        assert self._solution is not None
        return self._solution

    def stored(self, name: str, lengths: Mapping[str, int]) -> Array:
        """The tensor's values in float64, in stored shape, for the lengths given."""
        tensor = next(each for each in self.tensors if each.name == name)
        axes = [axis for entry in tensor.entries for axis in entry.axes]
        own = numpy.asarray(self.solution["values"][name], dtype=numpy.float64).reshape(tensor.shape)
        spread = numpy.broadcast_to(own, [lengths[axis] for axis in axes])
        shape = [int(numpy.prod([lengths[axis] for axis in entry.axes])) for entry in tensor.entries]
        return numpy.array(spread.reshape(shape))


def fit_problem(checked: CheckedLayer, fixed: Mapping[str, Any]) -> Fit:
    """The fit of all parameters that have one. `fixed`: initialisers of the tensors that start from given values."""
    fitted = [tensor for tensor in checked.tensors if isinstance(tensor.init, FitInit)]
    tensors = tuple(_coefficients(checked, tensor) for tensor in fitted)
    init = fitted[0].init
    assert isinstance(init, FitInit)
    graph = build(checked)
    parts = [fingerprint(graph), init.function, repr(init.body), repr((init.low, init.high)), repr(tensors), str(_VERSION)]
    return Fit("\n".join(parts), tensors, lambda: _Problem(checked, graph, tensors, init, fixed).solve())


def _coefficients(checked: CheckedLayer, tensor: Declared) -> Coefficients:
    data = {axis for each in checked.tensors if each.role == "in" for entry in each.entries for axis in entry.axes}
    data |= {axis for out in checked.outs for entry in out.entries for axis in entry.axes}
    shape = []
    for axis in (axis for entry in tensor.entries for axis in entry.axes):
        length = checked.axis_length(axis)
        if axis not in data and not length.is_Integer:
            raise ArgumentError(f"{tensor.name}: fit needs the length {axis} = {length}; give it as a size")
        shape.append(1 if axis in data else int(length))
    return Coefficients(tensor.name, tensor.entries, tuple(shape))


class _Problem:
    def __init__(
        self,
        checked: CheckedLayer,
        graph: Graph,
        tensors: tuple[Coefficients, ...],
        init: FitInit,
        fixed: Mapping[str, Any],
    ) -> None:
        self.init = init
        self.tensors = tensors
        self.sizes = [int(numpy.prod(tensor.shape)) for tensor in tensors]
        inputs = [tensor for tensor in checked.tensors if tensor.role == "in"]
        where = f"{checked.name}: fit"
        if len(inputs) != 1 or len(graph.outputs) != 1:
            raise ArgumentError(f"{where} needs a layer of one `in` and one `out`, found {len(inputs)} and {len(graph.outputs)}")
        self.input = inputs[0]
        self.points_axis = _free_axis(graph, self.input)
        self.whole = optimize(graph)
        self.graph = _batched(graph, tuple(tensor.name for tensor in tensors))
        self.lengths = {symbol.name: 1 for axis in graph.axes for symbol in sympy.sympify(axis.length).free_symbols}
        self.lengths.pop(ELLIPSIS, None)
        self.axis_lengths = {axis.name: axis.length for axis in graph.axes}
        self.fixed = {}
        for tensor in checked.tensors:
            if tensor.role != "in" and not isinstance(tensor.init, FitInit):
                if tensor.name not in fixed:
                    raise ArgumentError(f"{where} needs {tensor.name} to start from given values, not random ones")
                lengths = {axis: self._length(axis) for entry in tensor.entries for axis in entry.axes}
                self.fixed[tensor.name] = _filled(fixed[tensor.name], tensor, {**self.lengths, **lengths})

    def _length(self, axis: str, points: int = 1) -> int:
        if axis in (ELLIPSIS, self.points_axis):
            return points
        return evaluate(self.axis_lengths[axis], self.lengths)

    def residuals(self, thetas: Array, points: Array) -> Array:
        """Layer minus function for each row of coefficients, at each point; (rows, points times results a point)."""
        if self.points_axis is None:
            return numpy.concatenate([self._run(thetas, points[k : k + 1]) for k in range(len(points))], axis=1)
        return self._run(thetas, points)

    def _run(self, thetas: Array, points: Array) -> Array:
        count = len(points)
        axes = [axis for entry in self.input.entries for axis in entry.axes]
        shape = [self._length(axis, count) for axis in axes]
        place = axes.index(self.points_axis) if self.points_axis is not None else 0
        along = [count if k == place and self.points_axis is not None else 1 for k in range(len(axes))]
        x = numpy.broadcast_to(points.reshape(along), shape)
        stored = [int(numpy.prod([self._length(axis, count) for axis in entry.axes])) for entry in self.input.entries]
        arrays = {self.input.name: x.reshape(stored), **self.fixed}
        start = 0
        for tensor, size in zip(self.tensors, self.sizes, strict=True):
            own = thetas[:, start : start + size].reshape(-1, *tensor.shape)
            start += size
            full = [self._length(axis) for entry in tensor.entries for axis in entry.axes]
            spread = numpy.broadcast_to(own, (len(thetas), *full))
            dimensions = [int(numpy.prod([self._length(axis) for axis in entry.axes])) for entry in tensor.entries]
            arrays[tensor.name] = spread.reshape(len(thetas), *dimensions)
        lengths = {**self.lengths, _BATCH: len(thetas)}
        lengths.pop(self.points_axis or "", None)
        output = self.graph.outputs[0].spec
        value = next(iter(interpret(self.graph, arrays, lengths).values()))
        listed = [axis for entry in output.entries for axis in entry.axes]
        value = value.reshape([len(thetas) if axis == _BATCH else self._length(axis, count) for axis in listed])
        if self.points_axis is not None:
            value = numpy.moveaxis(value, listed.index(self.points_axis), 1)
        found = value.reshape(len(thetas), count, -1) - self.function(points)[None, :, None]
        if found.shape[2] > 1 and numpy.array_equal(found, numpy.broadcast_to(found[:, :, :1], found.shape)):
            found = found[:, :, :1]
        return numpy.nan_to_num(found.reshape(len(thetas), -1), nan=1e100, posinf=1e100, neginf=-1e100)

    def function(self, points: Array) -> Array:
        """The function to fit, in float64."""
        return numpy.asarray(scalar_value(self.init.body, points), dtype=numpy.float64)

    def solve(self) -> dict[str, Any]:
        low, high = self.init.low, self.init.high
        middle, half = (low + high) / 2, (high - low) / 2
        points = middle - half * numpy.cos(numpy.pi * numpy.arange(_POINTS) / (_POINTS - 1))
        theta = minimise_largest(
            lambda thetas: self.residuals(thetas, points),
            sum(self.sizes),
            coarse=lambda thetas: self.residuals(thetas, points[::4]),
        )
        everywhere = numpy.union1d(points, numpy.linspace(low, high, _CHECKED_POINTS))
        error = float(numpy.abs(self.residuals(theta[None], everywhere)).max())
        values, start = {}, 0
        for tensor, size in zip(self.tensors, self.sizes, strict=True):
            values[tensor.name] = theta[start : start + size].reshape(tensor.shape).tolist()
            start += size
        divisor = self._least_divisor(values)
        return {"values": values, "error": error, "function": self.init.function, "low": low, "high": high, "divisor": divisor}

    def _least_divisor(self, values: Mapping[str, Any]) -> float | None:
        arrays = dict(self.fixed)
        for tensor in self.tensors:
            own = iter(tensor.shape)
            stored = [int(numpy.prod([next(own) for _ in entry.axes])) for entry in tensor.entries]
            arrays[tensor.name] = numpy.reshape(values[tensor.name], stored)
        found = bound_divisors(self.whole, self.input.name, self.init.low, self.init.high, arrays)
        if found.pole is not None:
            place, name = found.pole
            divisor = f"`{name}`" if name else "a value"
            raise ArgumentError(
                f"fit({self.init.function}, {self.init.low:g}, {self.init.high:g}): with the parameters found the layer divides by "
                f"{divisor}, which cannot be shown to be other than zero near {place:.6g}: expected no pole on the interval; give "
                f"the layer a denominator that has no zero, such as 1 + abs(...), fewer coefficients, or another interval"
            )
        return found.least


def _filled(initialiser: Any, tensor: Declared, lengths: Mapping[str, int]) -> Array:
    import torch

    shape = [int(numpy.prod([lengths[axis] for axis in entry.axes])) for entry in tensor.entries]
    target = torch.empty(shape, dtype=torch.float64)
    initialiser.fill(target, lengths)
    return target.numpy()


def scalar_value(body: Any, argument: Array) -> Array:
    """The value of a function of the one free `Carried("fit")`."""
    from ..ir.scalar_ops import SCALAR_OPS
    from ..lang.checked import Apply, Carried, LengthValue, Number

    if isinstance(body, Carried):
        return argument
    if isinstance(body, Number):
        return numpy.float64(body.value) if body.kind == "real" else body.value
    if isinstance(body, LengthValue):
        return int(body.length)
    if isinstance(body, Apply):
        arguments = [scalar_value(each, argument) for each in body.arguments]
        if body.function in ("min", "max"):
            result = arguments[0]
            for each in arguments[1:]:
                result = SCALAR_OPS[body.function].reference(result, each)
            return result
        with numpy.errstate(all="ignore"):
            return SCALAR_OPS[body.function].reference(*(numpy.asarray(each) for each in arguments))
    raise ArgumentError(f"fit: {type(body).__name__} is not a function of a number")


def _free_axis(graph: Graph, tensor: Declared) -> str | None:
    """An axis of the input along which the layer is pointwise, to hold the points; None where there is none."""
    lengths = graph.axis_lengths
    parameters = {axis for spec in graph.inputs if spec.role != "in" for entry in spec.entries for axis in entry.axes}
    results = {axis for output in graph.outputs for entry in output.spec.entries for axis in entry.axes}
    mixed: set[str] = set()
    for node in graph.nodes:
        attributes = dict(node.attributes)
        if node.op == "index":
            mixed.add(attributes["axis"])
        if node.op == "scan":
            mixed.add(attributes["axis"])
        if node.op == "transform":
            mixed |= {attributes["source"], attributes["target"]}
        mixed |= set(attributes.get("over", ()))
        if node.op == "read":
            for index in attributes["indices"]:
                terms = index.terms if isinstance(index, Affine) else ()
                if len(terms) != 1 or index.offset != 0 or terms[0][1] != 1:
                    mixed |= {axis for axis, _ in terms}
    for entry in tensor.entries:
        axis = entry.axes[0]
        own = axis == ELLIPSIS or lengths[axis] == length_symbol(axis)
        elsewhere = any(axis in {s.name for s in each.length.free_symbols} for each in graph.axes if each.name != axis)
        if len(entry.axes) == 1 and own and not elsewhere and axis not in parameters | mixed and axis in results:
            return axis
    return None


def _batched(graph: Graph, names: tuple[str, ...]) -> Graph:
    """The graph for many values of the named inputs at once: each has a first dimension more, and so has the output."""
    entry = Entry((_BATCH,))
    specs = [
        TensorSpec(spec.name, spec.role, (entry, *spec.entries), spec.dtype) if spec.name in names else spec
        for spec in graph.inputs
    ]
    builder = Builder(graph.name, (Axis(_BATCH, length_symbol(_BATCH)), *graph.axes), specs)
    first = Affine(((_BATCH, sympy.Integer(1)),))
    numbers: list[int] = []
    for node in graph.nodes:
        attributes = dict(node.attributes)
        if node.op == "read":
            source = graph.nodes[node.operands[0]]
            if source.op == "input" and source.attribute("name") in names:
                attributes["indices"] = (first, *attributes["indices"])
        if node.op == "carried":
            attributes["axes"] = builder.sorted_axes((_BATCH, *attributes["axes"]))
        numbers.append(builder.add(node.op, tuple(numbers[operand] for operand in node.operands), **attributes))
    outputs = [
        Output(TensorSpec(output.spec.name, "out", (entry, *output.spec.entries), output.spec.dtype), numbers[output.node])
        for output in graph.outputs
    ]
    return builder.finish(outputs, graph.level)
