"""Random layers compiled and compared with the interpreter, in value, gradients and second gradients.

In: `RandomLayer`s. Out: an `Outcome` each: what was refused (the compiler's reason), what differs; neither where all agreed.

How large an error may be: as in `lamina.trial.compare`, a result r may be off by some roundings at the scale |r| + s, where s is
how far r moves, to first order, when every input and every value rounded on the way is moved a little. A choice (a comparison, a
tie) that this noise tips over is held against no one: what it changes moves far.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import kernel_harness as harness
import numpy
import torch
from kernel_harness import ROUNDOFF, Case, Prepared
from lamina.errors import ArgumentError, TargetError
from lamina.ir.graph import Graph
from lamina.ir.interpret import interpret
from lamina.ir.lengths import evaluate
from lamina.ir.scalar_ops import ORDERED_POLYNOMIALS
from lamina.ir.tensors import stored_entries
from lamina.passes.autodiff import NotDifferentiable
from lamina.runtime import toolchain
from lamina.runtime.execute import TORCH_DTYPES, storage_dtype, to_array
from lamina.runtime.processor import Processor
from lamina.runtime.program import NativeExecutable
from lamina.runtime.toolchain import Flags, flags_for
from lamina.schedule.partition import NotLowered
from lamina.trial.reference import with_noise
from layer_writer import LEADING, RandomLayer
from torch import Tensor

# Allowed errors in roundoffs of the precision computed in, at the scale of the result.
LIMIT = 64.0
CALLS = 2  # lengths that each layer is tried with
_DRAWS = 3
_STEP = 2.0**-20
# A result whose scale happens to vanish is compared at this share of the largest scale in its tensor.
_LEAST_SHARE = 0.01
_PART_OF = {"c64": "f32", "c128": "f64"}
_LARGEST = {"f16": 65504.0, "f32": 3.4e38, "bf16": 3.39e38, "c64": 3.4e38}
# What the compiler says of a feature that it has no derivative or no kernel for yet.
REFUSALS = (NotDifferentiable, NotLowered, NotImplementedError)
_QUOTIENT_STEP, _QUOTIENT_LIMIT = 1e-6, 1e-4


@dataclass(frozen=True)
class Ready:
    """A layer's programs and the graphs of its value and gradients as written, as far as they are not refused."""

    layer: RandomLayer
    prepared: tuple[Prepared, ...]
    references: tuple[Graph, ...]
    refusal: str = ""


@dataclass(frozen=True)
class Outcome:
    layer: RandomLayer
    refusal: str = ""
    failure: str = ""


def case_of(layer: RandomLayer, orders: int) -> Case:
    # polynomials of an order have derivatives once they are written out
    expanded = any(f"{family}(" in layer.text for family in ORDERED_POLYNOMIALS)
    dtypes = (layer.dtype,)
    return Case(layer.text, {}, layer="random", orders=orders, dtypes=dtypes, strided=layer.strided, derived_from_math=expanded)


def ready(layer: RandomLayer) -> Ready:
    """The layer through parser, checker, passes, schedule and generator; with fewer derivatives where these are refused."""
    refusal = ""
    references: tuple[Graph, ...] = ()
    for orders in range(layer.orders, -1, -1):
        try:
            case = case_of(layer, orders)
            references = references or tuple(harness.oracle(case))
            return Ready(layer, tuple(harness.prepare(case)), references, refusal)
        except REFUSALS as missing:
            refusal = f"{('value', 'gradient', 'second gradient')[orders]}: {missing}"
    return Ready(layer, (), references, refusal)


@contextlib.contextmanager
def optimised(level: str) -> Iterator[None]:
    """The C++ compiler optimises so much: at -O0 a build takes a sixth of the time that it takes at -O3."""

    def flags(family: str, target: Processor) -> Flags:
        usual = flags_for(family, target)
        return replace(usual, optimise=(level, *usual.optimise[1:]))

    with patch.object(toolchain, "flags_for", flags):
        toolchain._toolchain.cache_clear()
        yield
    toolchain._toolchain.cache_clear()


def try_together(layers: Sequence[RandomLayer], level: str = "-O1") -> list[Outcome]:
    """An outcome for each layer; their programs are built as one, which is most of what building costs."""
    found: list[Ready | Outcome] = []
    for layer in layers:
        try:
            found.append(ready(layer))
        except Exception as problem:
            unknown = "is not defined for complex values" in str(problem)
            found.append(Outcome(layer, f"value: {problem}") if unknown else Outcome(layer, failure=traceback.format_exc()))
    programs = [each.program for one in found if isinstance(one, Ready) for each in one.prepared]
    try:
        with optimised(level):
            executables = iter(harness.build_together(programs, "random"))
    except TargetError as problem:
        if len(layers) == 1:
            return [Outcome(layers[0], failure=str(problem))]
        return [outcome for layer in layers for outcome in try_together([layer], level)]
    outcomes = []
    for one in found:
        if isinstance(one, Outcome):
            outcomes.append(one)
            continue
        own = [next(executables) for _ in one.prepared]
        try:
            for number in range(CALLS):
                check(one, own, number)
            quotients(one)
            outcomes.append(Outcome(one.layer, one.refusal))
        except AssertionError as error:
            outcomes.append(Outcome(one.layer, one.refusal, str(error)))
        except Exception:
            outcomes.append(Outcome(one.layer, one.refusal, traceback.format_exc()))
    return outcomes


# ------------------------------------------------------------------------------------------------ tensors


def shape(graph: Graph, spec: Any, lengths: Mapping[str, int], leading: tuple[int, ...]) -> tuple[int, ...]:
    """The stored shape of a tensor of the graph."""
    known = {**lengths, LEADING: int(numpy.prod(leading))}
    length = {axis.name: axis.length for axis in graph.axes}
    sizes: list[int] = []
    for entry in stored_entries(spec):
        if entry.axes == (LEADING,):
            sizes.extend(leading)
        else:
            sizes.append(int(numpy.prod([evaluate(length[axis], known) for axis in entry.axes])))
    return tuple(sizes)


def drawn(generator: numpy.random.Generator, dtype: str, size: tuple[int, ...], tied: bool = False) -> Tensor:
    if dtype == "bool":
        return torch.from_numpy(numpy.asarray(generator.integers(0, 2, size).astype(bool)))
    if dtype in ("i64", "i32"):
        return torch.from_numpy(numpy.asarray(generator.integers(-3, 6, size))).to(TORCH_DTYPES[dtype])
    values = numpy.asarray(generator.uniform(-2.0, 2.0, size))
    if dtype in ("c64", "c128"):
        values = values + 1j * generator.uniform(-2.0, 2.0, size)
    if tied:
        values = numpy.round(2 * values) / 2
    return torch.from_numpy(numpy.asarray(values)).to(TORCH_DTYPES[dtype])


def moved(arrays: Mapping[str, Any], step: float, seed: int) -> dict[str, Any]:
    """Every floating number t moved by step * max(|t|, 1) up or down."""
    generator = numpy.random.default_rng(seed)
    result = {}
    for name, array in arrays.items():
        signs = generator.choice((-1.0, 1.0), array.shape)
        result[name] = array + step * numpy.maximum(numpy.abs(array), 1.0) * signs if array.dtype.kind in "fc" else array
    return result


# ------------------------------------------------------------------------------------------------ comparing


def check(one: Ready, executables: Sequence[NativeExecutable], number: int) -> None:
    """One call of every program. Errors: AssertionError, saying which result is off and by how much."""
    layer = one.layer
    lengths, leading = layer.lengths(number), layer.leading(number)
    generator = numpy.random.default_rng((layer.seed, number))
    tensors: dict[str, Tensor] = {}
    for each, executable in zip(one.prepared, executables, strict=True):
        for spec, given in zip(each.graph.inputs, each.signature.inputs, strict=True):
            if spec.name in tensors:
                continue
            assert spec.role != "saved", f"{spec.name} is read but was not saved"
            tensor = drawn(generator, given.dtype, _shape_of(each, spec, tensors, lengths, leading), layer.tied)
            if spec.name in layer.strided and tensor.dim() > 1:
                tensor = harness.laid_out(tensor, layer.strided[spec.name])
            tensors[spec.name] = tensor
        own = {spec.name: tensors[spec.name] for spec in each.graph.inputs}
        arrays = {spec.name: to_array(tensors[spec.name]) for spec in each.reference.inputs}
        try:
            exact = interpret(each.reference, arrays)
            noisy = []
            for draw in range(_DRAWS):  # inputs that tie stay where they are
                given_noisy = arrays if layer.tied else moved(arrays, _STEP, draw)
                noisy.append(interpret(with_noise(each.reference, _STEP, draw), given_noisy))
        except ArgumentError as refused:
            raise AssertionError(f"the interpreter refuses lengths {lengths}: {refused}") from refused
        found: dict[str, Tensor] = {}
        for threads in (1, 2):
            found = harness.run(executable, each.graph, own, threads)
            for output in each.graph.outputs:
                name = output.spec.name
                if name in exact:
                    dtype = storage_dtype(harness.gradient_dtype(each, output.spec), each.signature)
                    problem = difference(found[name], exact[name], [other[name] for other in noisy], each.signature.compute, dtype)
                    assert not problem, f"{each.title}, {threads} threads, {name}: {problem}\nlengths {lengths}, leading {leading}"
        again = harness.run(executable, each.graph, own, 2)
        for name, tensor in found.items():
            assert harness.same_bits(tensor, again[name]), f"{each.title}: {name} differs from run to run"
        tensors.update(found)


def _shape_of(
    each: Prepared, spec: Any, known: Mapping[str, Tensor], lengths: Mapping[str, int], leading: tuple[int, ...]
) -> tuple[int, ...]:
    """That of what a cotangent belongs to; of any other tensor, that of its declaration."""
    source = spec.name.removeprefix("grad_")
    if source != spec.name and source in known:
        return tuple(known[source].shape)
    return shape(each.graph, spec, lengths, leading)


def difference(found: Tensor, exact: Any, noisy: Sequence[Any], compute: str, dtype: str) -> str:
    """What is wrong with a result, or nothing."""
    if tuple(found.shape) != tuple(exact.shape):
        return f"the shape is {tuple(found.shape)}, expected {tuple(exact.shape)}"
    values = to_array(found)
    if not exact.size:
        return ""
    if exact.dtype.kind in "bi":
        steady = numpy.all([other == exact for other in noisy], axis=0)
        wrong = steady & (values != exact)
        return f"{int(wrong.sum())} of {wrong.size} differ: {values} expected {exact}" if wrong.any() else ""
    with numpy.errstate(all="ignore"):
        moves = numpy.max([numpy.abs(other - exact) for other in noisy], axis=0) / _STEP
        nan = numpy.isnan(exact) & numpy.all([numpy.isnan(other) for other in noisy], axis=0)
        if not numpy.isnan(values[nan]).all():
            return f"a number where NaN is expected:\n{values}\nexpected\n{exact}"
        judged = numpy.isfinite(exact) & numpy.isfinite(moves) & (numpy.abs(exact) < 0.9 * _LARGEST.get(dtype, 1.7e308))
        if not judged.any():
            return ""
        scale = numpy.abs(exact) + moves
        scale = numpy.maximum(scale, _LEAST_SHARE * scale[judged].max())
        stored = 0.0 if dtype == compute else ROUNDOFF[_PART_OF.get(dtype, dtype)]
        allowed = LIMIT * ROUNDOFF[compute] * scale + 1.01 * stored * numpy.abs(exact) + (2.0**-24 if dtype == "f16" else 1e-37)
        ratio = numpy.where(judged, numpy.nan_to_num(numpy.abs(values - exact) / allowed, nan=numpy.inf), 0.0)
    if ratio.max() <= 1.0:
        return ""
    place = numpy.unravel_index(int(ratio.argmax()), ratio.shape)
    return (
        f"off by {ratio.max():.3g} times what is allowed, at {tuple(map(int, place))} of {exact.shape}: found {values[place]!r}, "
        f"expected {exact[place]!r}, scale {scale[place]:.3g}; {int((ratio > 1).sum())} of {ratio.size} elements are off"
    )


# ------------------------------------------------------------------------------------------------ the gradient's own check


def quotients(one: Ready) -> None:
    """The interpreted gradient along a random direction against a difference quotient of the interpreted value.

    The least error over a few draws is judged: a kink between the two points spoils one quotient, a wrong rule all of them.
    """
    if one.layer.dtype != "f64" or len(one.references) < 2 or one.layer.tied:  # a tie is a kink
        return
    forward, backward = one.references[:2]
    least, said = numpy.inf, ""
    for attempt in range(4):
        error, said_now = _quotient(one.layer, forward, backward, attempt)
        if error < least:
            least, said = error, said_now
        if least <= _QUOTIENT_LIMIT:
            return
    raise AssertionError(f"the gradient differs from the difference quotient by {least:.3g}: {said}")


def _quotient(layer: RandomLayer, forward: Graph, backward: Graph, attempt: int) -> tuple[float, str]:
    lengths, leading = layer.lengths(0), layer.leading(0)
    generator = numpy.random.default_rng((layer.seed, 99, attempt))
    stored = {entry.name: entry.dtype for entry in harness.signature_of(forward, "f64").inputs}
    arrays = {
        spec.name: to_array(drawn(generator, stored[spec.name], shape(forward, spec, lengths, leading))) for spec in forward.inputs
    }
    results = interpret(forward, arrays)
    weights = {name: generator.standard_normal(value.shape) for name, value in results.items() if value.dtype.kind in "fc"}
    weights = {
        name: weight + (1j * generator.standard_normal(weight.shape) if results[name].dtype.kind == "c" else 0.0)
        for name, weight in weights.items()
    }
    gradients = interpret(backward, {**arrays, **{f"grad_{name}": weight for name, weight in weights.items()}})
    directions = {
        name: generator.standard_normal(array.shape)
        + (1j * generator.standard_normal(array.shape) if array.dtype.kind == "c" else 0)
        for name, array in arrays.items()
        if f"grad_{name}" in gradients
    }

    def total(sign: float) -> tuple[float, float]:
        shifted = {name: array + sign * _QUOTIENT_STEP * directions.get(name, 0) for name, array in arrays.items()}
        shifted = {name: value if name in directions else arrays[name] for name, value in shifted.items()}
        outs = interpret(forward, shifted)
        terms = [(outs[name] * numpy.conj(weight)).real for name, weight in weights.items()]
        return float(sum(term.sum() for term in terms)), float(sum(numpy.abs(term).sum() for term in terms))

    (high, size), (low, _) = total(1.0), total(-1.0)
    terms = [(numpy.conj(gradients[f"grad_{name}"]) * direction).real for name, direction in directions.items()]
    derivative = float(sum(term.sum() for term in terms))
    quotient = (high - low) / (2 * _QUOTIENT_STEP)
    if not numpy.isfinite(derivative + quotient):
        return 0.0, ""
    scale = float(sum(numpy.abs(term).sum() for term in terms)) + size + 1e-3
    return abs(
        quotient - derivative
    ) / scale, f"gradient {derivative!r}, quotient {quotient!r}, scale {scale:.3g}, lengths {lengths}"
