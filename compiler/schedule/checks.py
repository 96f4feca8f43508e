"""Indices that are checked when a program runs: those that only the tensors' values, or empty dimensions, can put outside.

In: the nodes a schedule computes. Out: `Check`s, one for each index into a dimension that it may leave.
Why at run time: where an affine index runs is settled by lengths, and required of them before the call (`lang/indices.py`); where
a gathered one does, only its values tell. `wrap`, `clamp` and `reflect` have nothing to give for a dimension of length 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..ir.graph import Affine, Builder, GatherSlot, Node, entry_length, read_entries, size_of
from ..ir.interpret import outside_text
from ..ir.ranges import can_leave
from ..lang.checked import Length
from ..lang.lengths import at_most


@dataclass(frozen=True)
class Check:
    """The values of `node` (None: any index at all) must be in 0..length-1; `points`: how many there are."""

    node: int | None
    length: Length
    points: Length
    text: str


def checks_of(builder: Builder, cone: Iterable[int]) -> list[Check]:
    """The checks that the reads and scatters among the nodes need, each once."""
    found: dict[tuple[int | None, Length, Length], Check] = {}
    for number in cone:
        node = builder.nodes[number]
        if node.op in ("read", "scatter"):
            for check in _of_read(builder, node):
                found.setdefault((check.node, check.length, check.points), check)
    return list(found.values())


def _of_read(builder: Builder, node: Node) -> list[Check]:
    boundary = node.attribute("boundary")
    if boundary == "zero":
        return []
    lengths = builder.lengths
    checks = []
    for dimension, (entry, index) in enumerate(zip(read_entries(builder, node), node.attribute("indices"), strict=True)):
        length = entry_length(entry, lengths)
        gathered = node.operands[index.operand] if isinstance(index, GatherSlot) else None
        if boundary is None and gathered is None:
            continue
        if boundary is not None and (at_most(1, length) or (isinstance(index, Affine) and not can_leave(index, length, lengths))):
            continue
        axes = builder.nodes[gathered].axes if gathered is not None else index.axes
        if boundary is not None and any(lengths[axis] == length for axis in axes):
            continue  # where the dimension is empty, so are they
        points = size_of(lengths[axis] for axis in axes)
        text = outside_text(builder.nodes, node, dimension)
        checks.append(Check(gathered if boundary is None else None, length, points, text))
    return checks
