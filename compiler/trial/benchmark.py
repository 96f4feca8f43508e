"""How fast a layer is: against eager PyTorch, where the library has the layer in it, and against copying memory.

In: a layer and the shapes of its inputs. Out: `Measurement`s, of the forward pass and of a training step (forward and backward).
Holds: no candidate is timed before its results agree with the layer's; all are timed in turn within one run, the copy too; bytes
moved are those of every tensor that the programs read or write, once each.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import ArgumentError, Error, TargetError
from ..ir.lengths import solve_lengths
from ..lang.checked import ELLIPSIS, CheckedLayer
from ..report.assemble import moved_bytes
from ..report.stages import stages, training_stages
from ..runtime.execute import Bound
from .draw import Problem, bound, draw, open_lengths, shape
from .timing import Candidate, interleaved

if TYPE_CHECKING:
    from ..binding.layer import Layer

LAYER, EAGER, FUSED, COMPILED, COPY = "lamina", "eager PyTorch", "PyTorch's own operation", "torch.compile", "copy"
PASSES = ("forward", "forward + backward")
_SHAPE = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)=(\d+(?:[xX]\d+)*|scalar)\Z")
# Lengths where nothing says which: large enough to leave the caches of a processor, but no tensor larger than this.
_LEADING, _LENGTHS = (4096,), (256, 128, 64, 32, 16, 8)
_LARGEST = 2**24
# Results agree if no element is off by more than this share of the largest element of its tensor.
_AGREEMENT = {"f32": 2e-3, "f64": 1e-6, "bf16": 0.1, "f16": 2e-2}

Function = Callable[..., Any]


@dataclass(frozen=True)
class Measurement:
    """One pass. `seconds`: the median of each candidate, the copy of as many bytes among them; `moved`: bytes read and written."""

    name: str
    problem: str
    dtype: str
    moved: int
    seconds: Mapping[str, float]

    @property
    def bandwidth_share(self) -> float:
        """The layer's bytes a second over the copy's, which moves as many bytes."""
        return self.seconds[COPY] / self.seconds[LAYER]


def parse_shapes(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor name, from texts such as x=64x197x768. Errors: ValueError."""
    shapes = {}
    for text in given:
        found = _SHAPE.match(text.replace(" ", ""))
        if found is None:
            raise ValueError(f"expected NAME=LENGTHxLENGTHx..., such as x=64x197x768, found {text!r}")
        shapes[found[1]] = () if found[2] == "scalar" else tuple(int(length) for length in found[2].lower().split("x"))
    return shapes


def problem_of(layer: Layer, shapes: Mapping[str, tuple[int, ...]]) -> Problem:
    """The lengths that the shapes given say; without any those of the library's benchmark; up to 256 where nothing says.

    Errors: ArgumentError where a name is no tensor of the layer, or a shape does not fit.
    """
    interface = layer._interface
    for name in shapes:
        if name not in interface.names:
            raise ArgumentError(f"--shape {name}: no tensor is called so; the layer's are {', '.join(interface.names)}")
    lengths: dict[str, int] = {}
    leading: tuple[int, ...] = _LEADING
    names = open_lengths(layer)
    if shapes:
        specs = [spec for spec in interface.inputs if spec.name in shapes]
        given = {axis for spec in specs for entry in spec.entries for axis in entry.axes}
        needed = {symbol.name for axis in interface.graph.axes if axis.name in given for symbol in axis.length.free_symbols}
        axes = [axis for axis in interface.graph.axes if {symbol.name for symbol in axis.length.free_symbols} <= needed]
        solved = solve_lengths(specs, axes, shapes)
        lengths.update({name: value for name, value in solved.values.items() if name in names})
        leading = solved.leading if solved.leading is not None else leading
    else:
        reference = _reference(layer)
        if reference is not None:
            case = reference.benchmark
            lengths.update({name: value for name, value in {**case.lengths, **case.sizes}.items() if name in names})
            leading = case.leading
    for length in _LENGTHS:
        chosen = {name: 0 if name == ELLIPSIS else lengths.get(name, length) for name in names}
        problem = Problem("", chosen, leading)
        sizes = [shape(layer, spec, problem) for spec in interface.inputs]
        if all(prod(size) <= _LARGEST for size in sizes):
            break
    interface.bind(sizes)
    return problem


def _reference(layer: Layer) -> Any:
    """The library's eager form of the layer, if the layer is an entry of the library."""
    return _library().REFERENCES.get(layer.name) if layer._recipe[1][0] == layer.name else None


def _library() -> Any:
    """The eager forms of the library's entries: a package beside this one, in another folder of the sources."""
    root = (__package__ or "").rpartition(".")[0]
    return importlib.import_module(f"{root}.ops.references")


def measure(
    layer: Layer, checked: CheckedLayer, problem: Problem, dtype: str = "f32", seconds: float = 3.0, torch_compile: bool = False
) -> list[Measurement]:
    """The forward pass, and a training step where the layer has gradients; about `seconds` are spent on each.

    Errors: TargetError where the layer cannot be compiled; Error where a candidate's results are not the layer's.
    """
    tensors = draw(layer, problem, dtype)
    lengths = bound(layer, problem)
    functions = _functions(layer, lengths, torch_compile)
    found = [_forward(functions, tensors, dtype, problem, _moved(checked, dtype, lengths, False), seconds)]
    if any(tensor.is_floating_point() or tensor.is_complex() for tensor in tensors):
        try:
            moved = _moved(checked, dtype, lengths, True)
        except TargetError:
            return found
        found.append(_training(functions, tensors, dtype, problem, moved, seconds))
    return found


def _functions(layer: Layer, lengths: Bound, torch_compile: bool) -> dict[str, Function]:
    functions: dict[str, Function] = {LAYER: layer}
    reference = _reference(layer)
    if reference is not None:
        case = _library().Case(lengths.leading, {}, dict(lengths.values))

        def eager(*tensors: Tensor) -> Tensor:
            result: Tensor = reference.evaluate(case, *tensors)
            return result

        functions[EAGER] = eager
        if reference.fused is not None:
            functions[FUSED] = lambda *tensors: reference.fastest(case, *tensors)
        if torch_compile:
            functions[COMPILED] = torch.compile(eager)
    elif torch_compile:
        raise ArgumentError(f"--torch-compile: {layer.name} is no entry of the library, so there is no eager form of it to compile")
    return functions


def _moved(checked: CheckedLayer, dtype: str, lengths: Bound, training: bool) -> int:
    if not training:
        return moved_bytes(stages(checked, "forward", dtype).program, lengths.values)
    pair = training_stages(checked, dtype) or (stages(checked, "forward", dtype), stages(checked, "backward", dtype))
    return sum(moved_bytes(stage.program, lengths.values) for stage in pair)


def _forward(
    functions: Mapping[str, Function], tensors: Sequence[Tensor], dtype: str, problem: Problem, moved: int, seconds: float
) -> Measurement:
    def candidate(function: Function) -> Candidate:
        def run() -> object:
            with torch.no_grad():
                return function(*tensors)

        return run

    candidates = {name: candidate(function) for name, function in functions.items()}
    _agree({name: _listed(run()) for name, run in candidates.items()}, dtype)
    return Measurement(PASSES[0], str(problem), dtype, moved, interleaved({**candidates, COPY: copier(moved)}, seconds))


def _training(
    functions: Mapping[str, Function], tensors: Sequence[Tensor], dtype: str, problem: Problem, moved: int, seconds: float
) -> Measurement:
    leaves = [tensor.requires_grad_(tensor.is_floating_point() or tensor.is_complex()) for tensor in tensors]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    outs = [out for out in _listed(functions[LAYER](*leaves)) if out.requires_grad]
    cotangents = [torch.randn_like(out) for out in outs]

    def candidate(function: Function) -> Candidate:
        def run() -> object:
            results = [out for out in _listed(function(*leaves)) if out.requires_grad]
            return torch.autograd.grad(results, wanted, cotangents, allow_unused=True)

        return run

    candidates = {name: candidate(function) for name, function in functions.items()}
    _agree({name: _listed(run()) for name, run in candidates.items()}, dtype)
    return Measurement(PASSES[1], str(problem), dtype, moved, interleaved({**candidates, COPY: copier(moved)}, seconds))


def _listed(results: Any) -> list[Tensor]:
    return [each for each in (results if isinstance(results, tuple) else (results,)) if each is not None]


def _agree(results: Mapping[str, list[Tensor]], dtype: str) -> None:
    for name, found in results.items():
        for number, (one, other) in enumerate(zip(found, results[LAYER], strict=True)):
            if not one.numel():
                continue
            error = (one.double() - other.double()).abs().max() / other.double().abs().max().clamp(min=1e-30)
            if not float(error) <= _AGREEMENT[dtype]:
                raise Error(
                    f"{name}: result {number} differs from Lamina's by {float(error):.2g} of its largest element; not timed"
                )


def copier(byte_count: int) -> Candidate:
    """A copy between two tensors that reads and writes `byte_count` bytes in all."""
    source = torch.zeros(max(1, byte_count // 8))
    source.normal_()
    target = torch.empty_like(source)
    return lambda: target.copy_(source)
