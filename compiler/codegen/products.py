"""Which operand of a matrix product is on which side, for every target.

In: a product step. Out: `Operands`, its rows, columns and operands.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..schedule.steps import Place, ProductStep


@dataclass(frozen=True)
class Operands:
    """A product step with the operand that varies along the result's innermost axis on the right."""

    m: tuple[str, ...]
    n: tuple[str, ...]
    left: Place
    right: Place


def operands(step: ProductStep) -> Operands:
    innermost = next((axis for axis in reversed(stored_axes(step.result)) if axis in (*step.m, *step.n)), None)
    if innermost in step.m:
        return Operands(step.n, step.m, step.right, step.left)
    return Operands(step.m, step.n, step.left, step.right)


def stored_axes(place: Place) -> tuple[str, ...]:
    """The axes of a place in the order that its dimensions have them."""
    return tuple(dict.fromkeys(axis for index in place.affine for axis in index.axes))
