"""A recurrence whose steps look at other points than their own, as a C++ function.

In: a scan step of a schedule. Out: its `KernelSource`.

A step of `h / sqrt(mean[D](h*h))` needs all of h along D. So the running values along such axes lie in a thread's scratch memory,
and a step is a sequence of loop nests: each reduction, and each scan within, fills an array of scratch; then the values after the
step are computed from these, and replace the ones before. Sums are gathered in float64. What remains of the axes is divided among
threads. Right for any body; no effort is made to run loops together or in vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sympy

from ...ir.scans import same_recurrence
from ...schedule.nest import used_by
from ...schedule.scans import Recurrence, recurrence
from ..access import Access
from ..lengths import identifier
from ..loops import Loop
from ..text import Lines
from .expressions import CPP_TYPES, bare, convert
from .reductions import ACCUMULATORS, COMBINE, start_value
from .scan_writer import ScanWriter
from .values import KernelSource


class StagedScan(ScanWriter):
    """`arrays`: the name of the scratch array that holds a value, and the axes it is laid out along."""

    def emit(self) -> KernelSource:
        body = self._body()
        return self._function(body, [self._words()])

    def _words(self) -> str:
        return f"{self._comment()}, {len(self.scan.staged)} stage(s) a step"

    def _body(self) -> Lines:
        body = Lines()
        self.out = body
        body.indent()
        self.arrays: dict[int, tuple[str, tuple[str, ...]]] = {}
        self._set_loops((), ())
        self._define_fixed([*self.scan.bodies.values(), *self.scan.initials.values()], set())
        shared = tuple(self._loop(axis) for axis in self.scan.rest if axis not in self.scan.within)
        inside = Lines()
        inside.indent()
        inside.indent()
        inside.indent()
        self.out = inside
        self._set_loops(shared, ())
        self._recurrence(self.scan, shared, {}, frozenset())
        self.out = body
        self._region(shared, inside)
        return body

    def _loop(self, axis: str) -> Loop:
        return Loop((axis,), f"i_{identifier(axis)}", self.lengths[axis])

    def _region(self, shared: Sequence[Loop], inside: Lines) -> None:
        out = self.out
        out.add(f"const int64_t pieces = {self._count(shared)};")
        points = " * ".join(self.length(self.lengths[axis]) for axis in (*self.scan.rest, self.scan.axis))
        out.add(f"const int64_t team = lamina::team_size(threads, pieces, {points});")
        words = "scratch_stride" if self.scratch != 0 else "0"
        out.add(f"const int64_t members = lamina::share_count(team, pieces, {words});")
        out.add("#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)")
        out.open("for (int64_t member = 0; member < members; ++member)")
        if self.scratch != 0:
            out.add("double* __restrict own = scratch + member * scratch_stride;")
        out.open("for (int64_t piece = pieces * member / members; piece < pieces * (member + 1) / members; ++piece)")
        self._decode(shared, "piece")
        out.append(inside)
        out.close()
        out.close()

    # -------------------------------------------------------------------------------------------- arrays

    def _new_array(self, stem: str, number: int, kind: str, axes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        name = self.names.fresh(identifier(stem), number)
        base = f"own + {self.length(self.scratch)}" if self.scratch != 0 else "own"
        self.out.add(f"{CPP_TYPES[kind]}* const {name} = reinterpret_cast<{CPP_TYPES[kind]}*>({base});")
        self.scratch = self.scratch + self._points(axes)
        return name, tuple(axes)

    def _element(self, array: tuple[str, tuple[str, ...]], fixed: tuple[str, int] | None = None) -> str:
        """An array's element at the point of the loops, at a fixed position of one axis."""
        name, axes = array
        loops = [loop for loop in (*self.outer, *self.inner) if set(loop.axes) <= set(axes)]
        strides = tuple((axis, self._points(axes[place + 1 :])) for place, axis in enumerate(axes))
        start = sum((stride * fixed[1] for axis, stride in strides if fixed and axis == fixed[0]), sympy.Integer(0))
        return f"{name}[{self.offset(Access(strides, start), [loop for loop in loops if not fixed or fixed[0] not in loop.axes])}]"

    def _value(self, number: int) -> str:
        node = self.nodes[number]
        if node.op == "slice" and node.operands[0] in self.arrays:
            return self._element(self.arrays[node.operands[0]], (node.attribute("axis"), node.attribute("position")))
        return self._element(self.arrays[number]) if number in self.arrays else super()._value(number)

    def _needed(self, roots: Sequence[int]) -> list[int]:
        self.row = tuple(self.arrays)  # what is finished is not computed again
        needed = super()._needed(roots)
        whole = set(roots)  # of an array that is only sliced, no element is read besides
        whole.update(n for k in needed if self.nodes[k].op != "slice" for n in used_by(self.nodes, self.leaves, k))
        return [number for number in needed if number not in self.arrays or number in whole]

    # -------------------------------------------------------------------------------------------- nests

    @contextmanager
    def _nest(
        self, context: Sequence[Loop], loops: Sequence[Loop], roots: Sequence[int], inner: Sequence[Loop] = ()
    ) -> Iterator[list[int]]:
        """The body of the loops, at a point of `context`, with the values below `roots` that it needs; `inner`: loops that are
        opened within it."""
        with self._scope():
            self._set_loops(context, (*loops, *inner))
            needed = self._needed(roots)
            if not loops:
                self.out.open("")
            if not loops and not inner:
                self._values_at(needed, 0)
            self._open(loops, needed)
            yield needed
            for _ in range(max(len(loops), 1)):
                self.out.close()

    def _open(self, loops: Sequence[Loop], needed: Sequence[int], first: int = 0) -> None:
        for position, loop in enumerate(loops, start=first):
            self.out.open(f"for (int64_t {loop.variable} = 0; {loop.variable} < {self.length(loop.length)}; ++{loop.variable})")
            self._values_at(needed, position)

    def _assigned(self, number: int, kind: str) -> str:
        return convert(bare(self.text_of[number]), self.nodes[number].kind, kind)  # type: ignore[arg-type]

    # -------------------------------------------------------------------------------------------- recurrences

    def _recurrence(
        self,
        scan: Recurrence,
        context: tuple[Loop, ...],
        results: Mapping[int, tuple[str, tuple[str, ...]]],
        known: frozenset[str],
    ) -> None:
        """One recurrence at a point of `context`; `results`: the arrays of its values, of a scan within; else its stores."""
        around = {axis for loop in context for axis in loop.axes}
        inner = [axis for axis in scan.rest if axis not in around]
        loops = tuple(self._loop(axis) for axis in inner)
        kinds = {position: self.nodes[number].kind for position, number in scan.running.items()}
        following = {}
        self.names.push()
        for position, number in scan.running.items():
            name = self.nodes[number].attribute("name")
            self.arrays[number] = self._new_array(f"{name}_now", number, kinds[position], inner)
            following[position] = self._new_array(f"{name}_next", number, kinds[position], inner)
        if scan.running:
            with self._nest(context, loops, list(scan.initials.values())):
                for position, number in scan.running.items():
                    initial = self._assigned(scan.initials[position], kinds[position])
                    self.out.add(f"{self._element(self.arrays[number])} = {initial};")
        along = self._loop(scan.axis)
        length, variable = self.length(along.length), along.variable
        head = f"int64_t {variable} = 0; {variable} < {length}; ++{variable}"
        if scan.reverse:
            head = f"int64_t {variable} = {length} - 1; {variable} >= 0; --{variable}"
        self.out.open(f"for ({head})")
        names = known | frozenset(self.nodes[next(iter(scan.results))].attribute("names"))
        self._stages(scan, (*context, along), names)
        with self._nest((*context, along), loops, list(scan.bodies.values())):
            for position, number in scan.bodies.items():
                if position in following:
                    self.out.add(f"{self._element(following[position])} = {self._assigned(number, kinds[position])};")
                for result, place in scan.results.items():
                    if place != position:
                        continue
                    if result in results:
                        self.out.add(f"{self._element(results[result])} = {self._assigned(number, self.nodes[result].kind)};")
                        continue
                    text = self._assigned(number, self.nodes[result].kind)
                    for store, each in self._stored(position):
                        once = self._once(store, (*context, *loops))
                        if scan.axis not in store.axes:
                            once.append(self._last())
                        self.out.open(f"if ({' && '.join(once)})" if once else "")
                        self._store(store, each, text)
                        self.out.close()
        for position, number in scan.running.items():
            size = self.length(self._points(inner))
            self.out.add(f"for (int64_t i = 0; i < {size}; ++i) {self.arrays[number][0]}[i] = {following[position][0]}[i];")
        self.out.close()
        self.names.pop()

    def _stages(self, scan: Recurrence, context: tuple[Loop, ...], names: frozenset[str]) -> None:
        """The reductions and the scans that a step finishes first."""
        done: set[int] = set()
        for number in scan.staged:
            if number in done:
                continue
            if self.nodes[number].op == "reduce":
                self._reduction(number, context)
                continue
            group = [n for n in scan.staged if same_recurrence(self.nodes[number], self.nodes[n])]
            done.update(group)
            around = {axis for loop in context for axis in loop.axes}
            results = {
                n: self._new_array("values", n, self.nodes[n].kind, [axis for axis in self.nodes[n].axes if axis not in around])
                for n in group
            }
            self._recurrence(recurrence(self.nodes, tuple(self.lengths), self.leaves, (), group, names), context, results, names)
            self.arrays.update(results)

    def _reduction(self, number: int, context: tuple[Loop, ...]) -> None:
        node = self.nodes[number]
        around = {axis for loop in context for axis in loop.axes}
        kept = [axis for axis in node.axes if axis not in around]
        array = self._new_array(node.name or node.attribute("operation"), number, node.kind, kept)
        loops, over = (tuple(self._loop(axis) for axis in axes) for axes in (kept, node.attribute("over")))
        body = node.operands[0]
        kind = ACCUMULATORS[node.kind]
        with self._nest(context, loops, [body], over) as needed:
            self.out.add(f"{kind} total_{number} = {start_value(node, kind)};")
            self._open(over, needed, len(loops))
            value = convert(bare(self.text_of[body]), self.nodes[body].kind, node.kind)
            self.out.add(COMBINE[node.attribute("operation")].format(f"total_{number}", f"{kind}({bare(value)})"))
            for _ in over:
                self.out.close()
            self.out.add(f"{self._element(array)} = {CPP_TYPES[node.kind]}(total_{number});")
        self.arrays[number] = array
