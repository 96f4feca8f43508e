"""Right operands of products that many tiles share: packed once, not once a tile.

In: a schedule and a tile loop of it. Out: the products whose right operand is such, and the memory it takes.

Before: each tile's product copies the panels of its right operand into its thread's workspace. After: all panels are copied, in the
order in which the product reads them, before the loop, by all threads; where the loop has batch axes, by each thread into memory of
its own, at the first of its tiles and wherever the index of these axes changes.
Why it is legal: all tiles of one index of the batch axes read the same elements of the operand, and no step of the loop writes to
its buffer.

It takes as much memory as the operand, or a thread as one index of the batch axes. It is done where there are tiles to share it,
which the call alone knows: a single one would read each panel once either way.
"""

from __future__ import annotations

import sympy

from ...ir.graph import size_of
from ...lang.checked import Length
from ...schedule.steps import KernelStep, ProductStep, Schedule, TileLoop
from ..products import operands

PANEL = 48  # columns: of every width that a panel of product.hpp has for some processor and precision, a multiple


def packed_products(plan: Schedule, tile: TileLoop) -> tuple[int, ...]:
    """The positions of the steps in the loop whose right operand the tiles of one index of the batch axes share."""
    steps = plan.steps[tile.first : tile.last]
    written = {store.place.buffer for step in steps if isinstance(step, KernelStep) for store in step.stores}
    written |= {step.result.buffer for step in steps if isinstance(step, ProductStep)}
    found = []
    for position, step in enumerate(steps, tile.first):
        if not isinstance(step, ProductStep):
            continue
        given = operands(step)
        varies = any(tile.axis in index.axes for index in given.right.affine)
        if tile.axis in given.m and not varies and given.right.buffer not in written:
            found.append(position)
    return tuple(found)


def packed_elements(plan: Schedule, tile: TileLoop, step: ProductStep) -> Length:
    """As many elements as the packed operand takes for one index of the loop's batch axes, or a few more."""
    lengths = plan.lengths
    matrices = size_of(lengths[axis] for axis in step.batch if axis not in tile.axes)
    columns = size_of(lengths[axis] for axis in operands(step).n)
    return matrices * PANEL * sympy.floor((columns + PANEL - 1) / PANEL) * size_of(lengths[axis] for axis in step.k)


def packed_name(position: int) -> str:
    """The memory of the packed operand of the product at this position."""
    return f"packed_{position}"
