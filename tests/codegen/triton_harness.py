"""Generated Triton programs, interpreted on the CPU, beside the interpreter of graphs.

In: a case of `kernel_harness`, or a graph and its tensors. Out: the results of its kernels, compared. Holds: results and
temporaries are filled with NaN beforehand, and inputs are what they were afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from unittest.mock import patch

import numpy
import torch
from kernel_harness import (
    TITLES,
    Case,
    Prepared,
    _normal,
    arrays_shape,
    bound_of,
    compare,
    draw,
    gradient_dtype,
    graphs_of,
    laid_out,
    oracle,
    poison,
    same_bits,
    signature_of,
)
from lamina.codegen import generate
from lamina.ir.graph import Graph
from lamina.ir.interpret import interpret
from lamina.runtime import device_program
from lamina.runtime.device_program import DeviceExecutable
from lamina.runtime.execute import TORCH_DTYPES, storage_dtype, to_array
from lamina.runtime.triton_kernels import TritonKernels
from lamina.schedule.program import Program, Signature
from torch import Tensor


def poisoned(shape, dtype, device):
    tensor = torch.empty(shape, dtype=dtype, device=device)
    poison(tensor)
    return tensor


def run_program(program: Program, graph: Graph, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of a program's kernels."""
    found = DeviceExecutable(program, TritonKernels(program.source, program.name, program.fused))
    given = [tensors[name] for name in found.inputs]
    copies = [tensor.clone() for tensor in given]
    with patch.object(device_program, "empty", poisoned):
        outputs = found.prepare(given, bound_of(graph, tensors))(given)
    for tensor, copy in zip(given, copies, strict=True):
        assert same_bits(tensor, copy), "a kernel wrote to an input"
    return dict(zip(found.outputs, outputs, strict=True))


def run(graph: Graph, signature: Signature, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of the graph's kernels."""
    return run_program(generate(graph, signature, "forward", "triton"), graph, tensors)


def check(case: Case, dtype: str, orders: int = 2) -> None:
    """Forward, backward and second backward programs of a case; AssertionError says which result is off."""
    references = oracle(case)
    drawn = draw(case, references[0])
    generator = numpy.random.default_rng(1)
    tensors: dict[str, Tensor] = {}
    arrays: dict[str, numpy.ndarray] = {}
    for title, graph, reference in list(zip(TITLES, graphs_of(case), references, strict=False))[: orders + 1]:
        signature = signature_of(graph, dtype, tuple(case.strided))
        for spec, given in zip(graph.inputs, signature.inputs, strict=True):
            if spec.name not in tensors:
                stored = TORCH_DTYPES[given.dtype]
                if spec.name in drawn:
                    value = drawn[spec.name]
                else:
                    value = _normal(generator, arrays_shape(tensors, arrays, spec.name), given.dtype)
                tensor = torch.from_numpy(numpy.ascontiguousarray(value)).reshape(value.shape).to(stored)
                tensors[spec.name] = laid_out(tensor, case.strided[spec.name]) if spec.name in case.strided else tensor
            arrays[spec.name] = to_array(tensors[spec.name])
        program = generate(graph, signature, "forward", "triton")
        found = run_program(program, graph, tensors)
        expected = interpret(reference, arrays)
        each = Prepared(title, graph, reference, signature, program)
        for output in graph.outputs:
            name = output.spec.name
            if name in expected:
                stored_as = storage_dtype(gradient_dtype(each, output.spec), signature)
                compare(f"{title} {dtype}, {name}", found[name], expected[name], signature, stored_as, case.growth)
            tensors.setdefault(name, found[name])
