"""The call of a sum over windows: the steps that its loops take in data, weight and result.

In: a window step, the buffers' strides. Out: the fields of lamina::windows as C++ text, and what is to be added to the addresses.
Holds: a window that runs against its rows is walked from its other end, so that rows and window step the same way in the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy

from ...lang.checked import Length
from ...schedule.steps import Buffer, WindowStep
from ..access import access

_ZERO, _ONE = sympy.Integer(0), sympy.Integer(1)


@dataclass(frozen=True)
class WindowCall:
    """`outer`, `others`: loops as C++ text; `fields`: the other fields of lamina::windows in order; offsets of the addresses."""

    outer: tuple[str, ...]
    others: tuple[str, ...]
    fields: tuple[str, ...]
    data: Length
    weight: Length
    result: Length


def window_call(
    step: WindowStep, buffers: Mapping[str, Buffer], lengths: Mapping[str, Length], text: Callable[[Length], str]
) -> WindowCall:
    roles = step.roles
    data, weight, result = (access(place, buffers, lengths) for place in (step.data, step.weight, step.result))
    offsets = [data.offset, weight.offset, result.offset]

    def length(axis: str | None) -> Length:
        return _ONE if axis is None else lengths[axis]

    def steps(axis: str | None) -> list[Length]:
        return [_ZERO, _ZERO, _ZERO] if axis is None else [each.stride(axis) for each in (data, weight, result)]

    window = steps(roles.window)
    if roles.reversed:
        offsets = [offset + (length(roles.window) - 1) * each for offset, each in zip(offsets, window, strict=True)]
        window = [-each for each in window]
    row, tap, column = steps(roles.row), steps(roles.tap), steps(roles.column)
    fields = (
        (length(roles.row), *row),
        (sympy.Integer(roles.dilation), length(roles.window), *window[1:]),
        (length(roles.tap), *tap),
        (length(roles.column), column[2]),
    )
    return WindowCall(
        tuple(f"{{{', '.join(map(text, (lengths[axis], *steps(axis))))}}}" for axis in step.outer) or ("{1, 0, 0, 0}",),
        tuple(f"{{{', '.join(map(text, (lengths[axis], *steps(axis)[:2])))}}}" for axis in step.others) or ("{1, 0, 0}",),
        tuple(", ".join(text(sympy.expand(each)) for each in group) for group in fields),
        *offsets,
    )
