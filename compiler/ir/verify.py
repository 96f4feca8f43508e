"""The legality of a graph.

In: a graph. Out: nothing; `VerificationError` where the graph breaks a rule. Run between passes and in tests: an error here is a
fault of the pass that made the graph, never of a user's specification.

What holds in a verified graph: nodes are in topological order; every node has the attributes of its op, of their types, and the
kind and axes that its op's type rule gives; stored tensors are only read; running values stay inside their scan, whose steps do not
look along its axis; each output's entries name every axis of its value; the rules of the graph's level (`LEVEL_RULES`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

from ..lang.checked import Entry
from .graph import LEVELS, Affine, Builder, GatherSlot, Graph, Node, TensorSpec, whole_index
from .ops import REDUCTIONS, TRANSFORMS, dtype_kind, result_type, widest
from .scalar_ops import SCALAR_OPS
from .scans import bodies_of, free_running_values, initials_of


class VerificationError(AssertionError):
    """`node` (None: the graph as a whole) breaks a rule, for `reason`."""

    def __init__(self, graph: Graph, node: int | None, reason: str) -> None:
        self.node = node
        self.reason = reason
        place = "" if node is None else f", %{node} = {graph.nodes[node].op}"
        super().__init__(f"graph {graph.name} at level {graph.level}{place}: {reason}")


_Check = Callable[[Any], bool]
_BOUNDARIES = (None, "zero", "wrap", "clamp", "reflect")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_length(value: Any) -> bool:
    return isinstance(value, sympy.Expr)


def _is_axes(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(axis, str) for axis in value) and len(set(value)) == len(value)


def _is_entries(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(entry, Entry) for entry in value)


def _is_indices(value: Any) -> bool:
    return isinstance(value, tuple) and all(_is_index(index) for index in value)


def _is_index(index: Any) -> bool:
    if isinstance(index, GatherSlot):
        return True
    return isinstance(index, Affine) and all(_is_length(length) for length in (index.offset, *(c for _, c in index.terms)))


# op -> the attributes it has, each with what holds of its value; scalar ops have none
ATTRIBUTES: dict[str, dict[str, _Check]] = {
    "input": {"name": _is_text},
    "const": {"value": lambda value: isinstance(value, (bool, int, float))},
    "length": {"length": _is_length},
    "index": {"axis": _is_text},
    "read": {"indices": _is_indices, "boundary": lambda value: value in _BOUNDARIES},
    "scatter": {"indices": _is_indices, "boundary": lambda value: value in _BOUNDARIES, "entries": _is_entries, "over": _is_axes},
    "view": {"entries": _is_entries},
    "reduce": {"operation": lambda value: value in REDUCTIONS, "over": _is_axes},
    "contract": {"over": _is_axes},
    "stack": {"axis": _is_text},
    "slice": {"axis": _is_text, "position": lambda value: isinstance(value, int)},
    "transform": {"function": lambda value: value in TRANSFORMS, "source": _is_text, "target": _is_text, "n": _is_length},
    "carried": {"name": _is_text, "kind": _is_text, "axes": _is_axes},
    "scan": {
        "axis": _is_text,
        "names": lambda value: _is_axes(value) and len(value) > 0,
        "result": lambda value: isinstance(value, int),
        "reverse": lambda value: isinstance(value, bool),
    },
}
OPERAND_COUNTS = {
    "input": 0,
    "const": 0,
    "length": 0,
    "index": 0,
    "view": 1,
    "reduce": 1,
    "contract": 2,
    "slice": 1,
    "transform": 1,
}
OPERAND_COUNTS |= {"carried": 0}


def _read_of_itself(graph: Graph, node: Node) -> str | None:
    """A computed value read whole at its own axes is that value."""
    if node.op != "read" or graph.nodes[node.operands[0]].op != "view":
        return None
    entries = graph.nodes[node.operands[0]].attribute("entries")
    whole = tuple(whole_index(entry, graph.axis_lengths) for entry in entries)
    spread = graph.nodes[node.operands[0]].axes != graph.nodes[graph.nodes[node.operands[0]].operands[0]].axes
    return "a view read whole stands for the value itself" if node.attribute("indices") == whole and not spread else None


# level -> rules, each (graph, node) -> what is wrong, or None; a level keeps the rules of those before it
LEVEL_RULES: dict[str, tuple[Callable[[Graph, Node], str | None], ...]] = {
    "layer": (),
    "math": (_read_of_itself,),
    "region": (),
}


def verify(graph: Graph) -> None:
    """Raises VerificationError where the graph breaks a rule of its level."""
    if graph.level not in LEVELS:
        raise VerificationError(graph, None, f"no level {graph.level}")
    for what, names in (
        ("axis", [axis.name for axis in graph.axes]),
        ("input", [spec.name for spec in graph.inputs]),
        ("output", [output.spec.name for output in graph.outputs]),
    ):
        doubled = [name for position, name in enumerate(names) if name in names[:position]]
        if doubled:
            raise VerificationError(graph, None, f"{what} {doubled[0]} is there twice")
    for spec in (*graph.inputs, *(output.spec for output in graph.outputs)):
        _verify_spec(graph, spec)
    types = Builder(graph.name, graph.axes, graph.inputs)
    rules = [rule for level in LEVELS[: LEVELS.index(graph.level) + 1] for rule in LEVEL_RULES[level]]
    for number, node in enumerate(graph.nodes):
        reason = _node_fault(graph, types, number, node)
        if reason is None:
            reason = next((fault for rule in rules if (fault := rule(graph, node)) is not None), None)
        if reason is not None:
            raise VerificationError(graph, number, reason)
        types.nodes.append(node)
    free = free_running_values(graph.nodes)
    for number, node in enumerate(graph.nodes):
        reason = _scan_fault(graph, free, node)
        if reason is not None:
            raise VerificationError(graph, number, reason)
    for output in graph.outputs:
        _verify_output(graph, free, output.spec, output.node)


def _verify_spec(graph: Graph, spec: TensorSpec) -> None:
    listed = [axis for entry in spec.entries for axis in entry.axes]
    unknown = [axis for axis in listed if axis not in graph.axis_lengths]
    if unknown:
        raise VerificationError(graph, None, f"{spec.role} {spec.name} has the axis {unknown[0]}, which the graph has not")
    if len(set(listed)) < len(listed):
        raise VerificationError(graph, None, f"{spec.role} {spec.name} has an axis twice: {listed}")


def _verify_output(graph: Graph, free: tuple[frozenset[str], ...], spec: TensorSpec, number: int) -> None:
    if not 0 <= number < len(graph.nodes):
        raise VerificationError(graph, None, f"output {spec.name} is node %{number}, which is not there")
    node = graph.nodes[number]
    if node.op in ("input", "view"):
        raise VerificationError(graph, number, f"output {spec.name} must be a value, not a stored tensor")
    listed = [axis for entry in spec.entries for axis in entry.axes]
    missing = [axis for axis in node.axes if axis not in listed]
    if missing:
        raise VerificationError(
            graph, number, f"output {spec.name} lists the axes {listed}, but its value also varies over {missing}"
        )
    stored = "real" if spec.dtype == "compute" else dtype_kind(spec.dtype)
    if spec.dtype != "compute" and widest([node.kind, stored]) != stored:
        raise VerificationError(graph, number, f"output {spec.name} of dtype {spec.dtype} cannot hold a {node.kind} value")
    if free[number]:
        raise VerificationError(
            graph, number, f"output {spec.name} depends on the running value {sorted(free[number])[0]} outside its scan"
        )


def _node_fault(graph: Graph, types: Builder, number: int, node: Node) -> str | None:
    """What is wrong with a node, its operands being in order; None if nothing is."""
    expected = ATTRIBUTES.get(node.op, {} if node.op in SCALAR_OPS else None)
    if expected is None:
        return "there is no such op"
    late = [operand for operand in node.operands if not 0 <= operand < number]
    if late:
        return f"operand %{late[0]} does not come before it"
    names = tuple(name for name, _ in node.attributes)
    if names != tuple(sorted(expected)):
        return f"expected the attributes {sorted(expected)}, in this order, found {list(names)}"
    for name, value in node.attributes:
        if not expected[name](value):
            return f"the attribute {name} cannot be {value!r}"
    count = OPERAND_COUNTS.get(node.op)
    if count is not None and len(node.operands) != count:
        return f"expected {count} operands, found {len(node.operands)}"
    if node.op == "input" and node.attribute("name") not in types.inputs:
        return f"there is no input {node.attribute('name')}"
    try:
        kind, axes = result_type(types, node.op, node.operands, dict(node.attributes))
    except (ValueError, IndexError, KeyError) as error:
        return str(error)
    if (kind, types.sorted_axes(axes)) != (node.kind, node.axes):
        return f"its op gives {kind}{list(types.sorted_axes(axes))}, but it is {node.kind}{list(node.axes)}"
    if node.op in ("read", "scatter"):
        return _index_fault(graph, types, node)
    return None


def _index_fault(graph: Graph, types: Builder, node: Node) -> str | None:
    indices = node.attribute("indices")
    if not node.operands:
        return "expected an operand"
    if node.op == "scatter":
        entries = node.attribute("entries")
    else:
        source = graph.nodes[node.operands[0]]
        if source.op == "input":
            entries = types.inputs[source.attribute("name")].entries
        elif source.op == "view":
            entries = source.attribute("entries")
        else:
            return "only an input or a view can be read"
    if len(indices) != len(entries):
        return f"expected {len(entries)} indices, one a stored dimension, found {len(indices)}"
    slots = [index.operand for index in indices if isinstance(index, GatherSlot)]
    if sorted(slots) != list(range(1, len(node.operands))):
        return f"gathered indices use the operands {slots}, expected each of 1..{len(node.operands) - 1} once"
    for slot in slots:
        if graph.nodes[node.operands[slot]].kind not in ("int", "bool"):
            return f"the gathered index %{node.operands[slot]} is not an integer"
    unknown = [axis for index in indices if isinstance(index, Affine) for axis in index.axes if axis not in types.axes]
    return f"there is no axis {unknown[0]}" if unknown else None


def _scan_fault(graph: Graph, free: tuple[frozenset[str], ...], node: Node) -> str | None:
    """A scan's types, and that no step looks along the scan's axis at a running value."""
    if node.op != "scan":
        return None
    axis, names = node.attribute("axis"), node.attribute("names")
    initials, bodies = initials_of(node), bodies_of(node)
    if any(axis in graph.nodes[initial].axes for initial in initials):
        return f"its initial value varies along {axis}"
    inside = set(bodies)
    for number in reversed(range(max(bodies) + 1)):
        step = graph.nodes[number]
        if number not in inside or not free[number].intersection(names):
            continue
        inside.update(step.operands)
        if step.op == "carried" and step.attribute("name") in names:
            position = names.index(step.attribute("name"))
            own = [graph.nodes[initials[position]], graph.nodes[bodies[position]]]
            kind = widest([each.kind for each in own])
            rest = tuple(each for each in graph.axis_lengths if each != axis and any(each in value.axes for value in own))
            if step.kind != kind or step.axes != rest:
                return f"its running value is {step.kind}{list(step.axes)}, expected {kind}{list(rest)}"
        along: tuple[str, ...] = ()
        if step.op in ("reduce", "contract", "scatter"):
            along = step.attribute("over")
        elif step.op == "transform":
            along = (step.attribute("source"), step.attribute("target"))
        elif step.op in ("stack", "slice", "scan"):
            along = (step.attribute("axis"),)
        elif step.op == "view":
            along = step.axes
        if axis in along:
            return f"%{number} = {step.op} inside it looks along its axis {axis}"
    return None
