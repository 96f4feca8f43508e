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
    stored = stored_axes(step.result)
    sums = (*stored_axes(given.right), *stored_axes(given.left))
    groups: Sequence[tuple[Sequence[str], Sequence[str], tuple[Access, ...]]] = (
        (step.batch, stored, (left, right, result)),
        (given.m, stored, (left, result)),
        (given.n, stored, (right, result)),
        (step.k, sums, (left, right)),
    )
    texts = []
    for axes, order, accesses in groups:
        ordered = sorted(axes, key=lambda axis: order.index(axis) if axis in order else len(order))
        loops = _loops(ordered, accesses, lengths) or [(sympy.Integer(1), (sympy.Integer(0),) * len(accesses))]
        texts.append(", ".join(f"{{{', '.join(text(each) for each in (length, *steps))}}}" for length, steps in loops))
    return texts[0], texts[1], texts[2], texts[3]


def _loops(axes: Sequence[str], accesses: Sequence[Access], lengths: Mapping[str, Length]) -> list[tuple[Length, _Step]]:
    loops: list[tuple[Length, _Step]] = []
    for axis in axes:
        length, steps = lengths[axis], tuple(each.stride(axis) for each in accesses)
        if loops and all(sympy.expand(outer - inner * length) == 0 for outer, inner in zip(loops[-1][1], steps, strict=True)):
            loops[-1] = (loops[-1][0] * length, steps)
        else:
            loops.append((length, steps))
    return loops
