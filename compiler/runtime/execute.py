"""What runs: executables with one interface, whatever made them.

In: tensors of a call and the lengths solved from their shapes. Out: the output tensors. Holds: an executable is made for one
signature (storage dtypes and layouts) and serves every length; it never changes its inputs; what it needs for one set of shapes
is worked out once, by `prepare`, and a prepared call may be used by several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ..schedule.program import Signature

if TYPE_CHECKING:
    from ..ir.graph import Graph

TORCH_DTYPES: dict[str, torch.dtype] = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "bool": torch.bool,
    "c64": torch.complex64,
    "c128": torch.complex128,
}
STORAGE_DTYPES: dict[torch.dtype, str] = {dtype: name for name, dtype in TORCH_DTYPES.items()}
FLOATING = ("f64", "f32", "f16", "bf16")

Call = Callable[[Sequence[Tensor]], list[Tensor]]


def storage_dtype(declared: str, signature: Signature) -> str:
    """The storage dtype of an output declared with `declared` (a storage dtype, "float", "complex" or "compute")."""
    if declared == "float":
        return signature.dtype
    if declared == "complex":
        return "c128" if signature.dtype == "f64" else "c64"
    if declared == "compute":
        return signature.compute
    return declared


@dataclass(frozen=True)
class Bound:
    """Lengths at a call: `values`, axis or size name -> length ("..." too); `leading`, the dimensions that `...` stands for."""

    values: Mapping[str, int]
    leading: tuple[int, ...]


class Executable(Protocol):
    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the tensors it takes, in order."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the tensors it gives, in order."""
        ...

    def prepare(self, tensors: Sequence[Tensor], bound: Bound) -> Call:
        """A call for tensors of the same shapes, strides and dtypes as these, in the order of `inputs`."""
        ...

    def launcher(self, tensors: Sequence[Tensor], bound: Bound) -> tuple[Callable[[], None], list[Tensor]]:
        """A function that runs on these very tensors into outputs allocated once, and the outputs."""
        ...


class ReferenceExecutable:
    """Runs a graph by the interpreter: float64 inside, the outputs rounded to their dtypes. For debugging and as the oracle."""

    def __init__(self, graph: Graph, signature: Signature) -> None:
        self.graph = graph
        self.signature = signature
        self.inputs = tuple(spec.name for spec in graph.inputs)
        self.outputs = tuple(output.spec.name for output in graph.outputs)
        self.dtypes = [TORCH_DTYPES[storage_dtype(output.spec.dtype, signature)] for output in graph.outputs]

    def run(self, tensors: Sequence[Tensor], bound: Bound) -> list[Tensor]:
        from ..ir.interpret import interpret

        symbols = {symbol.name for axis in self.graph.axes for symbol in axis.length.free_symbols}
        known = {name: value for name, value in bound.values.items() if name in symbols}
        arrays = {name: to_array(tensor) for name, tensor in zip(self.inputs, tensors, strict=True)}
        results = interpret(self.graph, arrays, known)
        return [
            torch.from_numpy(results[name]).to(dtype).contiguous() for name, dtype in zip(self.outputs, self.dtypes, strict=True)
        ]

    def prepare(self, tensors: Sequence[Tensor], bound: Bound) -> Call:
        return lambda given: self.run(given, bound)

    def launcher(self, tensors: Sequence[Tensor], bound: Bound) -> tuple[Callable[[], None], list[Tensor]]:
        outputs = self.run(tensors, bound)

        def run() -> None:
            for target, result in zip(outputs, self.run(tensors, bound), strict=True):
                target.copy_(result)

        return run, outputs


def to_array(tensor: Tensor) -> Any:
    """The tensor's values as numpy has them: float64, complex128, int64 or bool."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype.is_complex:
        return tensor.to(torch.complex128).numpy()
    if tensor.dtype.is_floating_point:
        return tensor.to(torch.float64).numpy()
    return tensor.numpy()


def collapsed_strides(shape: Sequence[int], strides: Sequence[int], leading_at: int | None, leading: int) -> tuple[int, ...] | None:
    """Element strides with the `leading` dimensions from `leading_at` on (those of `...`) as one; None if they are not uniform."""
    if leading_at is None:
        return tuple(strides)
    if 0 in shape[leading_at : leading_at + leading]:  # no element is read
        return (*strides[:leading_at], 0, *strides[leading_at + leading :])
    collapsed: int | None = None
    reach = 0
    for dimension in reversed(range(leading_at, leading_at + leading)):
        if shape[dimension] == 1:
            continue
        if collapsed is None:
            collapsed, reach = strides[dimension], strides[dimension] * shape[dimension]
        elif strides[dimension] != reach:
            return None
        else:
            reach = strides[dimension] * shape[dimension]
    return (*strides[:leading_at], collapsed or 0, *strides[leading_at + leading :])
