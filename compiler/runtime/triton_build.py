"""Emitted Triton kernels compiled without a device.

In: a program, lengths, an architecture. Out: a cubin for each of its launches at these lengths. Holds: it is what a call with such
lengths would compile, but for what Triton finds out from the arguments' values (which are multiples of 16, which are 1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ArgumentError, TargetError
from ..schedule.program import Program
from ..schedule.shapes import label
from .device_program import DeviceExecutable
from .execute import Bound
from .triton_kernels import interpreting, load, triton_module

_POINTERS = {
    "f64": "*fp64",
    "f32": "*fp32",
    "f16": "*fp16",
    "bf16": "*bf16",
    "i64": "*i64",
    "i32": "*i32",
    "bool": "*i1",
    "c64": "*fp32",
    "c128": "*fp64",
}


@dataclass(frozen=True)
class BuiltKernel:
    """A kernel's machine code. `shared`: bytes of shared memory a program (block)."""

    name: str
    constants: Mapping[str, int]
    warps: int
    cubin: bytes
    shared: int


def architecture_number(architecture: str) -> int:
    """90 for "sm_90". Errors: ArgumentError."""
    found = re.fullmatch(r"(?:sm_)?(\d{2,3})a?", architecture)
    if found is None:
        raise ArgumentError(f"architecture: expected one such as sm_90, found {architecture!r}")
    return int(found[1])


def build(program: Program, lengths: Mapping[str, int], architecture: str) -> list[BuiltKernel]:
    """Every kernel that the program launches at these lengths, compiled. Errors: TargetError."""
    triton = triton_module()
    if interpreting():
        raise TargetError("target triton: TRITON_INTERPRET is set, under which nothing is compiled\n  do: unset it")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module = load(program.source, label(program))
    dtypes = {argument.name: argument.dtype for argument in program.arguments}
    target = GPUTarget("cuda", architecture_number(architecture), 32)
    built = []
    for launch in DeviceExecutable(program, None).launches_at(Bound(lengths, ())):
        kernel = getattr(module, launch.name)
        names = [name for name in kernel.arg_names if name not in launch.constants]
        types = [
            _POINTERS[dtypes[each]] if isinstance(each, str) else "i32" if abs(each) < 2**31 else "i64" for each in launch.arguments
        ]
        signature = {**dict(zip(names, types, strict=True)), **dict.fromkeys(launch.constants, "constexpr")}
        # torch's memory, and most lengths, are multiples of 16
        aligned = {
            (place,): [["tt.divisibility", 16]]
            for place, (name, each) in enumerate(zip(names, launch.arguments, strict=True))
            if isinstance(each, str) or each % 16 == 0
        }
        source = ASTSource(kernel, signature, dict(launch.constants), aligned)
        options = {"num_warps": launch.warps, "enable_fp_fusion": program.fused}
        try:
            made = triton.compile(source, target=target, options=options)
        except Exception as refusal:
            raise TargetError(f"target triton: {launch.name} cannot be compiled for {architecture}: {refusal}") from refusal
        built.append(BuiltKernel(launch.name, launch.constants, launch.warps, made.asm["cubin"], made.metadata.shared))
    return built
