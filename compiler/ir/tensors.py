"""Stored tensors: what the graph, its programs and their callers have in common.

In: nothing; this module only defines frozen values. Out: `TensorSpec`. Holds: no symbolic algebra is imported for it.
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


def leading_place(spec: TensorSpec) -> int | None:
    """Where `...` stands among the entries of a tensor."""
    return next((place for place, entry in enumerate(spec.entries) if entry.axes == (ELLIPSIS,)), None)


def gradient_name(name: str) -> str:
    """The name of a tensor's gradient, and of a result's cotangent."""
    return f"grad_{name}"
