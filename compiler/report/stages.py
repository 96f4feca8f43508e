"""The road of one direction of a layer, stage by stage, for whoever wants to look at it.

In: a checked layer, a direction and a dtype. Out: `Stages`: graph, plan, program for contiguous tensors of that dtype. Holds: each
stage is made when first asked for; the program is the one that a call of the layer with such tensors makes; no torch is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from .. import pipeline
from ..codegen import generate, plan_of
from ..errors import ArgumentError, TargetError
from ..ir.graph import Graph, Output, TensorSpec
from ..lang.checked import CheckedLayer
from ..passes.autodiff import NotDifferentiable, gradient_name
from ..passes.pipeline import optimize
from ..schedule.partition import NotLowered
from ..schedule.program import InputSignature, Program, Signature
from ..schedule.steps import Schedule

DIRECTIONS = ("forward", "backward", "second")
# What a training step runs where something is saved: the directions under which such programs name themselves.
TRAINING = ("training_forward", "training_backward")
DTYPES = ("f32", "f64", "bf16", "f16")
# The second backward pass as programs name themselves.
_SECOND = "double_backward"
_NAMES = {"second": _SECOND}
EVERY_DIRECTION = (*DIRECTIONS, _SECOND, *TRAINING)
_WITHOUT_GRADIENT = ("i64", "i32", "bool")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Stages:
    """One direction of a layer; `file` is where the layer is written.

    Errors of every property: TargetError, caused by NotDifferentiable or NotLowered, where the layer uses a feature that has no
    derivative or cannot be compiled yet.
    """

    file: str
    layer: str
    direction: str
    make: Callable[[], Graph]
    dtype: str
    target: str = "cpp"

    @cached_property
    def graph(self) -> Graph:
        """The graph at level "math"."""
        return refused(self.file, self.layer, self.direction, self.make)

    @cached_property
    def signature(self) -> Signature:
        return signature_of(self.graph, self.dtype)

    @cached_property
    def _specialised(self) -> Graph:
        """The graph whose gradients are stored as what they are the gradients of, whatever the call's dtype is."""

        def stored(output: Output) -> Output:
            if output.spec.role != "gradient":
                return output
            dtype = self.signature.input(output.spec.name.removeprefix(gradient_name(""))).dtype
            return replace(output, spec=replace(output.spec, dtype=dtype))

        return replace(self.graph, outputs=tuple(map(stored, self.graph.outputs)))

    @cached_property
    def plan(self) -> Schedule:
        return refused(self.file, self.layer, self.direction, lambda: plan_of(self._specialised, self.signature, self.target))

    @cached_property
    def program(self) -> Program:
        name = _NAMES.get(self.direction, self.direction)
        return refused(
            self.file, self.layer, self.direction, lambda: generate(self._specialised, self.signature, name, self.target)
        )


def refused(file: str, layer: str, direction: str, work: Callable[[], _Value]) -> _Value:
    """The result of `work`. Errors: TargetError, naming the feature, where it has no derivative or cannot be compiled yet."""
    try:
        return work()
    except (NotDifferentiable, NotLowered) as missing:
        raise _refusal(file, layer, direction, missing) from missing
    except TargetError as error:
        if isinstance(error.__cause__, NotDifferentiable | NotLowered):
            raise _refusal(file, layer, direction, error.__cause__) from error.__cause__
        raise


def _refusal(file: str, layer: str, direction: str, missing: NotDifferentiable | NotLowered) -> TargetError:
    place = f"{file}: layer {layer}, {direction}"
    if isinstance(missing, NotDifferentiable):
        return TargetError(
            f"{place}: the derivative of {missing} is not known\n  do: write what is trained with functions that have a derivative"
        )
    return TargetError(
        f"{place}: the target has no kernels yet for {missing}\n"
        '  do: write it without, or run it by the interpreter: lamina.compile(..., target="reference")'
    )


def signature_of(graph: Graph, dtype: str) -> Signature:
    """Contiguous tensors, every one declared `float` of the dtype."""
    stored = {"float": dtype, "complex": "c128" if dtype == "f64" else "c64", "compute": "f64" if dtype == "f64" else "f32"}
    return Signature(tuple(InputSignature(spec.name, stored.get(spec.dtype, spec.dtype)) for spec in graph.inputs), dtype)


def inputs_first(checked: CheckedLayer) -> CheckedLayer:
    """The layer with its `in` tensors ahead of the others, which is the order it is called in."""
    return replace(checked, tensors=tuple(sorted(checked.tensors, key=lambda tensor: tensor.role != "in")))


def file_of(checked: CheckedLayer) -> str:
    """The file that the layer is written in, as the user named it."""
    return checked.outs[0].span.file


def stages(checked: CheckedLayer, direction: str = "forward", dtype: str = "f32", target: str = "cpp") -> Stages:
    """The stages of one direction: gradients of every floating tensor, so many times over, or a part of a training step.

    Errors: ArgumentError for an unknown direction or dtype, and for a part of a training step where nothing is saved for it.
    """
    _require("direction", direction, EVERY_DIRECTION)
    _require("dtype", dtype, DTYPES)
    if direction in TRAINING:
        pair = training_stages(checked, dtype, target)
        if pair is None:
            raise ArgumentError(f"layer {checked.name} saves nothing for training: a step runs its forward and backward passes")
        return pair[TRAINING.index(direction)]
    direction = "second" if direction == _SECOND else direction
    checked = inputs_first(checked)

    def make() -> Graph:
        graph = optimize(pipeline.layer_graph(checked))
        for _ in range(DIRECTIONS.index(direction)):
            graph = pipeline.backward_graph(graph, _floating(graph.inputs), _floating(out.spec for out in graph.outputs))
        return graph

    return Stages(file_of(checked), checked.name, direction, make, dtype, target)


def training_stages(checked: CheckedLayer, dtype: str = "f32", target: str = "cpp") -> tuple[Stages, Stages] | None:
    """What a training step runs instead of forward and backward: a forward pass that saves, a backward pass that reads what was
    saved; None where nothing is worth saving. Errors: as `stages`, and TargetError where there is no gradient."""
    _require("dtype", dtype, DTYPES)
    graph = stages(checked, "forward", dtype).graph
    wanted, given = _floating(graph.inputs), _floating(out.spec for out in graph.outputs)
    first, second = refused(file_of(checked), checked.name, "backward", lambda: pipeline.training_pair(graph, wanted, given))
    if len(first.outputs) == len(graph.outputs):
        return None
    return (
        Stages(file_of(checked), checked.name, "training_forward", lambda: first, dtype, target),
        Stages(file_of(checked), checked.name, "training_backward", lambda: second, dtype, target),
    )


def has_gradients(graph: Graph) -> bool:
    """Whether there is a floating input and a floating output."""
    return bool(_floating(graph.inputs)) and bool(_floating(out.spec for out in graph.outputs))


def _floating(specs: Iterable[TensorSpec]) -> list[str]:
    return [spec.name for spec in specs if spec.dtype not in _WITHOUT_GRADIENT]


def _require(what: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        raise ArgumentError(f"{what}: expected one of {', '.join(known)}, found {found!r}")
