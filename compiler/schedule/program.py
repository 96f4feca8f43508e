"""The program: one generated translation unit and what is needed to call it.

In: nothing; this module defines frozen values. Out: `Signature` (what a program is generated for) and `Program` (what generation
gives). Holds: both are plain text and numbers, so that a program can be saved as JSON and run without the compiler; every length
is a Python expression in `n`, the dictionary from axis or size name to its length at the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STORAGE_DTYPES = ("f64", "f32", "f16", "bf16", "i64", "i32", "bool", "c64", "c128")
STATUS_WORDS = 4
REAL_COUNTERPARTS = {"c64": "f32", "c128": "f64"}  # what the parts of a complex number are
LAYOUTS = ("contiguous", "rows", "strided", "expanded")


@dataclass(frozen=True)
class InputSignature:
    """How one input of the graph is stored at the call.

    `layout`: "contiguous", row-major in the stored shape; "rows", any element strides, passed at run time, but 1 in the last
    dimension; "strided", any at all; "expanded", one element at every index. The dimensions of `...` are always one: its length is
    the product, and over them "rows" and "strided" must be uniformly strided.
    """

    name: str
    dtype: str
    layout: str = "contiguous"


@dataclass(frozen=True)
class Signature:
    """What a program is generated for: every graph input in order, and the dtype of "float" outputs (f64 f32 f16 bf16)."""

    inputs: tuple[InputSignature, ...]
    dtype: str

    def input(self, name: str) -> InputSignature:
        for entry in self.inputs:
            if entry.name == name:
                return entry
        raise KeyError(name)

    @property
    def compute(self) -> str:
        """The precision that reals are computed in: f64 where any tensor is f64 or c128, else f32."""
        double = self.dtype == "f64" or any(entry.dtype in ("f64", "c128") for entry in self.inputs)
        return "f64" if double else "f32"

    def to_json(self) -> dict[str, Any]:
        return {"inputs": [[entry.name, entry.dtype, entry.layout] for entry in self.inputs], "dtype": self.dtype}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Signature:
        return cls(tuple(InputSignature(*entry) for entry in value["inputs"]), value["dtype"])


@dataclass(frozen=True)
class Argument:
    """One tensor or scratch array handed to the program.

    `role`: "input", "output", "temporary", or "status" (see `Program`). `dtype`: a storage dtype, or "bytes". `shape`: the stored
    shape, one Python expression over `n` (and, for temporaries, `threads`) for each dimension, e.g. "n['G'] * n['C']"; `...` is one
    dimension, of length "n['...']". `same_as`: the output that this one is one tensor with.
    """

    name: str
    role: str
    dtype: str
    shape: tuple[str, ...]
    same_as: str | None = None


@dataclass(frozen=True)
class Launch:
    """One call that a program for a device makes, in order.

    `kind`: "kernel", a function of the source, or "torch", a function of `runtime/device_calls.py` that a library computes.
    `grid`: how many programs (blocks) along up to three dimensions; where there are none, nothing is launched. `constants`: what
    the kernel is specialised for at the call, in order: each expression may use those before it, and so may the grid. `arguments`:
    in the order of the function's parameters; a buffer's name, or, after "=", an integer expression. `warps`: how many a program
    has. All expressions are Python over `n`, `stride` (input name -> element strides), `padded` (the least power of two from a
    number on) and `blocks` (a quotient rounded up).
    """

    kind: str
    name: str
    grid: tuple[str, ...]
    constants: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    warps: str = "4"

    def to_json(self) -> list[Any]:
        constants = [list(each) for each in self.constants]
        return [self.kind, self.name, list(self.grid), constants, list(self.arguments), self.warps]

    @classmethod
    def from_json(cls, value: list[Any]) -> Launch:
        kind, name, grid, constants, arguments, warps = value
        return cls(kind, name, tuple(grid), tuple((each[0], each[1]) for each in constants), tuple(arguments), warps)


@dataclass(frozen=True)
class Program:
    """A complete translation unit with one entry point:

        extern "C" void SYMBOL(void* const* data, const int64_t* integers, int64_t threads)

    `data`: the arguments' addresses, in the order of `arguments`: the graph's inputs, then the outputs, then temporaries.
    `integers`: the values of the expressions `integers` over `n`, then one element stride for each (input, dimension) of
    `strides`, `...` counting as one dimension. `threads`: how many may work on it.
    `report`: (title, text) pairs for whoever reads the report. `checks`: what indices are checked at run time; where there are any,
    the last argument is the status: 0, or, where an index left its dimension and the program stopped short, the number of its check
    (from 1), the smallest and the largest index and the dimension's length. `ir.outside.outside_message` says it in words.

    A program for a device has no entry point: `launches` lists the calls of its kernels, `symbol` is empty.
    `fused`: whether its compiler may fuse products with sums.
    """

    name: str
    direction: str
    target: str
    source: str
    symbol: str
    arguments: tuple[Argument, ...]
    integers: tuple[str, ...]
    strides: tuple[tuple[str, int], ...]
    report: tuple[tuple[str, str], ...]
    checks: tuple[str, ...] = ()
    launches: tuple[Launch, ...] = ()
    fused: bool = True

    def with_role(self, role: str) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.role == role)

    def shared_outputs(self) -> list[tuple[int, int]]:
        """The outputs that are one tensor with another: their numbers, and those of the others."""
        outputs = self.with_role("output")
        names = [argument.name for argument in outputs]
        return [(number, names.index(each.same_as)) for number, each in enumerate(outputs) if each.same_as is not None]

    def to_json(self) -> dict[str, Any]:
        """The program as JSON values; `from_json` gives it back."""
        return {
            "name": self.name,
            "direction": self.direction,
            "target": self.target,
            "source": self.source,
            "symbol": self.symbol,
            "arguments": [[a.name, a.role, a.dtype, list(a.shape), a.same_as] for a in self.arguments],
            "integers": list(self.integers),
            "strides": [[name, dimension] for name, dimension in self.strides],
            "report": [[title, text] for title, text in self.report],
            "checks": list(self.checks),
            "fused": self.fused,
            "launches": [launch.to_json() for launch in self.launches],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Program:
        return cls(
            name=value["name"],
            direction=value["direction"],
            target=value["target"],
            source=value["source"],
            symbol=value["symbol"],
            arguments=tuple(
                Argument(name, role, dtype, tuple(shape), same_as) for name, role, dtype, shape, same_as in value["arguments"]
            ),
            integers=tuple(value["integers"]),
            strides=tuple((name, dimension) for name, dimension in value["strides"]),
            report=tuple((title, text) for title, text in value["report"]),
            checks=tuple(value["checks"]),
            fused=value.get("fused", True),
            launches=tuple(Launch.from_json(each) for each in value.get("launches", ())),
        )
