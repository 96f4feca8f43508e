"""The arguments of a call: who is who, and whether each fits.

In: what the user passed. Out: the tensors in the layer's order, and the call's signature. Holds: every complaint names the
tensor, what was expected and what was found; nothing is converted behind the user's back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..errors import ArgumentError
from ..ir.tensors import TensorSpec, leading_place
from ..runtime.execute import FLOATING, STORAGE_DTYPES, TORCH_DTYPES, collapsed_strides
from ..schedule.program import InputSignature, Signature
from .interface import Interface

_ACCEPTED = {"float": FLOATING, "complex": ("c64", "c128")}


def arrange(interface: Interface, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """All arguments in declared order. Errors: ArgumentError where one is missing, unknown or given twice."""
    if not named and len(positional) == len(interface.inputs):
        return tuple(positional)
    name = interface.name
    listed = ", ".join(interface.names)
    count = f"{len(interface.inputs)} tensor{'' if len(interface.inputs) == 1 else 's'}"
    if len(positional) > len(interface.inputs):
        raise ArgumentError(f"{name}: expected {count} ({listed}), found {len(positional)}")
    arranged = dict(zip(interface.names, positional, strict=False))
    for key, value in named.items():
        if key not in interface.names:
            raise ArgumentError(f"{name}: no tensor is called {key}; expected {count} ({listed})")
        if key in arranged:
            raise ArgumentError(f"{name}: {key} is given twice, by position and by name")
        arranged[key] = value
    missing = [each for each in interface.names if each not in arranged]
    if missing:
        raise ArgumentError(f"{name}: expected {count} ({listed}), found {len(arranged)}; missing: {', '.join(missing)}")
    return tuple(arranged[each] for each in interface.names)


def check(interface: Interface, tensors: Sequence[Any]) -> None:
    """Kind, dtype, layout and device of each argument. Errors: ArgumentError."""
    first: tuple[str, torch.device] | None = None
    for spec, tensor in zip(interface.inputs, tensors, strict=True):
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"{spec.name}: expected a torch.Tensor, found {type(tensor).__name__}")
        _check_dtype(spec, tensor.dtype)
        if tensor.layout != torch.strided:
            raise ArgumentError(f"{spec.name}: expected a dense tensor, found layout {tensor.layout}; use {spec.name}.to_dense()")
        if first is None:
            first = (spec.name, tensor.device)
        elif tensor.device != first[1]:
            raise ArgumentError(f"{spec.name}: expected device {first[1]}, that of {first[0]}, found {tensor.device}")


def _check_dtype(spec: TensorSpec, found: torch.dtype) -> None:
    accepted = _ACCEPTED.get(spec.dtype, (spec.dtype,))
    if STORAGE_DTYPES.get(found) not in accepted:
        names = [str(TORCH_DTYPES[each]) for each in accepted]
        expected = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        raise ArgumentError(f"{spec.name}: expected dtype {expected}, found {found}")


def call_dtype(specs: Sequence[TensorSpec], dtypes: Sequence[torch.dtype]) -> str:
    """The call's floating dtype: that of the `in` tensors declared float or complex, promoted; without any, of the parameters.

    Without any of either it is torch's default.
    """
    for roles in (("in",), ("param", "buffer")):
        found = [
            _real(dtype)
            for spec, dtype in zip(specs, dtypes, strict=True)
            if spec.role in roles and spec.dtype in ("float", "complex")
        ]
        if found:
            promoted = found[0]
            for dtype in found[1:]:
                promoted = torch.promote_types(promoted, dtype)
            return STORAGE_DTYPES[promoted]
    return STORAGE_DTYPES[torch.get_default_dtype()]


def _real(dtype: torch.dtype) -> torch.dtype:
    return {torch.complex64: torch.float32, torch.complex128: torch.float64}.get(dtype, dtype)


# Rows this long (in elements) are worth reading where they are, however far apart and in whatever order.
_LONG_ROW = 16


def layout_of(spec: TensorSpec, tensor: Tensor) -> str | None:
    """The layout a tensor is read in (see `InputSignature`); None where it has to be copied first.

    Rows apart but each contiguous (a slice of a wider tensor) are read where they are, and so is a single value at every index (the
    gradient of a sum). Any other order is copied: reading along the wrong dimension costs more than the copy.
    """
    if tensor.is_contiguous():
        return "contiguous"
    shape, strides = tensor.shape, tensor.stride()
    if all(stride == 0 or length == 1 for stride, length in zip(strides, shape, strict=True)):
        return "expanded"
    place = leading_place(spec)
    leading = 0 if place is None else tensor.dim() - len(spec.entries) + 1
    if strides[-1] != 1 or (shape[-1] < _LONG_ROW and any(first < second for first, second in pairwise(strides))):
        return None
    collapsed = collapsed_strides(shape, strides, place, leading)
    # where `...` is the last entry, and its last dimension is of length 1, the rows may be apart after all
    return "rows" if collapsed is not None and collapsed[-1] == 1 else None


def signature(specs: Sequence[TensorSpec], tensors: Sequence[Tensor], dtype: str) -> Signature:
    """The signature of tensors that belong to `specs`; those to be copied count as contiguous."""
    return Signature(
        tuple(
            InputSignature(spec.name, STORAGE_DTYPES[tensor.dtype], layout_of(spec, tensor) or "contiguous")
            for spec, tensor in zip(specs, tensors, strict=True)
        ),
        dtype,
    )


def default_signature(specs: Sequence[TensorSpec], dtype: str = "f32") -> Signature:
    """Contiguous tensors, every floating one of the dtype: what sources are shown and saved for, before any call."""
    stored = {"float": dtype, "complex": "c128" if dtype == "f64" else "c64", "compute": "f64" if dtype == "f64" else "f32"}
    return Signature(tuple(InputSignature(spec.name, stored.get(spec.dtype, spec.dtype)) for spec in specs), dtype)
