"""The report of a layer: what was decided, what is certain, what was estimated.

In: nothing; this module defines frozen values. Out: `Report`. Holds: a report is plain text and numbers; `to_json` gives JSON
values, `str` the text that people read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the layer or of a program. `shape`: its entries as declared (`G*C`), or lengths; dtype as in the language."""

    name: str
    role: str
    shape: tuple[str, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(self.shape)}]: {self.dtype}"


@dataclass(frozen=True)
class Kernel:
    """A loop nest, a matrix product, a scatter or a check of indices.

    `loops`: its axes, outermost first; `stages`: how often the innermost loops are run; `computes`: the tensors it writes;
    `summary`: all of it in words.
    """

    name: str
    kind: str  # "loops", "product", "windows", "scan", "scatter", "transform" or "check"
    loops: tuple[str, ...]
    stages: int
    computes: tuple[str, ...]
    summary: str


@dataclass(frozen=True)
class Function:
    """A scalar function that a program calls, and its largest error in units in the last place of the result (ulp)."""

    name: str
    ulp: float


@dataclass(frozen=True)
class ProgramReport:
    """One program.

    `elements`: the largest tensor it reads or writes, which the estimates refer to; `bytes_per_element`: what it reads and writes,
    and `operations_per_element`: its scalar operations (None where the graph is not at hand), for each element of that tensor, with
    every unknown length taken as large.
    """

    direction: str
    target: str
    compute: str
    inputs: tuple[StoredTensor, ...]
    outputs: tuple[StoredTensor, ...]
    temporaries: tuple[StoredTensor, ...]
    layouts: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    notes: tuple[str, ...]
    functions: tuple[Function, ...]
    elements: str
    bytes_per_element: float
    operations_per_element: float | None


@dataclass(frozen=True)
class Licence:
    """An `accuracy` statement: the functions it names (all, where none is), and the bound.

    `called`: those of them that the layer calls and that are not exact: what the licence could be used for.
    """

    functions: tuple[str, ...]
    unit: str
    value: float
    called: tuple[str, ...] = ()

    def __str__(self) -> str:
        bound = f"{self.value:g} ulp" if self.unit == "ulp" else f"{self.unit} {self.value:g}"
        return f"{', '.join(self.functions) or 'every function'}: {bound}"


@dataclass(frozen=True)
class Fit:
    """Parameters chosen together so that the layer is `function` on [low, high]; `error`: the largest found.

    `divisor`: whatever the layer divides by is at least so large in magnitude on the whole interval, by proof; None where it
    divides by nothing that varies.
    """

    parameters: tuple[str, ...]
    function: str
    low: float
    high: float
    error: float
    divisor: float | None = None


@dataclass(frozen=True)
class Report:
    """`saved`: what the forward pass of a training step stores for the backward pass, besides the layer's own tensors.

    `approximations`: those used in place of functions, within the licences; none is used by this version.
    """

    layer: str
    text: str
    sizes: tuple[tuple[str, int | None], ...]
    tensors: tuple[StoredTensor, ...]
    requirements: tuple[str, ...]
    programs: tuple[ProgramReport, ...]
    saved: tuple[StoredTensor, ...]
    licences: tuple[Licence, ...]
    approximations: tuple[str, ...]
    fit: Fit | None
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, field by field."""
        return {**asdict(self), "sizes": dict(self.sizes)}

    def __str__(self) -> str:
        from .render import text

        return text(self)
