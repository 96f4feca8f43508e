"""The reference of a comparison: a layer's graphs, run by the interpreter in float64.

In: a checked layer, arguments. Out: its outs, gradients and second derivatives by name. Holds: nothing of schedule, code generation
or binding takes part; with `noise`, every value that a machine would round is moved by a random relative amount.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import torch

from ..ir.graph import Builder, Graph, Node
from ..ir.interpret import interpret
from ..ir.scalar_ops import SCALAR_OPS
from ..lang.checked import CheckedLayer
from ..passes.substitute import with_outputs
from ..report.stages import DIRECTIONS, file_of, stages
from ..runtime.execute import to_array
from .arguments import Arguments, Results

# Operations whose results no machine rounds.
_EXACT = ("abs", "sign", "neg", "floor", "round", "min", "max", "clamp", "select", "re", "im", "conj", "complex")
_SUMS = ("sum", "prod")


class Reference:
    """The graphs of a layer's directions. `file`: where the layer is written."""

    def __init__(self, checked: CheckedLayer) -> None:
        self.file = file_of(checked)
        self._stages = tuple(stages(checked, direction, "f64") for direction in DIRECTIONS)
        self._noisy = cache(self._with_noise)

    def graph(self, step: int) -> Graph:
        """The graph of derivatives of an order. Errors: TargetError where there is none."""
        return self._stages[step].graph

    def results(self, arguments: Arguments, step: int, noise: tuple[float, int] | None = None) -> Results:
        """The outs, `grad_x` for each gradient, or `second_x` for each gradient of the gradients, in float64.

        `noise`: a relative step and a seed. Errors: TargetError where the layer has no such derivative.
        """
        graph = self.graph(step) if noise is None else self._noisy(step, *noise)
        given = dict(zip(arguments.names, arguments.tensors, strict=True))
        outs = [output.spec.name for output in self.graph(0).outputs]
        cotangents = zip(outs, arguments.cotangents, strict=True)
        seconds = zip(arguments.names, arguments.seconds, strict=True)
        given.update({f"grad_{name}": tensor for name, tensor in cotangents if tensor is not None})
        given.update({f"grad_grad_{name}": tensor for name, tensor in seconds if tensor is not None})
        found = interpret(graph, {spec.name: to_array(given[spec.name]) for spec in graph.inputs})
        named = {name: torch.from_numpy(value) for name, value in found.items()}
        return {f"second_{name.removeprefix('grad_')}": value for name, value in named.items()} if step == 2 else named

    def _with_noise(self, step: int, size: float, seed: int) -> Graph:
        return with_noise(self.graph(step), size, seed)


def with_noise(graph: Graph, size: float, seed: int) -> Graph:
    """The graph with every value that a machine rounds moved, relative to itself, by up to twice `size` up or down.

    No two by the same amount: a difference of equal values must not hide what its operands' roundings would do to it. Nor two
    points of one value: all that remains of them may be how they differ, and which is the largest may hang on how they are rounded.
    For the same reason what is transformed moves unevenly along the axis of the transform.
    """
    builder = Builder(graph.name, graph.axes, graph.inputs)
    noise = _Noise(builder, size, random.Random(seed))
    numbers: dict[int, int] = {}
    for number, node in enumerate(graph.nodes):
        operands = tuple(numbers[operand] for operand in node.operands)
        if node.op == "transform":
            operands = (noise.moved(operands[0], (node.attribute("source"),)),)
        copy = builder.add(node.op, operands, **dict(node.attributes))
        rounded = node.kind in ("real", "complex") and ((node.op in SCALAR_OPS and node.op not in _EXACT) or _adds_up(node))
        numbers[number] = noise.moved(copy, node.axes) if rounded else copy
    return with_outputs(builder, graph, numbers)


class _Noise:
    """Relative moves of values, for each point of their axes another."""

    def __init__(self, builder: Builder, size: float, moves: random.Random) -> None:
        self.builder = builder
        self.size = size
        self.random = moves
        self._turns: dict[str, float] = {}

    def moved(self, value: int, axes: Sequence[str]) -> int:
        """The value moved as a whole, and at each point of those axes that it has."""
        b = self.builder
        factor = b.const(1.0 + self._move())
        wave = self._wave([axis for axis in axes if axis in b.nodes[value].axes])
        if wave is not None:
            factor = b.add("add", (factor, b.add("mul", (b.const(self._move()), wave))))
        if b.nodes[value].kind == "complex":  # its parts are rounded apart, which turns its phase
            factor = b.add("complex", (factor, b.const(self._move())))
        return b.add("mul", (value, factor))

    def _move(self) -> float:
        return self.random.choice((-1.0, 1.0)) * self.random.uniform(0.5, 1.0) * self.size

    def _wave(self, axes: Sequence[str]) -> int | None:
        """From -1 to 1, otherwise at each point; one for all values of these axes."""
        b = self.builder
        angle = None
        for axis in axes:
            turn = self._turns.setdefault(axis, self.random.uniform(1.0, 2.0))
            term = b.add("mul", (b.const(turn), b.add("index", axis=axis)))
            angle = term if angle is None else b.add("add", (angle, term))
        return None if angle is None else b.add("sin", (angle,))


def _adds_up(node: Node) -> bool:
    return node.op in ("contract", "transform") or (node.op == "reduce" and node.attribute("operation") in _SUMS)
