"""The shape of one loop nest: loop order, which loops are rows, which reductions finish within a row.

In: stores over one iteration domain, with the places of values stored before. Out: a `Nest`.

What holds in a nest without `cut` and `deferred`:
- `outer` loops enumerate rows, divided among threads; `inner` loops run within a row, once a stage.
- A row reduction sums over inner loops only; its result is known after the stage of its level and may be used in later stages.
- A column reduction sums over outer loops as well, through a partial result a thread; it is stored and not used within the nest.
- Every store is made at every point of all loops, or once a row, or is a reduction's own result.
`cut` names reductions that must be stored by an earlier nest, `deferred` stores that must wait for a later one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir.graph import Affine, GatherSlot, Node
from ..ir.walk import depth_first
from .steps import Gathered, Place, Store


@dataclass(frozen=True)
class Nest:
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    row: tuple[int, ...]
    column: tuple[int, ...]
    levels: Mapping[int, int]
    cone: tuple[int, ...]
    cut: tuple[int, ...] = ()
    deferred: tuple[Store, ...] = ()

    @property
    def order(self) -> tuple[str, ...]:
        return self.outer + self.inner

    @property
    def stages(self) -> int:
        """How many times the inner loops are run."""
        return 1 + max((self.levels[number] for number in self.row), default=0)


def is_stored(nodes: Sequence[Node], leaves: Mapping[int, Place], number: int) -> bool:
    """Whether a value has a place, or is a slice, or a slice of slices, of one that has."""
    return number in leaves or (nodes[number].op == "slice" and is_stored(nodes, leaves, nodes[number].operands[0]))


def is_leaf(nodes: Sequence[Node], leaves: Mapping[int, Place], number: int) -> bool:
    """Whether a value is read from a buffer, or known without any, rather than computed in the nest."""
    node = nodes[number]
    return (
        number in leaves
        or (node.op == "slice" and is_stored(nodes, leaves, node.operands[0]))
        or node.op in ("read", "const", "index", "length")
    )


def used_by(nodes: Sequence[Node], leaves: Mapping[int, Place], number: int) -> tuple[int, ...]:
    """The values that the nest needs for a value: its operands, of a read the indices it gathers at, of other leaves none."""
    if not is_leaf(nodes, leaves, number):
        return nodes[number].operands
    return nodes[number].operands[1:] if nodes[number].op == "read" and number not in leaves else ()


def cone_of(nodes: Sequence[Node], leaves: Mapping[int, Place], roots: Sequence[int]) -> tuple[int, ...]:
    """Everything computed or read for the roots, in topological order."""
    return tuple(sorted(depth_first(roots, lambda number: used_by(nodes, leaves, number))))


def first_reductions(nodes: Sequence[Node], leaves: Mapping[int, Place], root: int) -> tuple[int, ...]:
    """The reductions below a value that need no other one."""
    return _first(nodes, leaves, [n for n in cone_of(nodes, leaves, [root]) if nodes[n].op == "reduce" and n not in leaves])


def store_domain(nodes: Sequence[Node], leaves: Mapping[int, Place], axes: Sequence[str], store: Store) -> tuple[str, ...]:
    """The axes of a store and of every reduction below it, in graph order."""
    wanted = set(store.axes)
    for number in cone_of(nodes, leaves, [store.node]):
        if nodes[number].op == "reduce" and number not in leaves:
            wanted.update(nodes[nodes[number].operands[0]].axes)
    return tuple(axis for axis in axes if axis in wanted)


def leaf_place(nodes: Sequence[Node], leaves: Mapping[int, Place], number: int) -> Place | None:
    """Where a leaf is read: its own place, a read's, or that of the value a slice is taken of."""
    if number in leaves:
        return leaves[number]
    node = nodes[number]
    if node.op == "read":
        source = nodes[node.operands[0]]
        buffer = source.attribute("name") if source.op == "input" else leaves[node.operands[0]].buffer
        indices = tuple(
            Gathered(node.operands[index.operand]) if isinstance(index, GatherSlot) else index
            for index in node.attribute("indices")
        )
        return Place(buffer, indices, node.attribute("boundary"))
    if node.op == "slice" and is_stored(nodes, leaves, node.operands[0]):
        fixed = {node.attribute("axis"): Affine((), node.attribute("position"))}
        place = leaf_place(nodes, leaves, node.operands[0])
        assert place is not None
        return Place(place.buffer, tuple(index.substitute(fixed) for index in place.affine))
    return None


def index_axes(nodes: Sequence[Node], index: Affine | Gathered) -> tuple[str, ...]:
    """The axes that an index varies along."""
    return index.axes if isinstance(index, Affine) else nodes[index.node].axes


def loop_order(
    nodes: Sequence[Node], leaves: Mapping[int, Place], cone: Sequence[int], stores: Sequence[Store], domain: Sequence[str]
) -> tuple[str, ...]:
    """Storage order of the largest tensor accessed; axes it lacks where other tensors have them, else last."""
    accesses = [place for number in cone if (place := leaf_place(nodes, leaves, number)) is not None]
    accesses += [store.place for store in stores]
    orders = [[axis for index in place.indices for axis in index_axes(nodes, index)] for place in accesses]
    orders.sort(key=lambda order: -len(set(order)))
    result: list[str] = []
    for order in orders:
        position = 0
        for axis in order:
            if axis in result:
                position = result.index(axis) + 1
            elif axis in domain:
                result.insert(position if result else 0, axis)
                position += 1
    return tuple(result) + tuple(axis for axis in domain if axis not in result)


def plan_nest(
    nodes: Sequence[Node], axes: Sequence[str], leaves: Mapping[int, Place], stores: Sequence[Store], kept_inner: bool = True
) -> Nest:
    """The nest of stores that share one domain. `kept_inner`: whether row reductions may keep axes of inner loops."""
    cone = cone_of(nodes, leaves, [store.node for store in stores])
    inside = set(cone)
    reductions = [n for n in cone if nodes[n].op == "reduce" and n not in leaves]
    wanted = {axis for store in stores for axis in store.axes}
    wanted.update(axis for n in reductions for axis in nodes[nodes[n].operands[0]].axes)
    domain = tuple(axis for axis in axes if axis in wanted)
    order = loop_order(nodes, leaves, cone, stores, domain)

    users: dict[int, list[int]] = {number: [] for number in cone}
    for number in cone:
        for operand in used_by(nodes, leaves, number):
            if operand in inside:
                users[operand].append(number)

    def broadcasts_back(reduction: int) -> bool:
        """Whether the result is used at more points than it has."""
        kept = set(nodes[reduction].axes)
        reached = {reduction}
        for number in depth_first(users[reduction], users.__getitem__):
            reached.add(number)
            if not set(nodes[number].axes) <= kept:
                return True
        return any(store.node in reached and not set(store.axes) <= kept for store in stores)

    body_axes = {n: set(nodes[nodes[n].operands[0]].axes) for n in reductions}
    row = [n for n in reductions if broadcasts_back(n)]
    partial = tuple(n for n in row if body_axes[n] != set(domain))
    if partial:
        return Nest(order, (), (), (), {}, cone, cut=_first(nodes, leaves, partial))
    terminal = [n for n in reductions if n not in row]
    if not row:
        suffix = [
            n
            for n in terminal
            if nodes[n].axes
            and body_axes[n] == set(domain)
            and set(order[-len(nodes[n].attribute("over")) :]) == set(nodes[n].attribute("over"))
        ]
        row = suffix
        terminal = [n for n in terminal if n not in row]
    if row:
        outer_set = set(domain).intersection(*(nodes[n].axes for n in row))
        if not outer_set:
            return Nest(order, (), (), (), {}, cone, cut=_first(nodes, leaves, row))
        if not kept_inner:
            keeping = [n for n in row if set(nodes[n].axes) != outer_set]
            if keeping:
                return Nest(order, (), (), (), {}, cone, cut=_first(nodes, leaves, keeping)[:1])
        outer = tuple(axis for axis in order if axis in outer_set)
        inner = tuple(axis for axis in order if axis not in outer_set)
        for n in list(terminal):
            if body_axes[n] == set(domain) and outer_set <= set(nodes[n].axes) and (kept_inner or outer_set == set(nodes[n].axes)):
                row.append(n)
                terminal.remove(n)
        row.sort()
    else:
        outer, inner = order[:-1], order[-1:]
        outer_set = set()

    misplaced = [n for n in terminal if body_axes[n] != set(domain) and not (row and body_axes[n] == set(outer))]
    # below a reduction of this nest only what its rows have finished is known, below one that has no place in it nothing
    unknown = set(reductions) - set(row)
    below = [
        r
        for n in terminal
        for r in cone_of(nodes, leaves, [nodes[n].operands[0]])
        if r in (reductions if n in misplaced else unknown)
    ]
    if below:
        return Nest(order, (), (), (), {}, cone, cut=_first(nodes, leaves, sorted(set(below))))

    levels: dict[int, int] = {}
    for number in cone:
        level = max((levels[operand] for operand in used_by(nodes, leaves, number)), default=0)
        levels[number] = level + 1 if number in row else level
    deferred = []
    for store in stores:
        if store.node in terminal:
            if store.node in misplaced or set(store.axes) != set(nodes[store.node].axes):
                deferred.append(store)
        elif any(n in terminal for n in cone_of(nodes, leaves, [store.node])):
            deferred.append(store)
        elif store.node in row:
            if set(store.axes) != set(nodes[store.node].axes):
                deferred.append(store)
        elif (set(store.axes) != set(domain) and not (row and set(store.axes) == outer_set)) or (
            row and set(store.axes) == outer_set and _within_row(nodes, leaves, store, row, outer_set)
        ):
            deferred.append(store)
    return Nest(outer, inner, tuple(row), tuple(n for n in terminal if n not in misplaced), levels, cone, deferred=tuple(deferred))


def _within_row(nodes: Sequence[Node], leaves: Mapping[int, Place], store: Store, row: Sequence[int], outer: set[str]) -> bool:
    """Whether a once-a-row store uses a row reduction that keeps inner axes."""
    return any(n in row and not set(nodes[n].axes) <= outer for n in cone_of(nodes, leaves, [store.node]))


def _first(nodes: Sequence[Node], leaves: Mapping[int, Place], reductions: Sequence[int]) -> tuple[int, ...]:
    """Those reductions that need none of the others."""
    wanted = set(reductions)
    first = [n for n in reductions if not (set(cone_of(nodes, leaves, [nodes[n].operands[0]])) & wanted)]
    return tuple(first)
