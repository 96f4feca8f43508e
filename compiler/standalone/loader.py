"""Runs a layer from a folder, with torch and the standard library alone.

In: `layer.json` and the shared objects beside it. Out: `StandaloneLayer`, a function of tensors with gradients of the first order.
Holds: lengths are solved from the shapes of each call and checked; every complaint names the tensor, what was expected and found.
This module is copied into standalone packages: it may use nothing of Lamina but the modules copied with it.
"""

from __future__ import annotations

import ctypes
import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..ir.outside import outside_message
from ..runtime.openmp import openmp

_DTYPES = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "bool": torch.bool,
    "c64": torch.complex64,
    "c128": torch.complex128,
    "bytes": torch.uint8,
}
_LEADING = "n['...']"
_BUILTINS: dict[str, Any] = {"__builtins__": {}, "max": max, "min": min, "abs": abs, "int": int}


def _value(text: str, values: dict[str, int], threads: int = 1) -> int:
    return int(eval(text, _BUILTINS, {"n": values, "threads": threads}))


class _Program:
    """One entry point of a shared object."""

    def __init__(self, described: dict[str, Any], folder: Path) -> None:
        openmp()  # torch's own runtime has to be loaded before a library that needs one
        library = ctypes.CDLL(str(folder / described["library"]))
        self.function = getattr(library, described["symbol"])
        self.function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64)
        self.function.restype = None
        arguments = described["arguments"]
        self.inputs = [argument for argument in arguments if argument[1] == "input"]
        self.outputs = [argument for argument in arguments if argument[1] == "output"]
        self.temporaries = [argument for argument in arguments if argument[1] == "temporary"]
        self.integers = described["integers"]
        self.checks = described["checks"]

    def __call__(self, given: dict[str, Tensor], values: dict[str, int], leading: Sequence[int]) -> list[Tensor]:
        threads = torch.get_num_threads()
        tensors = [given[argument[0]].contiguous() for argument in self.inputs]
        outputs = [torch.empty(self._shape(argument, values, leading), dtype=_DTYPES[argument[2]]) for argument in self.outputs]
        named = {argument[0]: tensor for argument, tensor in zip(self.outputs, outputs, strict=True)}
        outputs = [named[argument[4] or argument[0]] for argument in self.outputs]
        room = [
            torch.empty(math.prod(_value(text, values, threads) for text in argument[3]), dtype=_DTYPES[argument[2]])
            for argument in self.temporaries
        ]
        everything = [*tensors, *outputs, *room]
        status = (ctypes.c_int64 * 4)()
        addresses = [tensor.data_ptr() for tensor in everything] + [ctypes.addressof(status)] * bool(self.checks)
        pointers = struct.pack(f"{len(addresses)}P", *addresses)
        integers = struct.pack(f"{len(self.integers)}q", *(_value(text, values) for text in self.integers))
        self.function(pointers, integers, threads)
        number, low, high, length = status
        if number:
            raise ValueError(outside_message(self.checks[number - 1], low, high, length))
        return outputs

    def _shape(self, argument: list[Any], values: dict[str, int], leading: Sequence[int]) -> list[int]:
        shape: list[int] = []
        for text in argument[3]:
            shape.extend(leading if text == _LEADING else [_value(text, values)])
        return shape


class StandaloneLayer:
    """`layer(x, a, b)`: tensors by position in declared order, or by name, to the out (a tuple, if several).

    Errors: TypeError, ValueError where an argument does not fit.
    """

    def __init__(self, folder: Path) -> None:
        described = json.loads((folder / "layer.json").read_text(encoding="utf-8"))
        self.name: str = described["name"]
        self.inputs: list[dict[str, Any]] = described["inputs"]
        self.outputs: list[dict[str, Any]] = described["outputs"]
        self._steps = described["steps"]
        self._axes = described["axes"]
        self._conditions = described["conditions"]
        self._programs = {name: _Program(program, folder) for name, program in described["programs"].items()}
        self.dtypes = {argument[0]: _DTYPES[argument[2]] for argument in self._programs["forward"].inputs}

    def __call__(self, *tensors: Tensor, **named: Tensor) -> Any:
        arranged = self._arranged(tensors, named)
        results = _Apply.apply(self, *arranged)
        return results[0] if len(self.outputs) == 1 else results

    def _arranged(self, tensors: Sequence[Tensor], named: dict[str, Tensor]) -> list[Tensor]:
        names = [each["name"] for each in self.inputs]
        arranged = {**dict(zip(names, tensors, strict=False)), **named}
        unfit = len(tensors) > len(names) or len(arranged) != len(tensors) + len(named) or set(arranged) != set(names)
        if unfit:
            found = ", ".join([f"{len(tensors)} by position", *named])
            raise TypeError(f"{self.name}: expected {', '.join(names)}, each once; found {found}")
        for name, tensor in arranged.items():
            if not isinstance(tensor, Tensor) or tensor.dtype != self.dtypes[name] or tensor.device.type != "cpu":
                found = f"{tensor.dtype} on {tensor.device}" if isinstance(tensor, Tensor) else type(tensor).__name__
                raise TypeError(f"{name}: expected a tensor of {self.dtypes[name]} on the CPU, found {found}")
        return [arranged[name] for name in names]

    def bind(self, tensors: Sequence[Tensor]) -> tuple[dict[str, int], list[int]]:
        """The length of every axis, and the dimensions that `...` stands for. Errors: ValueError where a shape does not fit."""
        values: dict[str, int] = {}
        leading: list[int] = []
        for each, tensor in zip(self.inputs, tensors, strict=True):
            dimensions = each["dimensions"]
            further = tensor.dim() - len(dimensions)
            if further < -1 if None in dimensions else further:
                raise ValueError(f"{each['name']}: expected {self._written(each)}, found shape {tuple(tensor.shape)}")
            if None in dimensions and "..." not in values:
                place = dimensions.index(None)
                leading = list(tensor.shape[place : place + further + 1])
                values["..."] = math.prod(leading)
        for number, dimension, symbol, solution in self._steps:
            values["?"] = tensors[number].shape[dimension]
            values[symbol] = _value(solution, values)
        values.pop("?", None)
        for name, text in self._axes:
            values[name] = _value(text, values)
        for each, tensor in zip(self.inputs, tensors, strict=True):
            expected: list[int] = []
            for text in each["dimensions"]:
                expected.extend(leading if text is None else [_value(text, values)])
            if expected != list(tensor.shape) or any(length < 0 for length in values.values()):
                raise ValueError(f"{each['name']}: expected shape {tuple(expected)}, found {tuple(tensor.shape)}")
        for test, text, message in self._conditions:
            if not eval(test, _BUILTINS, {"n": values}):
                raise ValueError(f"{self.name}: {message or 'a requirement does not hold'}; required: {text}, found {values}")
        return values, leading

    def _written(self, each: dict[str, Any]) -> str:
        return f"{len(each['dimensions'])} dimensions{', the leading ones any number' if None in each['dimensions'] else ''}"

    def run(self, direction: str, given: dict[str, Tensor], values: dict[str, int], leading: Sequence[int]) -> list[Tensor]:
        return self._programs[direction](given, values, leading)

    def has(self, direction: str) -> bool:
        return direction in self._programs

    def gradients(self, direction: str) -> list[str]:
        """The names of what a backward program gives, without `grad_`."""
        return [argument[0].removeprefix("grad_") for argument in self._programs[direction].outputs]


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, layer: StandaloneLayer, *tensors: Tensor) -> tuple[Tensor, ...]:
        values, leading = layer.bind(tensors)
        given = {each["name"]: tensor for each, tensor in zip(layer.inputs, tensors, strict=True)}
        training = any(context.needs_input_grad) and layer.has("training_forward")
        results = layer.run("training_forward" if training else "forward", given, values, leading)
        count = len(layer.outputs)
        context.layer, context.values, context.leading, context.training = layer, values, leading, training
        context.save_for_backward(*tensors, *results[count:])
        return tuple(results[:count])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        layer: StandaloneLayer = context.layer
        direction = "training_backward" if context.training else "backward"
        if not layer.has(direction):
            raise RuntimeError(f"{layer.name}: compiled without a backward pass")
        names = [each["name"] for each in layer.inputs]
        saved = context.saved_tensors
        given = dict(zip(names, saved, strict=False))
        given.update({f"saved_{number}": tensor for number, tensor in enumerate(saved[len(names) :])})
        given.update({f"grad_{out['name']}": tensor for out, tensor in zip(layer.outputs, cotangents, strict=True)})
        gradients = layer.run(direction, given, context.values, context.leading)
        found = dict(zip(layer.gradients(direction), gradients, strict=True))
        return (None, *(found.get(name) for name in names))


def load(folder: str | Path | None = None) -> StandaloneLayer:
    """The layer of a folder, by default the one that this module lies in."""
    return StandaloneLayer(Path(folder) if folder is not None else Path(__file__).parent)
