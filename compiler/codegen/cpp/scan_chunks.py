"""A recurrence over few long rows, a chunk of steps to each lane.

In: a recurrence of one running value that a step takes to a*h + b, or to max(h, b) or min(h, b), with a and b free of h. Out: C++
that runs it where there are fewer rows than threads have lanes.

Steps compose: those of a chunk, one after the other, are one step of the same kind. So (1) every chunk finds its a and b, eight
chunks side by side; (2) the running value at the start of each chunk follows from these, in order; (3) every chunk runs again from
there and stores (Blelloch, Prefix Sums and Their Applications, 1990). The sums are those of the chunks, whatever thread has them:
the result depends on the number of threads only in whether chunks are used. Factors are gathered in float64: their product leaves
the range of float32 long before the values do.
"""

from __future__ import annotations

import sympy

from ...ir.graph import Node
from ...ir.walk import depth_first
from ...lang.checked import Length
from ...schedule.scans import Recurrence

MOST_CHUNKS, LEAST_STEPS = 256, 256  # most_chunks and least_steps of scan_chunks in loops.hpp
LANES = 8


def composition(nodes: tuple[Node, ...], scan: Recurrence) -> str | None:
    """How steps compose: "linear", "max" or "min"; None where it is not known how."""
    if len(scan.running) != 1 or scan.staged:
        return None
    position, carried = next(iter(scan.running.items()))
    body = scan.bodies[position]
    if nodes[carried].kind != "real" or nodes[body].kind != "real" or body not in scan.free:
        return None
    node = nodes[body]
    if node.op in ("max", "min") and carried in node.operands and node.operands[0] != node.operands[1]:
        return node.op if len([n for n in node.operands if n in scan.free]) == 1 else None
    return "linear" if _is_linear(nodes, scan, carried, body) else None


def _is_linear(nodes: tuple[Node, ...], scan: Recurrence, carried: int, number: int) -> bool:
    def is_made(current: int) -> bool:
        """Whether a step makes this value from the running one."""
        return current != carried and current in scan.free

    def fits(node: Node) -> bool:
        free = [operand in scan.free for operand in node.operands]
        linear = (
            node.op in ("add", "sub", "neg")
            or (node.op == "mul" and not all(free))
            or (node.op == "div" and not free[1])
            or (node.op == "select" and not free[0])
        )
        return linear and node.kind == "real"

    made = depth_first([number], lambda current: nodes[current].operands if is_made(current) else ())
    return all(fits(nodes[current]) for current in made if is_made(current))


def factor_text(nodes: tuple[Node, ...], scan: Recurrence, number: int, texts: dict[int, str], carried: int) -> str | None:
    """The factor of the running value in a linear value, as C++; None for 0. `texts`: of all values of the step."""
    found: dict[int, str | None] = {carried: "1"}
    for current in scan.cone:
        if current in scan.free and current not in found and current <= number:
            found[current] = _factor(nodes[current], found, texts)
    return found[number]


def _factor(node: Node, found: dict[int, str | None], texts: dict[int, str]) -> str | None:
    parts = [found.get(operand) for operand in node.operands]
    if node.op == "neg":
        return f"(-{parts[0]})"
    if node.op in ("add", "sub"):
        sign = "+" if node.op == "add" else "-"
        if parts[0] is None:
            return f"({sign}{parts[1]})"
        return parts[0] if parts[1] is None else f"({parts[0]} {sign} {parts[1]})"
    if node.op == "mul":
        slot = 0 if parts[0] is not None else 1
        other = texts[node.operands[1 - slot]]
        return f"Real({other})" if parts[slot] == "1" else f"({parts[slot]} * Real({other}))"
    if node.op == "div":
        return f"({parts[0]} / Real({texts[node.operands[1]]}))"
    return f"({texts[node.operands[0]]} ? Real({parts[1] or 0}) : Real({parts[2] or 0}))"


def scratch_words(length: Length) -> Length:
    """Words a thread: for each row of a vector of them, three a chunk (factor, value, start) and the last start."""
    return LANES * (3 * sympy.Min(MOST_CHUNKS, sympy.floor(length / LEAST_STEPS)) + 1)
