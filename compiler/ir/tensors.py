"""Stored tensors: what the graph, its programs and their callers have in common.

In: nothing; this module only defines frozen values. Out: `TensorSpec`; `PARTS`, how complex tensors are seen as real.
Holds: no symbolic algebra is imported for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..lang.entries import ELLIPSIS, Entry


@dataclass(frozen=True)
class TensorSpec:
    """A stored tensor: its name, role (in, param, buffer, saved, cotangent, out, gradient), entries and dtype.

    dtype is a storage dtype, "float"/"complex" (the call's), or "compute" (the kernel's own precision, for saved values).
    """

    name: str
    role: str
    entries: tuple[Entry, ...]
    dtype: str


# The axis along which a complex tensor, seen as the real numbers it is stored as, holds the real and the imaginary part.
PARTS = "re.im"


def in_parts(spec: TensorSpec) -> bool:
    """Whether a complex tensor is seen as real numbers: its last entry is then the axis of the parts, and no stored dimension."""
    return bool(spec.entries) and spec.entries[-1].axes == (PARTS,)


def stored_entries(spec: TensorSpec) -> tuple[Entry, ...]:
    """The stored dimensions of a tensor, as its caller sees them."""
    return spec.entries[:-1] if in_parts(spec) else spec.entries


def leading_place(spec: TensorSpec) -> int | None:
    """Where `...` stands among the entries of a tensor."""
    return next((place for place, entry in enumerate(spec.entries) if entry.axes == (ELLIPSIS,)), None)


def gradient_name(name: str) -> str:
    """The name of a tensor's gradient, and of a result's cotangent."""
    return f"grad_{name}"
