"""Executables made by compiling: graph, program, shared object.

In: a function of a layer and a signature. Out: an executable. Holds: graphs are derived and programs generated when first needed;
every program made is kept, for reports and for saving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TargetError
from ..ir.tensors import TensorSpec
from ..runtime.execute import Executable, ReferenceExecutable
from ..runtime.program import NativeExecutable
from ..schedule.program import Program, Signature
from ..schedule.shapes import label
from .functions import Function, Made, Mask, digits, mask
from .store import Store

if TYPE_CHECKING:
    from ..ir.graph import Graph
    from ..schedule.steps import Schedule

_DIRECTIONS = ("forward", "backward", "double_backward")


def direction(function: Function) -> str:
    """The name of a function in programs: forward, backward, double_backward, backward_3, ...; training_forward and _backward."""
    _, _, part = function.path.partition("#")
    if part:
        return f"training_{part}"
    order = function.order
    return _DIRECTIONS[order] if order < len(_DIRECTIONS) else f"backward_{order}"


class CompiledSource:
    """Compiles graphs for a target: one of `codegen.TARGETS`; "reference", the interpreter; "auto", by the tensors' device.

    `load` gives the layer's graph; it is not called, and the compiler is not imported, for what the store has.
    """

    copies = False

    def __init__(self, load: Callable[[], Graph], target: str, store: Store | None = None) -> None:
        self.target = target
        self.store = store
        self._load = load
        self.made: list[Made] = []
        self._graphs: dict[str, Graph] = {}

    @cached_property
    def layer_graph(self) -> Graph:
        """The layer as written."""
        return self._load()

    def graph(self, function: Function) -> Graph:
        """The function's graph at level "math", its outputs under the function's names."""
        found = self._graphs.get(function.path)
        if found is None:
            from . import graphs

            if "#" in function.path:
                self._split(function.family.root, _training_mask(function.path))
                return self._graphs[function.path]
            if function.parent is None:
                found = graphs.forward_graph(self.layer_graph)
            else:
                parent = function.parent
                assert function.like is not None
                given = function.path.rpartition(":")[2]
                outputs = [spec.name for spec, digit in zip(parent.outputs, given, strict=True) if digit == "1"]
                found = graphs.backward_graph(self.graph(parent), [parent.inputs[k].name for k in function.like], outputs)
            found = self._graphs[function.path] = _renamed(found, function)
        return found

    def kind(self, device: str) -> str:
        """The target that serves tensors on a device. Errors: TargetError where none does."""
        if self.target in ("triton", "cuda"):
            from ..runtime.devices import require_runnable

            require_runnable(self.target, device)
            return self.target
        if self.target == "auto" and device == "cuda":
            return "triton"
        if device != "cpu":
            raise TargetError(f"expected tensors on the CPU, found device {device}; move them, e.g. x.cpu()")
        return "cpp" if self.target == "auto" else self.target

    @property
    def default_kind(self) -> str:
        """The target whose source is shown where none is named."""
        return "cpp" if self.target == "auto" else self.target

    def program(self, function: Function, signature: Signature, kind: str | None = None) -> Program:
        """The program of a function for a signature, of the kind of target given."""
        kind = self.default_kind if kind is None else kind
        for made in self.made:
            if made.path == function.path and made.signature == signature and made.program.target == kind:
                return made.program
        program = None if self.store is None else self.store.program(function.path, signature, kind)
        if program is None:
            program = self._generated(function, signature, kind)
            if self.store is not None:
                self.store.put_program(function.path, signature, program)
        self.made.append(Made(function.path, signature, program))
        return program

    def _generated(self, function: Function, signature: Signature, kind: str) -> Program:
        from ..codegen import generate
        from ..schedule.partition import NotLowered

        graph = _specialised(self.graph(function), function, signature)
        try:
            return generate(graph, _of(graph, signature), direction(function), kind)
        except NotLowered as missing:
            way = direction(function).replace("_", " ")
            raise TargetError(
                f"layer {graph.name}: the target {kind} has no kernels yet for {missing} ({way})\n"
                '  do: compile with target="reference", which interprets the layer'
            ) from missing

    def executable(self, function: Function, signature: Signature, kind: str) -> Executable:
        if kind == "reference":
            graph = _specialised(self.graph(function), function, signature)
            return ReferenceExecutable(graph, _of(graph, signature))
        program = self.program(function, signature, kind)
        if kind != "cpp":
            from ..runtime.devices import device_executable

            return device_executable(program)
        from ..runtime import native

        return NativeExecutable(program, native.library(program.source, label(program)))

    def stages(self, function: Function, signature: Signature, kind: str) -> tuple[Graph, Schedule]:
        from ..codegen import plan_of

        graph = _specialised(self.graph(function), function, signature)
        return graph, plan_of(graph, _of(graph, signature), kind)

    def artefact(self, program: Program) -> Path:
        """The shared object of a program."""
        from ..runtime.build import build

        return build(program.source, name=label(program))

    def used(self, function: Function) -> Mask:
        known = None if self.store is None else self.store.get("used", function.path)
        if known is not None:
            return mask(known)
        graph = self.graph(function)
        read = {node.attribute("name") for node in graph.nodes if node.op == "input"}
        found = tuple(spec.name in read for spec in function.inputs)
        if self.store is not None:
            self.store.put(digits(found), "used", function.path)
        return found

    def training(self, function: Function, wanted: Mask) -> tuple[Function, Function] | None:
        known = None if self.store is None else self.store.get("training", digits(wanted))
        if known is not None:
            first, second = (Function.from_json(function.family, each) for each in known) if known else (None, None)
            return None if first is None or second is None else (first, second)
        pair = self._split(function, wanted)
        if self.store is not None:
            self.store.put([each.to_json() for each in pair or ()], "training", digits(wanted))
        return pair

    def _split(self, function: Function, wanted: Mask) -> tuple[Function, Function] | None:
        """The functions of a training step; their graphs are kept."""
        from . import graphs

        try:
            derived = function.derivative(wanted, function.differentiable)
            names = [function.inputs[k].name for k in derived.like or ()]
            given = [spec.name for spec, can in zip(function.outputs, function.differentiable, strict=True) if can]
            pair = graphs.training_pair(self.graph(function), names, given)
        except TargetError:  # not differentiable: said when the gradient is asked for
            return None
        if pair is None:
            return None
        forward, backward = pair
        saved = tuple(output.spec for output in forward.outputs[len(function.outputs) :])
        path = f"train{derived.path}"
        first = Function(function.family, f"{path}#forward", function.inputs, (*function.outputs, *saved), None)
        inputs = (*derived.inputs, *(replace(spec, role="saved") for spec in saved))
        second = Function(function.family, f"{path}#backward", inputs, derived.outputs, derived.like)
        self._graphs[first.path] = _renamed(forward, first)
        self._graphs[second.path] = _renamed(backward, second)
        return first, second


def _training_mask(path: str) -> Mask:
    """The inputs wanted, from the path of a function of a training step."""
    return mask(path.removeprefix("train/").partition(":")[0])


def _renamed(graph: Graph, function: Function) -> Graph:
    outputs = tuple(
        replace(output, spec=replace(output.spec, name=spec.name))
        for output, spec in zip(graph.outputs, function.outputs, strict=True)
    )
    return replace(graph, outputs=outputs)


def _specialised(graph: Graph, function: Function, signature: Signature) -> Graph:
    """The graph whose gradients have the storage dtype of what they are the gradients of, whatever the call's dtype is."""
    if function.like is None:
        return graph
    dtypes = {entry.name: entry.dtype for entry in signature.inputs}

    def stored(spec: TensorSpec, number: int) -> TensorSpec:
        return replace(spec, dtype=dtypes[function.inputs[number].name])

    outputs = tuple(
        replace(output, spec=stored(output.spec, number)) for output, number in zip(graph.outputs, function.like, strict=True)
    )
    return replace(graph, outputs=outputs)


def _of(graph: Graph, signature: Signature) -> Signature:
    """The signature of the graph's own inputs, in its order."""
    return Signature(tuple(signature.input(spec.name) for spec in graph.inputs), signature.dtype)
