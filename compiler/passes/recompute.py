"""What the forward pass saves for the backward pass, and what is computed again.

Before: a forward graph and its backward graph, which computes everything from inputs and cotangents. After: the forward graph
with further outputs of role "saved", and the backward graph reading them as inputs.
Why it is legal: a saved value is the value that the backward graph would compute; only where it comes from changes.

How: results of contractions and recurrences, and of reductions much smaller than what they sum, are never computed twice. Among all
ways to make them available the minimum cut (in bytes) between the inputs and the backward pass is saved; pointwise values between
are computed again.

Scores are an exception: what a contraction makes of two inputs (not parameters), one value for every pair of their positions, and
pointwise operations then weight another contraction with. They are as many as pairs, whatever the inputs' size, and the chain of
products runs a tile at a time (schedule/tiles.py): saving them would take the memory that the tiles save. They are computed again,
and so is everything as large that depends on them; the rows' statistics (the maximum and the sum of a softmax) are saved.
"""

from __future__ import annotations

from ..ir.graph import Builder, Graph, Output, TensorSpec
from ..ir.scans import free_running_values
from ..ir.walk import with_operands
from ..lang.checked import Entry
from .costs import nominal
from .simplify import simplify
from .substitute import copy_into, copy_needed

LEAST_SHRINKING = 8  # a reduction is saved rather than repeated where its result is at least this many times smaller
_SOURCE, _SINK = "source", "sink"


def split(forward: Graph, backward: Graph) -> tuple[Graph, Graph]:
    """The two graphs with what is best saved passed between them."""
    builder = Builder(forward.name, (*forward.axes, *backward.axes), (*forward.inputs, *backward.inputs), simplify)
    own = copy_into(builder, forward)
    back = copy_into(builder, backward)
    primal = set(own.values())
    # a recurrence that the forward pass runs has every one of its running values there
    runs = {builder.nodes[number].operands for number in primal if builder.nodes[number].op == "scan"}
    primal.update(n for n, node in enumerate(builder.nodes) if node.op == "scan" and node.operands in runs)
    wanted = [back[out.node] for out in backward.outputs]
    chosen = _choose(builder, primal, wanted)
    # a view only says how its value is stored: the value is what is kept
    saved = list(dict.fromkeys(builder.nodes[n].operands[0] if builder.nodes[n].op == "view" else n for n in chosen))
    if not saved:
        return forward, backward
    specs = {}
    laid_out = {own[out.node]: out.spec.entries for out in reversed(forward.outputs)}
    for position, number in enumerate(saved):
        node = builder.nodes[number]
        entries = tuple(Entry((axis,)) for axis in node.axes)
        shown = laid_out.get(number, ())
        if {axis for entry in shown for axis in entry.axes} == set(node.axes):
            entries = shown  # as an output has it, so that the two may be one tensor
        specs[number] = TensorSpec(f"saved_{position}", "saved", entries, "compute")
    outputs = [Output(out.spec, own[out.node]) for out in forward.outputs]
    outputs += [Output(spec, number) for number, spec in specs.items()]
    first = builder.finish(outputs, forward.level)
    first = Graph(first.name, first.axes, forward.inputs, first.nodes, first.outputs, first.level)
    second = _reading(backward, builder, specs, back, wanted)
    return first, second


def _reading(backward: Graph, joint: Builder, specs: dict[int, TensorSpec], back: dict[int, int], wanted: list[int]) -> Graph:
    """The backward graph with the saved values read instead of computed."""
    builder = Builder(backward.name, joint.axes.values(), (*backward.inputs, *specs.values()), simplify)
    numbers: dict[int, int] = {}
    for number, spec in specs.items():
        numbers[number] = builder.read_whole(spec)
    copy_needed(builder, joint.nodes, wanted, numbers, {})
    outputs = [Output(out.spec, numbers[back[out.node]]) for out in backward.outputs]
    return builder.finish(outputs, backward.level)


def _choose(builder: Builder, primal: set[int], wanted: list[int]) -> list[int]:
    """The values to save: the minimum cut between the inputs and what the backward pass needs of the forward pass's values."""
    needed = set(with_operands(builder.nodes, wanted))
    varying = _varying(builder)
    free = free_running_values(builder.nodes)
    common = primal & needed & varying
    # what lies within a scan's body has no value outside a step
    common = {number for number in common if not free[number]}
    compared = _below_extrema(builder, common)
    repeated = _pairwise(builder, primal) - compared
    kept = {number for number in common if _never_again(builder, number) and number not in repeated} | compared
    if not kept:
        return []
    import networkx  # takes a fifth of a second; most layers with nothing to save never need it

    graph = networkx.DiGraph()
    for number in sorted(common):
        node = builder.nodes[number]
        size = float("inf") if node.op in ("input", "view") or node.kind != "real" else float(nominal(builder.lengths, node.axes))
        if node.op == "read":
            size = 0.0  # an input is there already
        elif number in repeated:
            size = float("inf")
        graph.add_edge(("in", number), ("out", number), capacity=size)
        if number in kept or not any(operand in common for operand in node.operands):
            graph.add_edge(_SOURCE, ("in", number), capacity=float("inf"))
        for operand in node.operands:
            if operand in common and number not in kept:
                graph.add_edge(("out", operand), ("in", number), capacity=float("inf"))
    for number in sorted(needed):
        if number in wanted and number in common:
            graph.add_edge(("out", number), _SINK, capacity=float("inf"))
        if number not in common or number in kept:
            for operand in builder.nodes[number].operands:
                if operand in common and number not in common and builder.nodes[operand].op != "input":
                    graph.add_edge(("out", operand), _SINK, capacity=float("inf"))
    if _SINK not in graph:
        return []
    _, (reachable, _) = networkx.minimum_cut(graph, _SOURCE, _SINK)
    return [
        number
        for number in sorted(common)
        if ("in", number) in reachable
        and ("out", number) not in reachable
        and builder.nodes[number].op not in ("read", "const", "index", "length")
    ]


def _below_extrema(builder: Builder, common: set[int]) -> set[int]:
    """The reductions below a maximum whose gradient looks for the points that reach it, and the maximum.

    Another loop may add in another order; the points then no longer reach a maximum saved before (see ties.py).
    """

    def is_saved(number: int, *ops: str) -> bool:
        return builder.nodes[number].op in ops and builder.nodes[number].kind == "real" and number in common

    compared = [number for node in builder.nodes if node.op == "eq" for number in node.operands]
    extrema = [number for number in compared if is_saved(number, "reduce")]
    return {number for number in with_operands(builder.nodes, extrema) if is_saved(number, "reduce", "contract")}


def _pairwise(builder: Builder, primal: set[int]) -> set[int]:
    """Scores, and what depends on them and varies over all their axes."""
    nodes = builder.nodes
    streamed: set[int] = set()  # depends on an input that is no parameter
    users: dict[int, list[int]] = {number: [] for number in primal}
    for number in sorted(primal):
        node = nodes[number]
        is_input = node.op == "input" and builder.inputs[node.attribute("name")].role == "in"
        if is_input or any(operand in streamed for operand in node.operands):
            streamed.add(number)
        for operand in node.operands:
            users[operand].append(number)
    found: set[int] = set()
    for number in sorted(primal):
        node = nodes[number]
        if node.op != "contract" or not all(operand in streamed for operand in node.operands):
            continue
        reached, weights = {number}, False
        for other in sorted(primal):
            if other > number and reached.intersection(nodes[other].operands):
                if nodes[other].op in ("scan", "view", "scatter", "transform"):
                    reached = set()  # a step that takes all of it: it is stored in any case
                    break
                if nodes[other].op == "contract":
                    weights = True
                elif set(node.axes) <= set(nodes[other].axes):
                    reached.add(other)
        if reached and weights and not any(nodes[user].op == "contract" for user in users[number]):
            found |= reached
    return found


def _varying(builder: Builder) -> set[int]:
    """The values that come from an input: what is made of constants, lengths and indices alone needs no saving."""
    varying: set[int] = set()
    for number, node in enumerate(builder.nodes):
        if node.op == "input" or any(operand in varying for operand in node.operands):
            varying.add(number)
    return varying


def _never_again(builder: Builder, number: int) -> bool:
    node = builder.nodes[number]
    if node.op in ("contract", "transform"):
        return True
    if node.op not in ("reduce", "scan") or node.kind != "real":
        return False
    if node.op == "scan":
        return True
    before = nominal(builder.lengths, builder.nodes[node.operands[0]].axes)
    return before >= LEAST_SHRINKING * nominal(builder.lengths, node.axes)
