"""Generated programs, built together, run beside the interpreter.

In: the text of a layer, shapes and dtypes. Out: the results of its forward, backward and second backward programs, compared with
the interpreter run on the layer as written and on that graph's derivatives: no pass stands between the text and what is expected.

Several programs share one translation unit, each in a namespace of its own: most of what a build costs is the runtime they share.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy
import torch
from lamina import pipeline
from lamina.codegen import generate
from lamina.codegen.cpp.program import STEP_HEADERS, runtime_text
from lamina.ir.graph import Graph
from lamina.ir.interpret import interpret
from lamina.ir.lengths import solve_lengths
from lamina.lang.check import load
from lamina.passes.autodiff import differentiate
from lamina.runtime import native
from lamina.runtime import program as program_module
from lamina.runtime.execute import FLOATING, TORCH_DTYPES, Bound, storage_dtype
from lamina.runtime.program import NativeExecutable
from lamina.schedule.program import REAL_COUNTERPARTS, InputSignature, Program, Signature
from torch import Tensor

ROUNDOFF = {"f64": 2.0**-53, "f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
_FIRST_OF_PROGRAM = "\nusing Real ="


@dataclass(frozen=True)
class Case:
    """A layer and the tensors it is tried on.

    `values`: how to draw a tensor, (numpy generator, shape) -> array; by default standard normal. `wanted`: the inputs
    differentiated in, by default all; `orders`: how often. `growth`: the error allowed, in unit roundoffs of the precision computed
    in, of the largest value of a result. `strided`: inputs (cotangents too) passed with strides of their own.
    `derived_from_math`: gradients are expected from the graph whose short sums are written out (a polynomial of an order that
    varies along an axis has none before).
    """

    text: str
    shapes: Mapping[str, tuple[int, ...]]
    values: Mapping[str, Callable[[numpy.random.Generator, tuple[int, ...]], Any]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    layer: str | None = None
    wanted: tuple[str, ...] | None = None
    orders: int = 2
    growth: float = 512.0
    dtypes: tuple[str, ...] = ("f64", "f32")
    strided: Mapping[str, str] = field(default_factory=dict)
    derived_from_math: bool = False


@dataclass(frozen=True)
class Prepared:
    """One program of a case: what it computes, what is expected of it."""

    title: str
    graph: Graph
    reference: Graph
    signature: Signature
    program: Program


def uniform(low: float, high: float) -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    return lambda generator, shape: generator.uniform(low, high, shape)


def integers(low: int, high: int) -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    return lambda generator, shape: generator.integers(low, high, shape)


def chosen(*values: float) -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    return lambda generator, shape: generator.choice(numpy.array(values), shape)


def booleans() -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    return lambda generator, shape: generator.integers(0, 2, shape).astype(bool)


def signature_of(graph: Graph, dtype: str, strided: Sequence[str] = ()) -> Signature:
    compute = "f64" if dtype == "f64" or any(spec.dtype in ("f64", "c128") for spec in graph.inputs) else "f32"
    stored = {"float": dtype, "complex": "c128" if dtype == "f64" else "c64", "compute": compute}
    return Signature(
        tuple(
            InputSignature(spec.name, stored.get(spec.dtype, spec.dtype), "strided" if spec.name in strided else "contiguous")
            for spec in graph.inputs
        ),
        dtype,
    )


def oracle(case: Case) -> list[Graph]:
    """The layer as written, its gradients, their gradients."""
    graph = pipeline.layer_graph(load(case.text, case.layer, case.sizes))
    graphs = [graph]
    for order in range(case.orders):
        if case.derived_from_math and order == 0:
            graph = pipeline.forward_graph(load(case.text, case.layer, case.sizes))
        graph = differentiate(graph, wanted_of(case, graph))
        graphs.append(graph)
    return graphs


def wanted_of(case: Case, graph: Graph) -> tuple[str, ...]:
    every = tuple(spec.name for spec in graph.inputs if spec.dtype in (*FLOATING, "float", "complex", "c64", "c128"))
    return every if case.wanted is None else tuple(n for n in every if n in case.wanted or n.startswith("grad_"))


def graphs_of(case: Case) -> list[Graph]:
    """The same at level "math", the gradients twice: reading what the forward pass saved, and from the inputs alone."""
    graph = pipeline.forward_graph(load(case.text, case.layer, case.sizes))
    if case.orders == 0:
        return [graph]
    forward, backward = pipeline.training_pair(graph, wanted_of(case, graph))
    graphs = [forward, backward]
    if case.orders > 1:
        first = pipeline.backward_graph(graph, wanted_of(case, graph))
        graphs.append(pipeline.backward_graph(first, wanted_of(case, first)))
    return graphs


TITLES = ("forward", "backward", "second")


def prepare(
    case: Case, dtypes: Sequence[str] | None = None, generate: Callable[[Graph, Signature, str], Program] = generate
) -> list[Prepared]:
    references = oracle(case)
    graphs = graphs_of(case)
    prepared = []
    for dtype in case.dtypes if dtypes is None else dtypes:
        for title, graph, reference in zip(TITLES, graphs, references, strict=False):
            if title == "second" and dtype != "f64":
                continue  # the same kernels in another precision
            signature = signature_of(graph, dtype, tuple(case.strided))
            program = generate(graph, signature, "forward" if title == "forward" else "backward")
            prepared.append(Prepared(f"{title} {dtype}", graph, reference, signature, program))
    return prepared


def kernel_text(program: Program) -> str:
    """The part of a source after the runtime."""
    return program.source[program.source.index(_FIRST_OF_PROGRAM) + 1 :]


def build_together(programs: Sequence[Program], name: str) -> list[NativeExecutable]:
    """The programs as one shared object, or two: those that allow fused multiply-adds and those that do not."""
    executables: dict[int, NativeExecutable] = {}
    for fused in (True, False):
        chosen = [n for n, program in enumerate(programs) if ("fp-contract=off" not in program.source) == fused]
        executables.update(zip(chosen, _build([programs[n] for n in chosen], name), strict=True))
    return [executables[n] for n in range(len(programs))]


def _build(programs: Sequence[Program], name: str) -> list[NativeExecutable]:
    if not programs:
        return []
    # a program leaves out the headers that only steps of other kinds need: here all of them serve all
    same_bits = "fp-contract=off" in programs[0].source
    runtime = runtime_text(tuple(dict.fromkeys(name for names in STEP_HEADERS.values() for name in names)), same_bits)
    # threads share the work of the smallest loop, so that small tensors show what goes wrong between them
    runtime, changed = re.subn(r"points_per_thread = \d+;", "points_per_thread = 2;", runtime)
    assert changed == 1
    runtime = re.sub(r"(tile_unit|least_extent) = \d+;", r"\1 = 4;", runtime)  # likewise tiles
    for name, size in (("depth", 8), ("rows", 16), ("columns", 48)):  # and blocks of products
        runtime, changed = re.subn(rf"block_{name} = \d+;", f"block_{name} = {size};", runtime)
        assert changed == 1
    parts = [runtime]
    renamed = []
    for number, program in enumerate(programs):
        symbol = f"program_{number}"
        text = re.sub(rf"\b{program.symbol}\b", symbol, kernel_text(program))
        parts.append(f"namespace {symbol}_ {{\n{text}\n}}\n")
        renamed.append(replace(program, symbol=symbol))
    library = native.library("\n".join(parts), name)
    return [NativeExecutable(program, library) for program in renamed]


# ---------------------------------------------------------------------------------------------------- tensors


def draw(case: Case, graph: Graph, seed: int = 0) -> dict[str, numpy.ndarray]:
    """A value for every input of the layer and of its gradients, rounded to nothing yet."""
    generator = numpy.random.default_rng(seed)
    arrays = {}
    for spec in graph.inputs:
        make = case.values.get(spec.name)
        shape = case.shapes.get(spec.name)
        if shape is None:
            continue
        arrays[spec.name] = numpy.asarray(make(generator, shape) if make else _normal(generator, shape, spec.dtype))
    return arrays


def _normal(generator: numpy.random.Generator, shape: tuple[int, ...], dtype: str) -> numpy.ndarray:
    values = numpy.asarray(generator.standard_normal(shape))
    return values + 1j * generator.standard_normal(shape) if dtype in ("complex", "c64", "c128") else values


def laid_out(tensor: Tensor, layout: str) -> Tensor:
    """The same values with strides of another kind."""
    if layout == "transposed":
        return tensor.movedim(0, -1).contiguous().movedim(-1, 0)
    if layout == "sliced":
        wide = torch.full((*tensor.shape[:-1], 2 * tensor.shape[-1] + 3), float("nan"), dtype=torch.float64).to(tensor.dtype)
        view = wide[..., 1 : 2 * tensor.shape[-1] + 1 : 2]
        return view.copy_(tensor)
    if layout == "expanded":  # only where the values are equal along every dimension
        return tensor.flatten()[:1].clone().reshape([1] * tensor.dim()).expand(tensor.shape)
    if layout == "column":
        return tensor[..., :1].clone().expand(tensor.shape)
    raise ValueError(layout)


def bound_of(graph: Graph, tensors: Mapping[str, Tensor]) -> Bound:
    lengths = solve_lengths(graph.inputs, graph.axes, {name: tuple(t.shape) for name, t in tensors.items()})
    return Bound(dict(lengths.values), lengths.leading or ())


GUARD = 2**13  # elements before and after each tensor of a call, which no kernel may touch


def fenced(shape: Sequence[int], dtype: torch.dtype, fences: list[Tensor]) -> Tensor:
    """A contiguous tensor, poisoned like the elements around it; the whole of its memory is added to `fences`."""
    count = math.prod(shape)
    whole = torch.empty(count + 2 * GUARD, dtype=dtype)
    poison(whole)
    fences.append(whole)
    return whole[GUARD : GUARD + count].view(tuple(shape))


def run(executable: NativeExecutable, graph: Graph, tensors: Mapping[str, Tensor], threads: int) -> dict[str, Tensor]:
    """The outputs, after filling them and all scratch memory with NaN. AssertionError: the kernel wrote where it must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    own: list[Tensor] = []  # memory the kernel may write to, between guards
    read: list[Tensor] = []  # the inputs' memory; strided inputs stay where they are
    try:
        given = []
        for name in executable.inputs:
            tensor = tensors[name]
            given.append(fenced(tensor.shape, tensor.dtype, read).copy_(tensor) if tensor.is_contiguous() else tensor)
        copies = [tensor.clone() for tensor in (*read, *given)]
        with patch.object(program_module, "_launched", lambda shape, dtype: fenced(shape, dtype, own)):
            call, outputs = executable.launcher(given, bound_of(graph, tensors))
        guards = [(whole[:GUARD].clone(), whole[-GUARD:].clone()) for whole in own]
        call()
        for tensor, copy in zip((*read, *given), copies, strict=True):
            assert same_bits(tensor, copy), "the kernel wrote to an input or around it"
        for number, (whole, (front, back)) in enumerate(zip(own, guards, strict=True)):
            name = executable.program.arguments[len(given) + number].name
            assert same_bits(whole[:GUARD], front) and same_bits(whole[-GUARD:], back), f"the kernel wrote beyond {name}"
    finally:
        torch.set_num_threads(before)
    return dict(zip(executable.outputs, outputs, strict=True))


def poison(tensor: Tensor) -> None:
    if tensor.dtype.is_floating_point:
        tensor.fill_(float("nan"))
    elif tensor.dtype.is_complex:
        torch.view_as_real(tensor).fill_(float("nan"))
    elif tensor.dtype == torch.bool:
        tensor.fill_(True)
    else:
        tensor.fill_(torch.iinfo(tensor.dtype).max // 3)


def check(
    case: Case,
    prepared: Sequence[Prepared],
    executables: Sequence[Any],
    seed: int = 0,
    run: Callable[[Any, Graph, Mapping[str, Tensor], int], dict[str, Tensor]] = run,
    threads_tried: Sequence[int] = (1, 2, 3),
) -> None:
    """Runs every program of a case; AssertionError says which result is off, by how much."""
    arrays: dict[str, Any] = {}
    results: dict[str, Tensor] = {}
    dtype = ""
    for each, executable in zip(prepared, executables, strict=True):
        if each.title.endswith(each.signature.dtype) and each.signature.dtype != dtype:
            dtype = each.signature.dtype
            arrays, results = {}, {}
            drawn = draw(case, each.reference, seed)
        generator = numpy.random.default_rng(seed + 1)
        tensors: dict[str, Tensor] = {}
        for spec, given in zip(each.graph.inputs, each.signature.inputs, strict=True):
            stored = TORCH_DTYPES[given.dtype]
            if spec.name not in arrays and spec.role != "saved":
                if spec.name in drawn:
                    value = drawn[spec.name]
                else:  # a cotangent: of the shape of what it belongs to
                    value = _normal(generator, arrays_shape(results, arrays, spec.name), given.dtype)
                tensor = torch.from_numpy(numpy.ascontiguousarray(value)).reshape(value.shape).to(stored)
                if spec.name in case.strided:
                    tensor = laid_out(tensor, case.strided[spec.name])
                results[spec.name] = tensor
                wide = torch.complex128 if stored.is_complex else torch.float64 if stored.is_floating_point else stored
                arrays[spec.name] = tensor.to(wide).numpy()
            tensors[spec.name] = results[spec.name]
        expected = interpret(each.reference, arrays)
        first = None
        for threads in threads_tried:
            found = run(executable, each.graph, tensors, threads)
            for output in each.graph.outputs:
                name = output.spec.name
                if name in expected:
                    compare(
                        f"{each.title}, {threads} threads, {name}",
                        found[name],
                        expected[name],
                        each.signature,
                        storage_dtype(gradient_dtype(each, output.spec), each.signature),
                        case.growth,
                    )
            again = run(executable, each.graph, tensors, threads)
            for name, tensor in found.items():
                assert same_bits(tensor, again[name]), f"{each.title}, {threads} threads: {name} differs from run to run"
            first = first or found
        assert first is not None
        for output in each.graph.outputs:
            results[output.spec.name] = first[output.spec.name]


def gradient_dtype(each: Prepared, spec: Any) -> str:
    if spec.role == "gradient":
        return each.signature.input(spec.name.removeprefix("grad_")).dtype
    return spec.dtype


def arrays_shape(results: Mapping[str, Tensor], arrays: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """The shape of a cotangent: that of the tensor it is the cotangent of."""
    source = name.removeprefix("grad_")
    return tuple(results[source].shape) if source in results else tuple(arrays[source].shape)


def same_bits(one: Tensor, other: Tensor) -> bool:
    return _bytes(one) == _bytes(other)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def compare(title: str, found: Tensor, expected: Any, signature: Signature, dtype: str, growth: float) -> None:
    assert tuple(found.shape) == tuple(expected.shape), f"{title}: shape {tuple(found.shape)}, expected {expected.shape}"
    if dtype in REAL_COUNTERPARTS:
        found, expected = torch.view_as_real(found), numpy.stack([expected.real, expected.imag], axis=-1)
        dtype = REAL_COUNTERPARTS[dtype]
    if dtype not in ROUNDOFF:
        assert numpy.array_equal(found.numpy(), expected), f"{title}: {found} expected {expected}"
        return
    values = found.double().numpy()
    not_numbers = numpy.isnan(expected)
    assert numpy.array_equal(numpy.isnan(values), not_numbers), f"{title}: NaN in other places:\n{values}\nexpected\n{expected}"
    largest = {"f16": 65504.0, "f32": 3.4e38, "bf16": 3.39e38}.get(dtype, 1.79e308)
    infinite = numpy.isinf(expected) | (numpy.abs(expected) > 0.99 * largest)
    close = ~not_numbers & ~infinite
    assert numpy.array_equal(values[infinite] > 0, expected[infinite] > 0), f"{title}: infinities differ"
    if not close.any():
        return
    scale = max(1.0, float(numpy.abs(expected[close]).max()))
    allowed = growth * ROUNDOFF[signature.compute] * scale + 1.01 * ROUNDOFF[dtype] * numpy.abs(expected[close])
    if dtype == "f16":
        allowed = allowed + 2.0**-24
    error = numpy.abs(values[close] - expected[close])
    worst = float((error / allowed).max())
    assert worst <= 1.0, (
        f"{title}: off by {worst:.3g} times what is allowed ({error.max():.3g}, scale {scale:.3g})\n{values}\nexpected\n{expected}"
    )
