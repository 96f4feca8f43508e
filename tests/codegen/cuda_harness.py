"""Generated CUDA programs, emulated on the CPU, beside the interpreter of graphs.

In: programs. Out: executables that share one shared object: most of what a build costs is the runtime they share. Holds: memory
that kernels may write to lies between guards and is NaN beforehand; inputs are the same afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from unittest.mock import patch

import torch
from kernel_harness import GUARD, bound_of, fenced, same_bits
from lamina.codegen.cuda.runtime_text import runtime_text
from lamina.ir.graph import Graph
from lamina.runtime import device_program
from lamina.runtime.cuda.kernels import CudaKernels
from lamina.runtime.device_program import DeviceExecutable
from lamina.schedule.program import Launch, Program
from torch import Tensor

FURTHER = ("groups.hpp", "product.hpp", "scatter.hpp")
_FIRST_OF_PROGRAM = "\nusing Real ="


def kernel_text(program: Program) -> str:
    """The part of a source after the runtime."""
    return program.source[program.source.index(_FIRST_OF_PROGRAM) + 1 :]


def build_together(programs: Sequence[Program], name: str) -> list[DeviceExecutable]:
    """The programs as one shared object, or two: those that may fuse products and sums, and those that may not."""
    executables: dict[int, DeviceExecutable] = {}
    for fused in (True, False):
        chosen = [n for n, program in enumerate(programs) if program.fused == fused]
        executables.update(zip(chosen, _build([programs[n] for n in chosen], name, fused), strict=True))
    return [executables[n] for n in range(len(programs))]


def _build(programs: Sequence[Program], name: str, fused: bool) -> list[DeviceExecutable]:
    if not programs:
        return []
    parts, names = [runtime_text(FURTHER)], []
    renamed = []
    for number, program in enumerate(programs):
        own = [launch.name for launch in program.launches if launch.kind == "kernel"]
        text = kernel_text(program)
        for each in own:
            text = re.sub(rf"\b{each}\b", f"program_{number}_{each}", text)
        names += [f"program_{number}_{each}" for each in own]
        parts.append(f"namespace program_{number} {{\n{text}\n}}\nusing namespace program_{number};\n")
        renamed.append(replace(program, launches=tuple(_renamed(launch, number) for launch in program.launches)))
    kernels = CudaKernels("\n".join(parts), names, name, fused)
    return [DeviceExecutable(program, kernels) for program in renamed]


def _renamed(launch: Launch, number: int) -> Launch:
    return replace(launch, name=f"program_{number}_{launch.name}") if launch.kind == "kernel" else launch


def run(executable: DeviceExecutable, graph: Graph, tensors: Mapping[str, Tensor], threads: int = 1) -> dict[str, Tensor]:
    """The outputs. AssertionError: a kernel wrote where it must not."""
    own: list[Tensor] = []
    read: list[Tensor] = []
    given = []
    for name in executable.inputs:
        tensor = tensors[name]
        given.append(fenced(tensor.shape, tensor.dtype, read).copy_(tensor) if tensor.is_contiguous() else tensor)
    copies = [tensor.clone() for tensor in (*read, *given)]

    def between_guards(shape: int | tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        return fenced((shape,) if isinstance(shape, int) else shape, dtype, own)

    with patch.object(device_program, "empty", between_guards):
        outputs = executable.prepare(given, bound_of(graph, tensors))(given)
    for tensor, copy in zip((*read, *given), copies, strict=True):
        assert same_bits(tensor, copy), "a kernel wrote to an input or around it"
    for whole in own:
        fresh: list[Tensor] = []
        fenced((0,), whole.dtype, fresh)
        poisoned = fresh[0][:GUARD]
        assert same_bits(whole[:GUARD], poisoned) and same_bits(whole[-GUARD:], poisoned), "a kernel wrote beyond its tensors"
    return dict(zip(executable.outputs, outputs, strict=True))
