"""Generated Triton programs, interpreted on the CPU, beside the interpreter of graphs.

In: a graph and its tensors. Out: the results of its kernels. Holds: results are filled with NaN beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from kernel_harness import bound_of, poison
from lamina.codegen.triton.program import generate
from lamina.ir.graph import Graph
from lamina.runtime import device_program
from lamina.runtime.device_program import DeviceExecutable
from lamina.runtime.triton_kernels import TritonKernels
from lamina.schedule.program import Program, Signature
from torch import Tensor


def poisoned(shape, dtype, device):
    tensor = torch.empty(shape, dtype=dtype, device=device)
    poison(tensor)
    return tensor


def executable(program: Program) -> DeviceExecutable:
    return DeviceExecutable(program, TritonKernels(program.source, program.name, True))


def run(graph: Graph, signature: Signature, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of the graph's kernels."""
    global LAST
    program = generate(graph, signature)
    LAST = program.source
    found = executable(program)
    given = [tensors[name] for name in found.inputs]
    copies = [tensor.clone() for tensor in given]
    before = device_program.empty
    device_program.empty = poisoned
    try:
        outputs = found.prepare(given, bound_of(graph, tensors))(given)
    finally:
        device_program.empty = before
    for tensor, copy in zip(given, copies, strict=True):
        assert torch.equal(tensor, copy) or bool((tensor != tensor).any()), "a kernel wrote to an input"
    return dict(zip(found.outputs, outputs, strict=True))
