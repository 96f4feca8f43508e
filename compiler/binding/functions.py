"""A layer and all its derivatives, as functions of tensors.

In: an `Interface` and a `Source` of executables. Out: `Function`s: the layer itself, and the gradients of a function with respect
to some of its inputs given cotangents of some of its outputs, which is a function again; so derivatives have any order.

What holds:
- A function's tensors are the layer's, in declared order, then the cotangents of each derivation in turn. A result of a derived
  function has the shape and dtype of the input it is the gradient of.
- A derivation is written as a path: "" is the layer, "/110:1" its gradients in the first two of three inputs given the cotangent of
  its one output, "/110:1/0011:11" gradients of those. Torch's operators carry it as a string.
- Executables are made at the first call of a signature, once; prepared calls are kept by shapes, strides and dtypes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ..errors import ArgumentError, TargetError
from ..ir.tensors import TensorSpec, gradient_name
from ..runtime.execute import Bound, Call, Executable
from ..schedule.program import Program, Signature
from .arguments import call_dtype, check, layout_of, signature
from .interface import Interface, spec_from_json, spec_json

if TYPE_CHECKING:
    from ..ir.graph import Graph
    from ..schedule.steps import Schedule

Mask = tuple[bool, ...]
# Prepared calls kept by one function: many more shapes than a training run meets, few enough to forget all at once.
_LARGEST_STORE = 4096


@dataclass(frozen=True)
class Made:
    """A program that there is, and for which function and signature."""

    path: str
    signature: Signature
    program: Program


class Source(Protocol):
    """Where executables come from: a compiler, or a saved package. All methods are called under the functions' lock.

    `made`: the programs there are so far. `copies`: whether every tensor that is not contiguous is to be copied.
    """

    made: list[Made]
    copies: bool

    def graph(self, function: Function) -> Graph:
        """The function's graph at level "math". Errors: TargetError where there is none."""
        ...

    def kind(self, device: str) -> str:
        """The target that serves tensors on a device (torch's name of its type). Errors: TargetError where none does."""
        ...

    def program(self, function: Function, signature: Signature, kind: str | None = None) -> Program:
        """The program of a function for a signature, of a kind of target. Errors: TargetError."""
        ...

    def executable(self, function: Function, signature: Signature, kind: str) -> Executable:
        """The executable of a function for a signature, of a kind of target. Errors: TargetError."""
        ...

    def stages(self, function: Function, signature: Signature, kind: str) -> tuple[Graph | None, Schedule | None]:
        """The graph and the plan of a program that there is; None where programs are all there is."""
        ...

    def used(self, function: Function) -> Mask:
        """Which inputs the function's value depends on, its derivatives included."""
        ...

    def training(self, function: Function, wanted: Mask) -> tuple[Function, Function] | None:
        """The function with further results to save, and its gradients from these; None where nothing is worth saving."""
        ...


@dataclass(frozen=True)
class Recording:
    """What a recorded call keeps. `pair`: the functions of a training step, if any; `kept`: which tensors a derivative reads.

    A tensor that none reads is not kept alive; zeros that take no memory hold its place, the places `absent`.
    """

    pair: tuple[Function, Function] | None
    kept: Mask
    absent: tuple[int, ...]
    count: int
    all_differentiable: bool


class Functions:
    """The functions derived from one layer."""

    def __init__(self, interface: Interface, source: Source) -> None:
        self.interface = interface
        self.source = source
        self.lock = threading.RLock()
        self.root = Function(self, "", interface.inputs, _named(interface.outputs, interface.inputs), None)

    def kind(self, tensors: Sequence[Tensor]) -> str:
        """The target that serves these tensors. Errors: TargetError where none does."""
        try:
            kinds = {self.source.kind(device) for device in dict.fromkeys(tensor.device.type for tensor in tensors) or ("cpu",)}
        except TargetError as refusal:
            raise TargetError(f"layer {self.interface.name}: {refusal}") from None
        return kinds.pop()

    def function(self, path: str) -> Function:
        """The function at a path. Errors: ArgumentError for a text that is none."""
        function = self.root
        for step in path.split("/")[1:]:
            wanted, _, given = step.partition(":")
            if len(wanted) != len(function.inputs) or len(given) != len(function.outputs) or set(step) - set("01:"):
                raise ArgumentError(f"{self.interface.name}: {path!r} is not the path of a derivative")
            function = function.derivative(mask(wanted), mask(given))
        return function


class Function:
    """One function: `inputs` and `outputs` have names unique among themselves; `like` says which input each output is shaped as."""

    def __init__(
        self,
        family: Functions,
        path: str,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        like: tuple[int, ...] | None,
        parent: Function | None = None,
    ) -> None:
        self.family = family
        self.path = path
        self.inputs = inputs
        self.outputs = outputs
        self.like = like
        self.parent = parent
        own = family.interface.inputs
        # with no tensor to tell the call's dtype, torch's default of the moment does
        self._defaulted = not any(spec.dtype in ("float", "complex") for spec in own)
        self._prepared: dict[tuple[object, ...], Call] = {}
        self._executables: dict[tuple[Signature, str], Executable] = {}
        self._derivatives: dict[tuple[Mask, Mask], Function] = {}
        self._recordings: dict[Mask, Recording] = {}
        self._training: dict[Mask, tuple[Function, Function] | None] = {}

    @property
    def order(self) -> int:
        """How often it has been derived: 0 for the layer."""
        return self.path.count("/")

    @cached_property
    def differentiable(self) -> Mask:
        """Which outputs can have a cotangent."""
        return tuple(spec.dtype not in ("i64", "i32", "bool") for spec in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """The function as JSON values; `from_json` gives it back."""
        return {
            "path": self.path,
            "inputs": [spec_json(spec) for spec in self.inputs],
            "outputs": [spec_json(spec) for spec in self.outputs],
            "like": self.like,
        }

    @classmethod
    def from_json(cls, family: Functions, value: dict[str, Any]) -> Function:
        inputs, outputs = (tuple(map(spec_from_json, value[name])) for name in ("inputs", "outputs"))
        return cls(family, value["path"], inputs, outputs, None if value["like"] is None else tuple(value["like"]))

    # ------------------------------------------------------------------------------------------ calling

    def call(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The results for plain tensors; records nothing for autograd. Errors: ArgumentError, TargetError."""
        key: list[object] = [torch.get_default_dtype()] if self._defaulted else []
        for tensor in tensors:
            key += (tensor.shape, tensor.stride(), tensor.dtype)
        if tensors and not tensors[0].is_cpu:
            key.append(tensors[0].device)
        prepared = self._prepared.get(tuple(key))
        if prepared is None:
            prepared = self._prepare(tensors, tuple(key))
        return prepared(tensors)

    def _prepare(self, tensors: Sequence[Tensor], key: tuple[object, ...]) -> Call:
        executable, bound, arranged, copied, order = self.resolve(tensors)
        call = executable.prepare(arranged, bound)
        prepared = call if not copied and order is None else _arranging(call, copied, order)
        if len(self._prepared) >= _LARGEST_STORE:
            self._prepared.clear()
        self._prepared[key] = prepared
        return prepared

    def resolve(self, tensors: Sequence[Tensor]) -> tuple[Executable, Bound, list[Tensor], frozenset[int], tuple[int, ...] | None]:
        """The executable for these tensors, the lengths, the tensors as it takes them, which of them were copied, and their order.

        The order is None where the executable takes them as they come.
        """
        own = self.family.interface.inputs
        check(self.family.interface, tensors[: len(own)])
        bound = self.family.interface.bind([tuple(tensor.shape) for tensor in tensors[: len(own)]])
        copies = self.family.source.copies
        dtype = call_dtype(own, [tensor.dtype for tensor in tensors[: len(own)]])
        copied = frozenset(
            number
            for number, (spec, tensor) in enumerate(zip(self.inputs, tensors, strict=True))
            if layout_of(spec, tensor) is None or (copies and not tensor.is_contiguous())
        )
        fitting = [tensor.contiguous() if number in copied else tensor for number, tensor in enumerate(tensors)]
        kind = self.family.kind(tensors)
        executable = self.executable(signature(self.inputs, fitting, dtype), kind)
        names = tuple(spec.name for spec in self.inputs)
        order = None if executable.inputs == names else tuple(names.index(name) for name in executable.inputs)
        return executable, bound, fitting if order is None else [fitting[place] for place in order], copied, order

    def executable(self, signature: Signature, kind: str) -> Executable:
        """The executable for a signature and a kind of target, made if there is none yet."""
        found = self._executables.get((signature, kind))
        if found is None:
            with self.family.lock:
                found = self._executables.get((signature, kind))
                if found is None:
                    found = self._executables[signature, kind] = self.family.source.executable(self, signature, kind)
        return found

    # ------------------------------------------------------------------------------------------ deriving

    def derivative(self, wanted: Mask, given: Mask) -> Function:
        """Its gradients in the inputs `wanted`, as a function of its tensors and the cotangents of the outputs `given`."""
        found = self._derivatives.get((wanted, given))
        if found is None:
            cotangents = [
                replace(spec, name=gradient_name(spec.name), role="cotangent")
                for spec, is_given in zip(self.outputs, given, strict=True)
                if is_given
            ]
            inputs = (*self.inputs, *cotangents)
            like = tuple(number for number, is_wanted in enumerate(wanted) if is_wanted)
            gradients = [replace(self.inputs[k], name=gradient_name(self.inputs[k].name), role="gradient") for k in like]
            path = f"{self.path}/{digits(wanted)}:{digits(given)}"
            found = Function(self.family, path, inputs, _named(gradients, inputs), like, self)
            found = self._derivatives.setdefault((wanted, given), found)
        return found

    @cached_property
    def used(self) -> Mask:
        """Which inputs its value depends on; the others need not be kept for a derivative."""
        with self.family.lock:
            return self.family.source.used(self)

    def recording(self, wanted: Mask) -> Recording:
        """What a call that is recorded for gradients in the inputs `wanted` keeps."""
        found = self._recordings.get(wanted)
        if found is None:
            kept = (True,) * len(self.inputs)
            if not self.path and any(self.differentiable):
                # an op without a derivative is complained of where the gradient is asked for
                with contextlib.suppress(TargetError):
                    kept = self.derivative(wanted, self.differentiable).used[: len(self.inputs)]
            absent = tuple(place for place, is_kept in enumerate(kept) if not is_kept)
            count = len(self.outputs)
            found = Recording(self.training(wanted), kept, absent, count, all(self.differentiable))
            self._recordings[wanted] = found
        return found

    def training(self, wanted: Mask) -> tuple[Function, Function] | None:
        """The pair of functions that a training step runs; None where it is the function and its derivative."""
        if wanted not in self._training:
            with self.family.lock:
                if wanted not in self._training:
                    self._training[wanted] = None if self.path else self.family.source.training(self, wanted)
        return self._training[wanted]

    def known(self) -> list[Function]:
        """The derivatives of every order taken so far."""
        found = []
        for derived in self._derivatives.values():
            found += [derived, *derived.known()]
        return found

    def known_training(self) -> list[tuple[Mask, tuple[Function, Function]]]:
        """The training pairs made so far, by the mask of the inputs wanted."""
        return [(wanted, pair) for wanted, pair in self._training.items() if pair is not None]

    def placed(self, gradients: Sequence[Tensor], count: int) -> list[Tensor | None]:
        """The results of a derived function at the places of the inputs that they are the gradients of."""
        assert self.like is not None
        listed: list[Tensor | None] = [None] * count
        for place, gradient in zip(self.like, gradients, strict=True):
            listed[place] = gradient
        return listed


def _arranging(call: Call, copied: frozenset[int], order: tuple[int, ...] | None) -> Call:
    def arranged(tensors: Sequence[Tensor]) -> list[Tensor]:
        fitting = [tensor.contiguous() if number in copied else tensor for number, tensor in enumerate(tensors)]
        return call(fitting if order is None else [fitting[place] for place in order])

    return arranged


def _named(outputs: Sequence[TensorSpec], inputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs under names that no input has, and whose cotangents' names no input has either."""
    taken = {spec.name for spec in inputs}
    named = []
    for spec in outputs:
        name, count = spec.name, 2
        while name in taken or gradient_name(name) in taken:
            name = f"{spec.name}_{count}"
            count += 1
        taken |= {name, gradient_name(name)}
        named.append(replace(spec, name=name))
    return tuple(named)


def digits(mask: Mask) -> str:
    return "".join("1" if each else "0" for each in mask)


def mask(digits: str) -> Mask:
    return tuple(digit == "1" for digit in digits)
