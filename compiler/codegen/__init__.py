"""From a schedule to source: what all targets share (accesses, loops, names, lengths), and a folder for each target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..passes.pipeline import finish
from ..schedule.partition import schedule

if TYPE_CHECKING:
    from ..ir.graph import Graph
    from ..schedule.program import Program, Signature
    from ..schedule.steps import Schedule

TARGETS = ("cpp", "triton", "cuda")  # what programs are generated for
SOURCE_NAMES = {"cpp": "cpp", "triton": "py", "cuda": "cu"}  # how the names of their sources end


def generate(graph: Graph, signature: Signature, direction: str = "forward", target: str = "cpp") -> Program:
    """The program of a math-level graph for tensors of this signature. Raises schedule.partition.NotLowered."""
    if target == "triton":
        from .triton.program import generate as generate_triton

        return generate_triton(graph, signature, direction)
    if target == "cuda":
        from .cuda.program import generate as generate_cuda

        return generate_cuda(graph, signature, direction)
    from .cpp.program import generate as generate_cpp

    return generate_cpp(graph, signature, direction)


def plan_of(graph: Graph, signature: Signature, target: str = "cpp") -> Schedule:
    """The plan that a target's program is made from. Raises schedule.partition.NotLowered."""
    return schedule(finish(graph), signature, tiled=target == "cpp")
