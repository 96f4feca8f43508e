"""Programs of kernels for a device.

In: a `Program` with launches, and the kernels' functions. Out: `DeviceExecutable`. Holds: lengths and sizes of tiles are worked out
once for each set of shapes; a call allocates results and temporaries through torch, launches on the current stream of the tensors'
device, and waits for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..schedule.program import Argument, Launch, Program
from .device_calls import CALLS
from .execute import TORCH_DTYPES, Bound, Call, collapsed_strides

_LEADING = "n['...']"


def padded(number: int) -> int:
    """The least power of two from `number` on."""
    return 1 << max(number - 1, 0).bit_length()


def blocks(number: int, size: int) -> int:
    """A quotient rounded up."""
    return -(-number // size)


def shift(length: int) -> int:
    """The least s with 2^s >= length, and 0 for lengths below 1."""
    return max(length - 1, 0).bit_length()


def multiplier(length: int) -> int:
    """floor(2^(63 + s) / length) + 1, as a signed 64-bit integer: what division by a length multiplies with (division.hpp)."""
    value = ((1 << (63 + shift(length))) // max(length, 1) + 1) & ((1 << 64) - 1)
    return value - (1 << 64) if value >> 63 else value


_FUNCTIONS: dict[str, Any] = {
    "__builtins__": {},
    "max": max,
    "min": min,
    "abs": abs,
    "int": int,
    "padded": padded,
    "blocks": blocks,
    "shift": shift,
    "multiplier": multiplier,
}


class Kernels(Protocol):
    """What runs kernels, whose tensors come before their integers.

    `launcher` gives a function that launches a kernel on tensors, at one grid and with the same integers each time.
    """

    def launcher(
        self, name: str, grid: tuple[int, ...], constants: Mapping[str, int], integers: Sequence[int], warps: int
    ) -> Callable[[Sequence[Tensor]], None]: ...


@dataclass(frozen=True)
class KernelLaunch:
    """A kernel's launch at one set of shapes. `arguments`: the name of a tensor, or an integer."""

    name: str
    grid: tuple[int, ...]
    constants: Mapping[str, int]
    arguments: tuple[str | int, ...]
    warps: int


@dataclass(frozen=True)
class _Prepared:
    """A launch at one set of shapes: which of the call's tensors it takes, and what runs it."""

    tensors: tuple[int, ...]
    run: Callable[[Sequence[Tensor]], None]


class DeviceExecutable:
    """A program bound to its kernels."""

    def __init__(self, program: Program, kernels: Kernels | None) -> None:
        self.program = program
        self.kernels = kernels
        self.input_arguments = program.with_role("input")
        self.output_arguments = program.with_role("output")
        self.temporaries = program.with_role("temporary")
        self.inputs = tuple(argument.name for argument in self.input_arguments)
        self.outputs = tuple(argument.name for argument in self.output_arguments)
        self.shared = program.shared_outputs()
        self._names = [argument.name for argument in program.arguments]
        self._code: dict[str, Any] = {}

    def _value(self, text: str, environment: dict[str, Any]) -> int:
        code = self._code.get(text)
        if code is None:
            code = self._code[text] = compile(text, "<length>", "eval")
        return int(eval(code, _FUNCTIONS, environment))

    def _shape(self, argument: Argument, bound: Bound, environment: dict[str, Any]) -> tuple[int, ...]:
        """The argument's dimensions at a call, `...` spread out."""
        shape: list[int] = []
        for text in argument.shape:
            if text == _LEADING and argument.role != "temporary":
                shape.extend(bound.leading)
            else:
                shape.append(self._value(text, environment))
        return tuple(shape)

    def _environment(self, tensors: Sequence[Tensor], bound: Bound) -> dict[str, Any]:
        strides: dict[str, tuple[int, ...]] = {}
        for name, _ in self.program.strides:
            if name not in strides:
                number = self.inputs.index(name)
                texts = self.input_arguments[number].shape
                place = texts.index(_LEADING) if _LEADING in texts else None
                tensor = tensors[number]
                found = collapsed_strides(tensor.shape, tensor.stride(), place, len(bound.leading))
                assert found is not None, f"{name}: strided over ..., which the signature rules out"
                strides[name] = found
        return {"n": bound.values, "stride": strides}

    def _at(self, launch: Launch, environment: dict[str, Any]) -> KernelLaunch:
        """A launch with all its expressions worked out."""
        known = dict(environment)
        constants = {}
        for name, text in launch.constants:
            known[name] = constants[name] = self._value(text, known)
        grid = tuple(self._value(text, known) for text in launch.grid)
        arguments = tuple(self._value(each[1:], known) if each.startswith("=") else each for each in launch.arguments)
        return KernelLaunch(launch.name, grid, constants, arguments, self._value(launch.warps, known))

    def launches_at(self, bound: Bound) -> list[KernelLaunch]:
        """The kernels that a call with contiguous tensors of these lengths launches."""
        environment: dict[str, Any] = {"n": bound.values, "stride": {}}
        found = [self._at(launch, environment) for launch in self.program.launches if launch.kind == "kernel"]
        return [each for each in found if 0 not in each.grid]

    def _launch(self, launch: Launch, environment: dict[str, Any]) -> _Prepared | None:
        found = self._at(launch, environment)
        tensors = tuple(self._names.index(each) for each in found.arguments if isinstance(each, str))
        integers = [each for each in found.arguments if isinstance(each, int)]
        if launch.kind != "kernel":
            function, checks = CALLS[launch.name], self.program.checks
            return _Prepared(tensors, lambda given: function(given, integers, checks))
        if 0 in found.grid:
            return None
        assert self.kernels is not None
        return _Prepared(tensors, self.kernels.launcher(found.name, found.grid, found.constants, integers, found.warps))

    def prepare(self, tensors: Sequence[Tensor], bound: Bound) -> Call:
        environment = self._environment(tensors, bound)
        prepared = [self._launch(launch, environment) for launch in self.program.launches]
        launches = [each for each in prepared if each is not None]
        results = [(self._shape(each, bound, environment), TORCH_DTYPES[each.dtype]) for each in self.output_arguments]
        room = [(math.prod(self._shape(each, bound, environment)), TORCH_DTYPES[each.dtype]) for each in self.temporaries]
        reinterpreted = [number for number, each in enumerate(self.program.arguments) if TORCH_DTYPES[each.dtype].is_complex]
        device = tensors[0].device if tensors else torch.device("cpu")

        def call(given: Sequence[Tensor]) -> list[Tensor]:
            outputs = [empty(shape, dtype, device) for shape, dtype in results]
            for there, first in self.shared:
                outputs[there] = outputs[first]
            every = [*given, *outputs, *(empty(size, dtype, device) for size, dtype in room)]
            for number in reinterpreted:
                every[number] = torch.view_as_real(every[number])
            _run(launches, every, device)
            return outputs

        return call

    def launcher(self, tensors: Sequence[Tensor], bound: Bound) -> tuple[Callable[[], None], list[Tensor]]:
        call = self.prepare(tensors, bound)
        outputs = call(tensors)

        def run() -> None:
            for target, result in zip(outputs, call(tensors), strict=True):
                target.copy_(result)

        return run, outputs


def _run(launches: Sequence[_Prepared], every: Sequence[Tensor], device: torch.device) -> None:
    if device.type == "cuda":
        with torch.cuda.device(device):
            for launch in launches:
                launch.run([every[number] for number in launch.tensors])
        return
    for launch in launches:
        launch.run([every[number] for number in launch.tensors])


def empty(shape: int | tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory of a result or a temporary; tests fill it."""
    return torch.empty(shape, dtype=dtype, device=device)
