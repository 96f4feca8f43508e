"""Reverse-mode differentiation of a graph, giving a graph.

Before: a graph with inputs x, p, ... and outputs y, ... . After: a graph with the same inputs and one more for each output's
cotangent (`grad_y`), whose outputs are the gradients `grad_x`, `grad_p`, ...; with `keep_outputs` also the original outputs.
Why it is legal: the chain rule, op by op. The adjoint of a broadcast is a sum over the axes the operand lacks; of a read, the
transposed read; of a stack, slices. The result consists of the same ops, so it can be differentiated again.

`select` never lets NaN through from the branch not taken: a cotangent that is a choice against zero has the derivative rule
applied to its value and the choice made last, so no 0 * infinity arises.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Builder, Graph, Node, Output, TensorSpec
from ..ir.scalar_ops import SCALAR_OPS
from ..ir.scalar_rules import conjugate
from ..ir.scans import bodies_of, free_running_values, initials_of, same_recurrence
from ..ir.tensors import gradient_name
from .invariance import outputs_invariant
from .read_adjoint import LONGEST_WRITTEN_OUT, ReadShare, add_masked, adjoint_of_reads, slice_of
from .scan_adjoint import adjoint, move_to_earlier_values, paths, running_nodes
from .simplify import constant, simplify
from .substitute import copy_into, renamed_axis, spread, substitute
from .transform_adjoint import transposed

_DIFFERENTIABLE = ("real", "complex")


class NotDifferentiable(Exception):
    """An op on the way from an output to a wanted input has no derivative rule yet; the message says which."""


def differentiate(graph: Graph, wanted: Sequence[str], *, given: Sequence[str] | None = None, keep_outputs: bool = False) -> Graph:
    """Gradients with respect to the inputs `wanted`, given cotangents of the outputs `given` (all, by default; others count as
    zero).

    Raises NotDifferentiable.
    """
    return _Reverse(graph, wanted, given, keep_outputs).run()


class _Reverse:
    def __init__(self, graph: Graph, wanted: Sequence[str], given: Sequence[str] | None, keep_outputs: bool) -> None:
        self.graph = graph
        self.wanted = tuple(wanted)
        self.keep_outputs = keep_outputs
        names = [out.spec.name for out in graph.outputs] if given is None else list(given)
        self.given = tuple(out for out in graph.outputs if out.spec.name in names and _floating(out.spec.dtype))
        cotangents = [TensorSpec(gradient_name(o.spec.name), "cotangent", o.spec.entries, o.spec.dtype) for o in self.given]
        self.builder = Builder(graph.name, graph.axes, (*graph.inputs, *cotangents), simplify)
        self.scan_axes = {
            name: node.attribute("axis") for node in graph.nodes if node.op == "scan" for name in node.attribute("names")
        }
        self.free = free_running_values(graph.nodes)
        self.contributions: dict[int, list[int]] = {}
        self.sliced: dict[tuple[int, str], dict[int, list[int]]] = {}
        self.reads: dict[int, list[ReadShare]] = {}
        self.sources = {node.attribute("name"): number for number, node in enumerate(graph.nodes) if node.op == "input"}

    def run(self) -> Graph:
        b = self.builder
        numbers = copy_into(b, self.graph)
        reaching = self._reaching()
        for out in self.given:
            cotangent = b.read_whole(b.inputs[gradient_name(out.spec.name)])
            node = self.graph.nodes[out.node]
            listed = [axis for entry in out.spec.entries for axis in entry.axes]
            self._contribute(out.node, self._sum_to(cotangent, listed, node.axes))
        self._sweep(reaching, numbers)
        outputs = [self._gradient(name) for name in self.wanted]
        if self.keep_outputs:
            outputs = [Output(out.spec, numbers[out.node]) for out in self.graph.outputs] + outputs
        return b.finish(outputs, self.graph.level)

    def _reaching(self) -> set[int]:
        """The nodes through which a wanted input reaches an output with a cotangent."""
        depends: set[int] = set()
        for number, node in enumerate(self.graph.nodes):
            if node.op == "input":
                if node.attribute("name") in self.wanted:
                    depends.add(number)
            elif node.kind in _DIFFERENTIABLE and any(operand in depends for operand in node.operands):
                depends.add(number)
        return depends

    def _sweep(self, reaching: set[int], numbers: dict[int, int]) -> None:
        """Visits the nodes of `reaching`, the last one first."""
        for old in sorted(reaching, reverse=True):
            self._visit(old, numbers)

    def _axes(self, old: int) -> tuple[str, ...]:
        """The axes that a node's cotangent may have: its own and, within a scan's body, the scan's: it varies by step."""
        own = self.graph.nodes[old].axes
        return self.builder.sorted_axes({*own, *(self.scan_axes[name] for name in self.free[old])}) if self.free[old] else own

    def _contribute(self, old: int, cotangent: int | None) -> None:
        if cotangent is not None and constant(self.builder, cotangent) != 0:
            self.contributions.setdefault(old, []).append(cotangent)

    def _visit(self, old: int, numbers: dict[int, int]) -> None:
        node = self.graph.nodes[old]
        for (sliced, axis), positions in list(self.sliced.items()):
            if sliced == old:
                length = int(self.builder.lengths[axis])
                zero = self.builder.const(0.0)
                values = [add_masked(self.builder, positions[k]) if k in positions else zero for k in range(length)]
                self._contribute(old, self.builder.add("stack", values, axis=axis))
        if node.op == "scan":
            self._scan(old, node, numbers)
            return
        if node.op == "view" and self.reads.get(old):
            entries, laid_out = node.attribute("entries"), node.operands[0]
            share = adjoint_of_reads(self.builder, entries, self.reads[old])
            own = [axis for entry in entries for axis in entry.axes]
            self._contribute(laid_out, self._sum_to(share, own, self.graph.nodes[laid_out].axes))
        if not self.contributions.get(old):
            return
        cotangent = add_masked(self.builder, self.contributions[old])
        if node.op in SCALAR_OPS:
            self._scalar(old, node, numbers, cotangent)
        elif node.op == "reduce":
            self._reduce(old, node, numbers, cotangent)
        elif node.op == "contract":
            for slot in (0, 1):
                other = numbers[node.operands[1 - slot]]
                share = self.builder.add("mul", (cotangent, other))
                axes = (*self._axes(old), *node.attribute("over"))
                self._contribute(node.operands[slot], self._sum_to(share, axes, self._axes(node.operands[slot])))
        elif node.op == "stack":
            axis = node.attribute("axis")
            for position, operand in enumerate(node.operands):
                share = slice_of(self.builder, cotangent, axis, position)
                outer = [a for a in self._axes(old) if a != axis]
                self._contribute(operand, self._sum_to(share, outer, self._axes(operand)))
        elif node.op == "slice" and self.builder.lengths[node.attribute("axis")] > LONGEST_WRITTEN_OUT:
            axis = node.attribute("axis")
            here = self.builder.add("eq", (self.builder.add("index", axis=axis), self.builder.const(node.attribute("position"))))
            self._contribute(node.operands[0], self.builder.add("select", (here, cotangent, self.builder.const(0.0))))
        elif node.op == "slice":
            positions = self.sliced.setdefault((node.operands[0], node.attribute("axis")), {})
            positions.setdefault(node.attribute("position"), []).append(cotangent)
        elif node.op == "read":
            gathers = tuple(numbers[operand] for operand in node.operands[1:])
            read = ReadShare(node.attribute("indices"), node.attribute("boundary"), gathers, cotangent, self._axes(old))
            self.reads.setdefault(node.operands[0], []).append(read)
        elif node.op == "scatter":
            self._scatter(node, numbers, cotangent)
        elif node.op == "transform":
            operand = node.operands[0]
            share = transposed(self.builder, node, cotangent)
            if self.graph.nodes[operand].kind == "real" and self.builder.nodes[share].kind == "complex":
                share = self.builder.add("re", (share,))
            axes = (*self._axes(operand), node.attribute("source"))
            self._contribute(operand, self._sum_to(share, tuple(dict.fromkeys(axes)), self._axes(operand)))
        elif node.op != "input":
            raise NotDifferentiable(node.op)

    def _scalar(self, old: int, node: Node, numbers: dict[int, int], cotangent: int) -> None:
        rule = SCALAR_OPS[node.op].derivative
        if rule is None:
            raise NotDifferentiable(node.op)
        b = self.builder
        operands = tuple(numbers[operand] for operand in node.operands)
        choices: list[tuple[int, bool]] = []
        while True:
            inner = b.nodes[cotangent]
            if inner.op != "select" or node.op == "select":
                break
            if constant(b, inner.operands[2]) == 0:
                choices.append((inner.operands[0], True))
                cotangent = inner.operands[1]
            elif constant(b, inner.operands[1]) == 0:
                choices.append((inner.operands[0], False))
                cotangent = inner.operands[2]
            else:
                break
        zero = b.const(0.0)
        try:
            shares = rule(b, operands, numbers[old], cotangent)
        except ValueError as error:
            raise NotDifferentiable(f"{node.op}: {error}") from error
        for operand, share in zip(node.operands, shares, strict=True):
            if share is None or self.graph.nodes[operand].kind not in _DIFFERENTIABLE:
                continue
            if self.graph.nodes[operand].kind == "real" and b.nodes[share].kind == "complex":
                share = b.add("re", (share,))
            for condition, taken in reversed(choices):
                share = b.add("select", (condition, share, zero) if taken else (condition, zero, share))
            self._contribute(operand, self._sum_to(share, self._axes(old), self._axes(operand)))

    def _reduce(self, old: int, node: Node, numbers: dict[int, int], cotangent: int) -> None:
        b = self.builder
        operation, over = node.attribute("operation"), node.attribute("over")
        operand = node.operands[0]
        if operation == "sum":
            self._contribute(operand, cotangent)
        elif operation in ("max", "min"):
            if outputs_invariant(self.graph, old):
                return
            tie = b.add("eq", (numbers[operand], numbers[old]))
            count = b.reduce("sum", b.add("select", (tie, b.const(1.0), b.const(0.0))), over)
            self._contribute(operand, b.add("select", (tie, b.add("div", (cotangent, count)), b.const(0.0))))
        elif operation == "prod":
            # the product of the others, exact with zeros and at every order: sum-free, quadratic in the axes' length
            renames = {axis: b.fresh_axis(axis, b.lengths[axis]) for axis in over}
            try:
                others = substitute(b, numbers[operand], {axis: renamed_axis(new) for axis, new in renames.items()})
            except NotImplementedError as error:
                raise NotDifferentiable(f"prod of what {error}") from error
            same: int | None = None
            for axis, new in renames.items():
                equal = b.add("eq", (b.add("index", axis=axis), b.add("index", axis=new)))
                same = equal if same is None else b.add("and", (same, equal))
            assert same is not None
            rest = b.reduce("prod", b.add("select", (same, b.const(1.0), others)), tuple(renames.values()))
            self._contribute(operand, b.add("mul", (cotangent, conjugate(b, rest))))

    def _scan(self, old: int, node: Node, numbers: dict[int, int]) -> None:
        """The recurrence of which `old` is the first node: by now all its results have their cotangents."""
        graph = self.graph
        members = [n for n, other in enumerate(graph.nodes) if same_recurrence(node, other) and other.kind in _DIFFERENTIABLE]
        given = [number for number in members if self.contributions.get(number)]
        if old != members[0] or not given:
            return
        cotangents = {graph.nodes[n].attribute("result"): add_masked(self.builder, self.contributions[n]) for n in given}
        try:
            move_to_earlier_values(self.builder, graph, self.free, node, numbers, numbers[old])
        except NotImplementedError as error:
            raise NotDifferentiable(f"a scan of {error}") from error
        axis = node.attribute("axis")
        running = {p: n for p, n in running_nodes(graph, node).items() if graph.nodes[n].kind in _DIFFERENTIABLE}
        axes = {p: tuple(each for each in self._axes(n) if each != axis) for p, n in running.items()}
        within, reaches = paths(graph, node, running)

        def stepwise(seeds: Sequence[tuple[int, int]]) -> dict[int, int]:
            return self._within_step(seeds, within, list(running.values()), numbers)

        found = adjoint(self.builder, graph, node, running, axes, cotangents, reaches, stepwise)
        for position, cotangent in found.steps.items():
            body, initial = bodies_of(node)[position], initials_of(node)[position]
            whole = tuple(dict.fromkeys((axis, *self._axes(initial), *self._axes(body))))
            self._contribute(body, self._sum_to(cotangent, whole, self._axes(body)))
        for position, cotangent in found.initial.items():
            initial = initials_of(node)[position]
            if graph.nodes[initial].kind in _DIFFERENTIABLE:
                self._contribute(initial, self._sum_to(cotangent, axes[position], self._axes(initial)))

    def _within_step(
        self, seeds: Sequence[tuple[int, int]], within: set[int], running: Sequence[int], numbers: dict[int, int]
    ) -> dict[int, int]:
        """Reverse mode within one step: from cotangents of the bodies to those of the running values."""
        outside = self.contributions, self.sliced, self.reads
        self.contributions, self.sliced, self.reads = {}, {}, {}
        for body, cotangent in seeds:
            self._contribute(body, cotangent)
        self._sweep(within - set(running), numbers)
        found = {n: add_masked(self.builder, self.contributions[n]) for n in running if self.contributions.get(n)}
        self.contributions, self.sliced, self.reads = outside
        return found

    def _scatter(self, node: Node, numbers: dict[int, int], cotangent: int) -> None:
        """The adjoint of a transposed read is the read, of the cotangent at the entries' axes."""
        b = self.builder
        view = b.add("view", (spread(b, cotangent, node.axes),), entries=node.attribute("entries"))
        indices = tuple(numbers[operand] for operand in node.operands[1:])
        share = b.add("read", (view, *indices), indices=node.attribute("indices"), boundary=node.attribute("boundary"))
        # a value that lacks an axis summed over went to a position at each of its indices
        self._contribute(node.operands[0], self._sum_to(share, node.attribute("over"), self._axes(node.operands[0])))

    def _sum_to(self, value: int, given: Sequence[str], kept: Sequence[str]) -> int:
        """Sum over the axes of `given` that are not in `kept`; an axis the value lacks counts its length."""
        b = self.builder
        present = [axis for axis in given if axis not in kept and axis in b.nodes[value].axes]
        for axis in given:
            if axis not in kept and axis not in b.nodes[value].axes:
                value = b.add("mul", (value, b.add("length", length=b.lengths[axis])))
        return b.reduce("sum", value, present)

    def _gradient(self, name: str) -> Output:
        """The gradient of an input: the sum of the transposed reads of the cotangents of its reads."""
        spec = self.builder.inputs[name]
        shares = self.reads.get(self.sources[name], ()) if name in self.sources else ()
        total = adjoint_of_reads(self.builder, spec.entries, shares) if shares else self.builder.const(0.0)
        return Output(TensorSpec(gradient_name(name), "gradient", spec.entries, spec.dtype), total)


def _floating(dtype: str) -> bool:
    return dtype not in ("bool", "i32", "i64")
