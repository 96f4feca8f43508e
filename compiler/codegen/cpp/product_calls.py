"""The call of a matrix product: its loops, and the steps they take in operands and result.

In: a product step, the buffers' strides. Out: which operand is broadcast (left) and which is read in vectors (right), and for each
group of axes its loops as C++ text. Holds: adjacent loops that every tensor walks as one are one loop; the loops of a group come in
the order in which the result (for sums: the right operand) stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sympy

from ...lang.checked import Length
from ...schedule.steps import Buffer, ProductStep
from ..access import Access, access
from ..products import operands, stored_axes

_Step = tuple[Length, ...]


def loop_texts(
    step: ProductStep, buffers: Mapping[str, Buffer], lengths: Mapping[str, Length], text: Callable[[Length], str]
) -> tuple[str, str, str, str]:
    """The loops of batch, m, n and k: `{length, step, step, ..}` each, as the arguments of lamina::product want them."""
    given = operands(step)
    left, right, result = (access(place, buffers, lengths) for place in (given.left, given.right, step.result))
    batch, m, n, k = _ordered(step)
    return (
        _loops_text(batch, (left, right, result), lengths, text),
        _loops_text(m, (left, result), lengths, text),
        _loops_text(n, (right, result), lengths, text),
        _loops_text(k, (left, right), lengths, text),
    )


def right_loop_texts(
    step: ProductStep, buffers: Mapping[str, Buffer], lengths: Mapping[str, Length], text: Callable[[Length], str]
) -> tuple[str, str, str]:
    """The loops of batch, n and k in the same order with steps in the right operand alone, as lamina::pack_right wants them."""
    right = access(operands(step).right, buffers, lengths)
    batch, _, n, k = _ordered(step)
    return (
        _loops_text(batch, (right,), lengths, text),
        _loops_text(n, (right,), lengths, text),
        _loops_text(k, (right,), lengths, text),
    )


def _ordered(step: ProductStep) -> tuple[tuple[str, ...], ...]:
    """The axes of batch, m, n and k, each in the order of its loops."""
    given = operands(step)
    stored, sums = stored_axes(step.result), (*stored_axes(given.right), *stored_axes(given.left))

    def ordered(axes: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(axes, key=lambda axis: order.index(axis) if axis in order else len(order)))

    return ordered(step.batch, stored), ordered(given.m, stored), ordered(given.n, stored), ordered(step.k, sums)


def _loops_text(
    axes: Sequence[str], accesses: Sequence[Access], lengths: Mapping[str, Length], text: Callable[[Length], str]
) -> str:
    loops = _loops(axes, accesses, lengths) or [(sympy.Integer(1), (sympy.Integer(0),) * len(accesses))]
    return ", ".join(f"{{{', '.join(text(each) for each in (length, *steps))}}}" for length, steps in loops)


def _loops(axes: Sequence[str], accesses: Sequence[Access], lengths: Mapping[str, Length]) -> list[tuple[Length, _Step]]:
    loops: list[tuple[Length, _Step]] = []
    for axis in axes:
        length, steps = lengths[axis], tuple(each.stride(axis) for each in accesses)
        if loops and all(sympy.expand(outer - inner * length) == 0 for outer, inner in zip(loops[-1][1], steps, strict=True)):
            loops[-1] = (loops[-1][0] * length, steps)
        else:
            loops.append((length, steps))
    return loops
