"""Putting a report together.

In: a layer's graph and text, and its programs, with graph and plan where they are at hand (a layer loaded from a saved folder has
programs alone). Out: `Report`. Holds: nothing is compiled for it beyond what is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..ir.graph import Graph, TensorSpec
from ..ir.lengths import entry_text
from ..ir.scalar_ops import SCALAR_OPS
from ..lang.checked import Accuracy
from ..passes.costs import nominal, nominal_length
from ..schedule.program import Argument, Program, Signature
from ..schedule.shapes import shape_texts
from ..schedule.steps import Schedule
from .plan import kernels
from .record import Fit, Function, Kernel, Licence, ProgramReport, Report, StoredTensor

_BYTES = {"f64": 8, "f32": 4, "f16": 2, "bf16": 2, "i64": 8, "i32": 4, "bool": 1, "c64": 8, "c128": 16, "bytes": 1}
# What an expression of a program may use besides `n` and `threads`.
_BUILTINS: dict[str, Any] = {"__builtins__": {}, "max": max, "min": min, "abs": abs, "int": int}
_SAVED = "saved_"


@dataclass(frozen=True)
class CompiledProgram:
    """A program and the tensors it was made for; `graph` (level "math") and `plan` where they are at hand."""

    program: Program
    signature: Signature
    graph: Graph | None = None
    plan: Schedule | None = None


def build_report(
    graph: Graph,
    text: str,
    programs: Sequence[CompiledProgram],
    *,
    sizes: Mapping[str, int | None],
    requirements: Sequence[str] = (),
    licences: Sequence[Accuracy] = (),
    fit: Fit | None = None,
    missing: Sequence[str] = (),
) -> Report:
    """The report of a layer: its graph at level "layer", its specification's text, its programs.

    `licences`: its `accuracy` statements; `missing`: directions that could not be compiled, each with the reason.
    """
    lengths = graph.axis_lengths

    def declared(spec: TensorSpec) -> StoredTensor:
        return StoredTensor(spec.name, spec.role, tuple(entry_text(entry, lengths) for entry in spec.entries), spec.dtype)

    points = {axis.name: nominal_length(axis.length) for axis in graph.axes}
    points.update({symbol.name: nominal_length(symbol) for axis in graph.axes for symbol in axis.length.free_symbols})
    described = tuple(_program(compiled, points) for compiled in programs)
    return Report(
        layer=graph.name,
        text=text,
        sizes=tuple(sizes.items()),
        tensors=tuple(declared(spec) for spec in (*graph.inputs, *(output.spec for output in graph.outputs))),
        requirements=tuple(requirements),
        programs=described,
        saved=tuple(dict.fromkeys(tensor for each in described for tensor in each.outputs if tensor.role == "saved")),
        licences=tuple(Licence(each.functions, each.unit, each.value, _licensed(graph, each)) for each in licences),
        approximations=(),
        fit=fit,
        missing=tuple(missing),
    )


def licences_of(text: str) -> tuple[Accuracy, ...]:
    """The `accuracy` statements in a layer's own text."""
    from ..lang import syntax
    from ..lang.parse import parse

    statements = [each for item in parse(text, "<text>").items if isinstance(item, syntax.Layer) for each in item.statements]
    return tuple(
        Accuracy(tuple(name.name for name in each.functions), each.unit, each.value)  # type: ignore[arg-type]
        for each in statements
        if isinstance(each, syntax.Accuracy)
    )


def _program(compiled: CompiledProgram, points: Mapping[str, int]) -> ProgramReport:
    program, graph = compiled.program, compiled.graph
    inputs = tuple(_argument(argument) for argument in program.with_role("input"))
    outputs = tuple(_argument(argument) for argument in program.with_role("output"))
    stored = [argument for argument in program.arguments if argument.role in ("input", "output")]
    counts = {argument.name: _elements(argument, points) for argument in stored}
    largest = max(stored, key=lambda argument: counts[argument.name])
    elements = max(1, counts[largest.name])
    moved = moved_bytes(program, points)
    notes = tuple(text for title, text in program.report if title == "note")
    return ProgramReport(
        direction=program.direction,
        target=program.target,
        compute=compiled.signature.compute,
        inputs=inputs,
        outputs=outputs,
        temporaries=tuple(_argument(argument) for argument in program.with_role("temporary")),
        layouts=tuple(f"{entry.name} {entry.layout}" for entry in compiled.signature.inputs if entry.layout != "contiguous"),
        kernels=kernels(compiled.plan) if compiled.plan is not None else _told(program),
        notes=notes,
        functions=() if graph is None else _functions(graph, compiled.signature.compute),
        elements=largest.name,
        bytes_per_element=round(moved / elements, 2),
        operations_per_element=None if graph is None else round(_operations(graph) / elements, 2),
    )


def _told(program: Program) -> tuple[Kernel, ...]:
    """The kernels as the program itself tells of them."""
    return tuple(Kernel(title, "loops", (), 1, (), text) for title, text in program.report if title != "note")


def _argument(argument: Argument) -> StoredTensor:
    saved = argument.name.removeprefix(_SAVED).isdigit() and argument.name.startswith(_SAVED)
    return StoredTensor(argument.name, "saved" if saved else argument.role, shape_texts(argument), argument.dtype)


def moved_bytes(program: Program, lengths: Mapping[str, int]) -> int:
    """The bytes of the tensors that a program reads and writes, each counted once; temporaries are not."""
    stored = [argument for argument in program.arguments if argument.role in ("input", "output") and argument.same_as is None]
    return sum(_elements(argument, lengths) * _BYTES[argument.dtype] for argument in stored)


def _elements(argument: Argument, points: Mapping[str, int]) -> int:
    return prod(int(eval(text, _BUILTINS, {"n": points, "threads": 1})) for text in argument.shape)


def _licensed(graph: Graph, licence: Accuracy) -> tuple[str, ...]:
    """The functions that a licence is given for, among those called that are not exact."""
    called = (function.name for function in _functions(graph, "f32"))
    return tuple(name for name in called if not licence.functions or name in licence.functions)


def _functions(graph: Graph, compute: str) -> tuple[Function, ...]:
    """The functions called that are not exact, by name."""
    from ..codegen.cpp.accuracy import ACCURACY

    called = {node.op for node in graph.nodes} & set(ACCURACY)
    return tuple(Function(name, ACCURACY[name][compute]) for name in sorted(called) if ACCURACY[name][compute] > 0)


def _operations(graph: Graph) -> int:
    """Scalar operations of one evaluation, unknown lengths taken as large.

    One for each point of an op and each term of a sum, two for each term of a product.
    """
    count = 0
    for node in graph.nodes:
        if node.op in SCALAR_OPS:
            count += nominal(graph.axis_lengths, node.axes)
        elif node.op in ("reduce", "contract"):
            over = nominal(graph.axis_lengths, (*node.axes, *node.attribute("over")))
            count += over if node.op == "reduce" else 2 * over
    return count
