"""One kernel step as a C++ function: loops, values, reductions, stores.

In: a kernel step of a schedule. Out: `KernelSource`: the function's text, its parameters and the scratch memory it needs.

Structure of the text: values without axes; a parallel region; rows (the outer loops) divided into shares for the threads; in a row
one run of the inner loops a stage. A sum is gathered in a register over the innermost loop, at most CHUNK terms at a time, then
added to a float64 total, so that its error does not grow with the length. Sums over rows go to one partial result a share and are
added up in their order: the result depends on the number of threads, never on timing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...schedule.steps import KernelStep, Schedule, Store
from ..access import Access
from ..loops import moves
from ..text import Lines
from .expressions import CPP_TYPES
from .reductions import ACCUMULATORS, CHUNK, PRAGMA, ReductionWriter, start_value
from .values import KernelSource


def kernel_source(schedule: Schedule, step: KernelStep) -> KernelSource:
    """The C++ of one kernel step."""
    return _Kernel(schedule, step).emit()


class _Kernel(ReductionWriter):
    """The text of a whole kernel function."""

    def emit(self) -> KernelSource:
        body = Lines()
        self.out = body
        body.indent()
        self._invariants()
        self._region()
        self._combine_columns()
        return self._function(body, self._comments())

    def _comments(self) -> list[str]:
        stored = ", ".join(dict.fromkeys(store.place.buffer for store in self.step.stores))
        loops = " x ".join("*".join(loop.axes) for loop in (*self.outer, *self.inner)) or "one point"
        return [f"{stored}: loops over {loops}" + (f", {self.nest.stages} stages a row" if self.row else "")]

    def _invariants(self) -> None:
        """Values without axes that need no reduction: once, before the loops."""
        for number in self.nest.cone:
            if not self.nodes[number].axes and self.nest.levels[number] == 0 and number not in self.column:
                self._define(number, single=False)

    def _region(self) -> None:
        out = self.out
        pieces = self.outer or self.inner
        count = " * ".join(self.length(loop.length) for loop in pieces) if pieces else "1"
        points = " * ".join(self.length(loop.length) for loop in (*self.outer, *self.inner)) or "1"
        out.add(f"const int64_t pieces = {count};")
        out.add(f"const int64_t team = lamina::team_size(threads, pieces, {points});")
        words = "scratch_stride" if self.scratch != 0 else "0"
        out.add(f"const int64_t members = lamina::share_count(team, pieces, {words});")
        # more shares than threads: one that is held up does not hold up the rest; each share has sums of its own
        out.add("#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1)")
        out.open("for (int64_t member = 0; member < members; ++member)")
        out.add("const int64_t begin = pieces * member / members, end = pieces * (member + 1) / members;")
        if self.scratch != 0:
            out.add("double* __restrict own = scratch + member * scratch_stride;")
        if self.lanes:
            self._start_lanes()
        else:
            for number in self.column:
                self._start_array(number, self.column_offsets[number], self.nodes[number].axes)
        if self.outer:
            self._rows()
        else:
            self._row()
        if self.lanes:
            out.add("flush();")
        out.close()

    def _rows(self) -> None:
        """The outer loops over a share of the points: the last as a loop, those before it flattened and decoded once a
        run."""
        out = self.out
        last = self.outer[-1]
        if len(self.outer) == 1:
            out.open(f"for (int64_t {last.variable} = begin; {last.variable} < end; ++{last.variable})")
            self._row()
            self._gathered("1")
            out.close()
            return
        length = self.length(last.length)
        out.add(f"const int64_t run = lamina::at_least_one({length});")
        out.open("for (int64_t lead = begin / run; lead * run < end; ++lead)")
        remaining = "lead"
        declarations = []
        for position, loop in reversed(list(enumerate(self.outer[:-1]))):
            if position == 0:
                declarations.append(f"const int64_t {loop.variable} = {remaining};")
            else:
                size = f"lamina::at_least_one({self.length(loop.length)})"
                declarations.append(f"const int64_t {loop.variable} = {remaining} % {size};")
                remaining = f"({remaining} / {size})"
        for declaration in reversed(declarations):
            out.add(declaration)
        out.add("const int64_t low = lamina::max(begin - lead * run, int64_t(0)), high = lamina::min(end - lead * run, run);")
        out.open(f"for (int64_t {last.variable} = low; {last.variable} < high; ++{last.variable})")
        self._row()
        out.close()
        self._gathered("(high - low)")
        out.close()

    def _row(self) -> None:
        self._row_values(0)
        for stage in range(self.nest.stages):
            self._stage(stage)
            self._row_values(stage + 1)

    def _row_values(self, level: int) -> None:
        """Values of the row known once `level` stages are done, the column sums gathered from them and the stores made once a
        row."""
        for number in self.nest.cone:
            node = self.nodes[number]
            if self.nest.levels[number] != level or self._inside_row(number) or number in self.column:
                continue
            if not node.axes and level == 0:
                continue
            if number in self.row:
                kind = CPP_TYPES[node.kind]
                self.text_of[number] = self.names.fresh(node.name or node.attribute("operation"), number)
                self.out.add(f"const {kind} {self.text_of[number]} = {kind}(total_{number});")
            else:
                self._define(number, single=False)
        if not self.row:
            return
        for number in self.column:
            body = self.nodes[number].operands[0]
            if not self._inside_row(body) and self.nest.levels[body] == level:
                self._fold(number, self.text_of[body])
        for store, each in zip(self.step.stores, self.store_accesses, strict=True):
            if store.node in self.column or any(axis not in self.outer_axes for axis in store.axes):
                continue
            if self.nest.levels[store.node] == level:
                self._store(store, each, self.text_of[store.node])

    def _stage(self, stage: int) -> None:
        out = self.out
        reductions = [n for n in self.row if self.nest.levels[n] == stage + 1]
        columns = [
            n
            for n in self.column
            if (not self.row or self._inside_row(self.nodes[n].operands[0]))
            and self.nest.levels[self.nodes[n].operands[0]] == stage
        ]
        stores = [
            (store, each)
            for store, each in zip(self.step.stores, self.store_accesses, strict=True)
            if store.node not in self.column
            and store.node not in self.row
            and self._stored_inside(store)
            and self.nest.levels[store.node] == stage
        ]
        if not reductions and not columns and not stores:
            return
        for number in reductions:
            node = self.nodes[number]
            if self._kept_inner(number):
                self._start_array(number, self.row_offsets[number], self._kept_inner(number))
            else:
                kind = ACCUMULATORS[node.kind]
                out.add(f"{kind} total_{number} = {start_value(node, kind)};")
        roots = [self.nodes[n].operands[0] for n in (*reductions, *columns)] + [store.node for store, _ in stores]
        needed = self._needed(roots)
        with self._scope():
            for position, loop in enumerate(self.inner[:-1]):
                out.open(f"for (int64_t {loop.variable} = 0; {loop.variable} < {self.length(loop.length)}; ++{loop.variable})")
                self._values_at(needed, position)
            if self.inner:
                self._innermost(needed, reductions, columns, stores, len(self.inner) - 1)
            else:
                self._point(needed, reductions, columns, stores)
            for _ in self.inner[:-1]:
                out.close()
        for store, each in zip(self.step.stores, self.store_accesses, strict=True):
            if store.node in reductions and self._kept_inner(store.node):
                self._store_array(store, each)

    def _stored_inside(self, store: Store) -> bool:
        return not self.row or any(axis not in self.outer_axes for axis in store.axes)

    def _innermost(
        self,
        needed: Sequence[int],
        reductions: Sequence[int],
        columns: Sequence[int],
        stores: Sequence[tuple[Store, Access]],
        depth: int,
    ) -> None:
        out = self.out
        loop = self.inner[-1]
        variable = loop.variable
        if self.lanes:
            self._innermost_lanes(needed, columns, stores, depth)
            return
        split = not self.outer  # the only loop is the one divided among threads
        registers = [n for n in (*reductions, *columns) if loop.axes[0] in self.nodes[n].attribute("over")]
        low, high = ("begin", "end") if split else ("0", self.length(loop.length))
        chunked = any(self.nodes[n].attribute("operation") == "sum" for n in registers) and not (
            loop.length.is_Integer and int(loop.length) <= CHUNK
        )
        # what is named ahead of the loop belongs to this stage alone
        braced = not chunked and bool(self.row) and any(self.accesses[n].fitted for n in needed if n in self.accesses)
        if braced:
            out.open("")
        if chunked:
            out.open(f"for (int64_t chunk = {low}; chunk < {high}; chunk += {CHUNK})")
            out.add(f"const int64_t chunk_end = chunk + {CHUNK} < {high} ? chunk + {CHUNK} : {high};")
            low, high = "chunk", "chunk_end"
        clauses: dict[str, list[str]] = {}
        for number in registers:
            node = self.nodes[number]
            kind = "Real" if node.kind == "real" else "int64_t"
            out.add(f"{kind} part_{number} = {start_value(node, kind)};")
            clauses.setdefault(PRAGMA[node.attribute("operation")], []).append(f"part_{number}")
        text = "".join(f" reduction({operator} : {', '.join(parts)})" for operator, parts in clauses.items())
        for first, last in self._stretches(needed, stores, low, high):
            with self._scope():
                out.add(f"#pragma omp simd{text}")
                out.open(f"for (int64_t {variable} = {first}; {variable} < {last}; ++{variable})")
                self._values_at(needed, depth)
                for number in (*reductions, *columns):
                    value = self.text_of[self.nodes[number].operands[0]]
                    if number in registers:
                        self._accumulate(number, f"part_{number}", value)
                    else:
                        self._fold(number, value)
                for store, each in stores:
                    self._store(store, each, self.text_of[store.node])
                out.close()
        for number in registers:
            self._fold(number, f"part_{number}")
        if chunked or braced:
            out.close()

    def _stretches(
        self, needed: Sequence[int], stores: Sequence[tuple[Store, Access]], low: str, high: str
    ) -> Iterator[tuple[str, str]]:
        """The stretches of the innermost loop that are written out: where indices may be outside their dimensions there is one in
        which all are inside, and need no test, and the rest before and after it. Where an index that does not move with the loop
        is outside, all of the loop is the former: tests that are the same at every point would keep loads from being vectors."""
        loop = self.inner[-1]
        accesses = [*(self.accesses[number] for number in needed if number in self.accesses), *(each for _, each in stores)]
        self._settle(accesses, loop)
        moving = list(dict.fromkeys(fitted for each in accesses for fitted in each.fitted if moves(fitted, loop)))
        tested = {fitted: name for fitted, name in self.settled.items() if fitted.boundary == "zero"}
        if not moving and not tested:
            yield low, high
            self.settled = {}
            return
        out = self.out
        out.add(f"int64_t inside_begin = {low}, inside_end = {high};")
        for fitted in moving:
            assert isinstance(fitted.index, Access)
            index = self.offset(fitted.index, (*self.outer, *self.inner[:-1]))
            step, length = self.length(fitted.index.stride(loop.step_axis)), self.length(fitted.length)
            out.add(f"lamina::narrow(inside_begin, inside_end, {index}, {step}, {length});")
        if tested:
            out.add(f"if (!({' && '.join(tested.values())})) inside_begin = inside_end = {high};")
        yield low, "inside_begin"
        self.inside = frozenset((*moving, *tested))
        yield "inside_begin", "inside_end"
        self.inside = frozenset()
        if moving:
            yield "inside_end", high
        self.settled = {}

    def _innermost_lanes(
        self, needed: Sequence[int], columns: Sequence[int], stores: Sequence[tuple[Store, Access]], depth: int
    ) -> None:
        """The innermost loop a vector of lanes at a time; the lanes of each sum are loaded before it and stored after it."""
        out = self.out
        loop = self.inner[-1]
        length = self.length(loop.length)
        places = {n: self._lane_place(n) for n in columns}
        # a row longer than lanes may gather is taken in parts, the lanes emptied after each
        out.open(f"for (int64_t chunk = 0; chunk < {length}; chunk += most_gathered)")
        out.add(f"const int64_t chunk_end = lamina::min(chunk + most_gathered, int64_t({length}));")
        for number in columns:
            out.add(f"Real part_{number}[lanes];")
            out.add(
                f"for (int64_t lane = 0; lane < lanes; ++lane) part_{number}[lane] = own_lanes[({places[number]}) * lanes + lane];"
            )
        out.open(f"const auto point = [&](const int64_t {loop.variable}, const int64_t lane) __attribute__((always_inline))")
        self._values_at(needed, depth)
        for number in columns:
            self._accumulate(number, f"part_{number}[lane]", self.text_of[self.nodes[number].operands[0]])
        for store, each in stores:
            self._store(store, each, self.text_of[store.node])
        out.close_with(";")
        out.add(f"int64_t {loop.variable} = chunk;")
        out.open(f"for (; {loop.variable} + lanes <= chunk_end; {loop.variable} += lanes)")
        out.add("#pragma omp simd")
        out.add(f"for (int64_t lane = 0; lane < lanes; ++lane) point({loop.variable} + lane, lane);")
        out.close()
        # the rest as one masked vector: a scalar loop would force the accumulators into memory, even where it runs zero times
        out.open(f"if ({loop.variable} < chunk_end)")
        out.add("#pragma omp simd")
        out.open("for (int64_t lane = 0; lane < lanes; ++lane)")
        out.add(f"if ({loop.variable} + lane < chunk_end) point({loop.variable} + lane, lane);")
        out.close()
        out.close()
        for number in columns:
            out.add(
                f"for (int64_t lane = 0; lane < lanes; ++lane) own_lanes[({places[number]}) * lanes + lane] = part_{number}[lane];"
            )
        out.add(f"if ({length} > most_gathered) flush();")
        out.close()

    def _point(
        self, needed: Sequence[int], reductions: Sequence[int], columns: Sequence[int], stores: Sequence[tuple[Store, Access]]
    ) -> None:
        """A nest without loops: one point, done by the first thread."""
        self.out.open("if (begin < end)")
        for number in needed:
            self._define(number, single=False)
        for store, each in stores:
            self._store(store, each, self.text_of[store.node])
        self.out.close()
