"""Programs that can be called.

In: a `Program` and the loaded library that was built from its source. Out: `NativeExecutable`. Holds: the call goes by ctypes,
so that the interpreter lock is released while the kernel runs; all integers are 64 bits wide; pointers are packed anew for each
call, so that threads may share a prepared call.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ArgumentError
from ..ir.outside import outside_message
from ..schedule.program import STATUS_WORDS, Argument, Program
from .execute import TORCH_DTYPES, Bound, Call, collapsed_strides
from .memory import LARGE, pool

_LEADING = "n['...']"
_Status = ctypes.c_int64 * STATUS_WORDS
# What an expression of a program may use besides `n` and `threads`.
_FUNCTIONS: dict[str, Any] = {"__builtins__": {}, "max": max, "min": min, "abs": abs, "int": int}


class NativeExecutable:
    """A program bound to its machine code."""

    def __init__(self, program: Program, library: ctypes.CDLL) -> None:
        self.program = program
        self.function = getattr(library, program.symbol)
        self.function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64)
        self.function.restype = None
        self.input_arguments = program.with_role("input")
        self.output_arguments = program.with_role("output")
        self.temporaries = program.with_role("temporary")
        self.inputs = tuple(argument.name for argument in self.input_arguments)
        self.outputs = tuple(argument.name for argument in self.output_arguments)
        self.shared = program.shared_outputs()
        self._code = {
            text: compile(text, "<length>", "eval")
            for text in (*program.integers, *(text for argument in program.arguments for text in argument.shape))
        }

    def _value(self, text: str, values: Mapping[str, int], threads: int) -> int:
        return int(eval(self._code[text], _FUNCTIONS, {"n": values, "threads": threads}))

    def shape(self, argument: Argument, bound: Bound, threads: int = 1) -> tuple[int, ...]:
        """The argument's dimensions at a call, `...` spread out."""
        shape: list[int] = []
        for text in argument.shape:
            if text == _LEADING and argument.role != "temporary":
                shape.extend(bound.leading)
            else:
                shape.append(self._value(text, bound.values, threads))
        return tuple(shape)

    def _integers(self, tensors: Sequence[Tensor], bound: Bound) -> bytes:
        integers = [self._value(text, bound.values, 1) for text in self.program.integers]
        strides: dict[str, tuple[int, ...]] = {}
        for name, dimension in self.program.strides:
            if name not in strides:
                number = self.inputs.index(name)
                texts = self.input_arguments[number].shape
                place = texts.index(_LEADING) if _LEADING in texts else None
                tensor = tensors[number]
                found = collapsed_strides(tensor.shape, tensor.stride(), place, len(bound.leading))
                assert found is not None, f"{name}: strided over ..., which the signature rules out"
                strides[name] = found
            integers.append(strides[name][dimension])
        return struct.pack(f"{len(integers)}q", *integers)

    def _scratch(self, bound: Bound, threads: int) -> list[tuple[int, torch.dtype]]:
        return [
            (
                math.prod(self.shape(argument, bound, threads)),
                torch.uint8 if argument.dtype == "bytes" else TORCH_DTYPES[argument.dtype],
            )
            for argument in self.temporaries
        ]

    def prepare(self, tensors: Sequence[Tensor], bound: Bound) -> Call:
        integers = self._integers(tensors, bound)
        results = [(self.shape(argument, bound), TORCH_DTYPES[argument.dtype]) for argument in self.output_arguments]
        layouts = [(shape, _contiguous_strides(shape), dtype) for shape, dtype in results]
        byte_counts = [math.prod(shape) * dtype.itemsize for shape, dtype in results]
        shared = self.shared
        for there, _ in shared:
            layouts[there], byte_counts[there] = ((0,), (1,), results[there][1]), 0
        large = max(byte_counts, default=0) >= LARGE
        function = self.function
        empty_strided, get_threads = torch.empty_strided, torch.get_num_threads
        scratch: dict[int, list[tuple[int, torch.dtype]]] = {}
        pack = struct.Struct(f"{len(self.program.arguments)}P").pack
        temporaries, checked = bool(self.temporaries), bool(self.program.checks)

        def call(given: Sequence[Tensor]) -> list[Tensor]:
            if large:
                outputs = list(map(_tensor, layouts, byte_counts))
            else:
                outputs = [empty_strided(shape, strides, dtype=dtype) for shape, strides, dtype in layouts]
            for there, first in shared:
                outputs[there] = outputs[first]
            pointers = [tensor.data_ptr() for tensor in given]
            for tensor in outputs:
                pointers.append(tensor.data_ptr())
            threads = get_threads()
            if temporaries:
                sizes = scratch.get(threads)
                if sizes is None:
                    sizes = scratch[threads] = self._scratch(bound, threads)
                room = [_scratch_tensor(size, dtype) for size, dtype in sizes]
                for tensor in room:
                    pointers.append(tensor.data_ptr())
            if checked:
                status = _Status()
                pointers.append(ctypes.addressof(status))
                function(pack(*pointers), integers, threads)
                self._require(list(status))
            else:
                function(pack(*pointers), integers, threads)
            return outputs

        return call

    def _require(self, status: Sequence[int]) -> None:
        """Errors: ArgumentError where the program found an index outside its dimension."""
        number, low, high, length = status
        if number:
            raise ArgumentError(outside_message(self.program.checks[number - 1], low, high, length))

    def launcher(self, tensors: Sequence[Tensor], bound: Bound) -> tuple[Callable[[], None], list[Tensor]]:
        threads = torch.get_num_threads()
        outputs = [_launched(self.shape(argument, bound), TORCH_DTYPES[argument.dtype]) for argument in self.output_arguments]
        for there, first in self.shared:
            outputs[there] = outputs[first]
        room = [_launched((size,), dtype) for size, dtype in self._scratch(bound, threads)]
        status = torch.zeros(STATUS_WORDS, dtype=torch.int64)
        kept = [*tensors, *outputs, *room, *([status] if self.program.checks else ())]
        pointers = struct.pack(f"{len(kept)}P", *(tensor.data_ptr() for tensor in kept))
        integers, function = self._integers(tensors, bound), self.function

        def run() -> None:
            function(pointers, integers, threads)
            self._require(status.tolist())

        # the tensors live as long as the function that runs on their memory
        run.tensors = kept  # type: ignore[attr-defined]
        return run, outputs


def _tensor(layout: tuple[tuple[int, ...], tuple[int, ...], torch.dtype], byte_count: int) -> Tensor:
    """A tensor with undefined contents; large ones come from the pool."""
    if byte_count >= LARGE:
        return pool().tensor(*layout, byte_count)
    shape, strides, dtype = layout
    return torch.empty_strided(shape, strides, dtype=dtype)


def _launched(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory of a bare launch; tests put guards around it."""
    return torch.empty(shape, dtype=dtype)


def _scratch_tensor(size: int, dtype: torch.dtype) -> Tensor:
    return _tensor(((size,), (1,), dtype), size * dtype.itemsize)


def _contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    strides = []
    stride = 1
    for length in reversed(shape):
        strides.append(stride)
        stride *= max(length, 1)
    return tuple(reversed(strides))
