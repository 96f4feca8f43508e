"""What both forms of a recurrence in C++ share: its loops, and where a step stores.

In: a scan step of a schedule and its recurrence. Out: `ScanWriter`, the ground of `scan.py` and `scan_stages.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...schedule.nest import Nest
from ...schedule.scans import Recurrence
from ...schedule.steps import ScanStep, Schedule, Store
from ..access import Access
from ..lengths import identifier
from ..loops import Loop, merged_loops
from .expressions import CPP_TYPES, bare, convert
from .values import ValueWriter


class ScanWriter(ValueWriter):
    """The recurrence, its loops, and where a step stores."""

    def __init__(self, schedule: Schedule, step: ScanStep, scan: Recurrence) -> None:
        self.scan = scan
        nest = Nest((), (*scan.rest, scan.axis), (), (), {}, scan.cone)
        super().__init__(schedule, step, nest)
        self.along = Loop((scan.axis,), f"i_{identifier(scan.axis)}", self.lengths[scan.axis])

    def _merged(self, axes: Sequence[str]) -> tuple[Loop, ...]:
        return merged_loops(axes, self.nest, self.nodes, dict(self.lengths), self.walks)

    def _set_loops(self, outer: Sequence[Loop], inner: Sequence[Loop]) -> None:
        self.outer, self.inner = tuple(outer), tuple(inner)
        self.outer_axes = {axis for loop in self.outer for axis in loop.axes}

    def _count(self, loops: Sequence[Loop]) -> str:
        return " * ".join(self.length(loop.length) for loop in loops) or "1"

    def _decode(self, loops: Sequence[Loop], remaining: str) -> None:
        """Declares the loops' variables, from the number of a point of all of them."""
        declarations = []
        for position, loop in reversed(list(enumerate(loops))):
            size = self.length(loop.length)
            value = remaining if position == 0 else f"{remaining} % {size}"
            declarations.append(f"const int64_t {loop.variable} = {value};")
            remaining = f"({remaining} / {size})"
        for declaration in reversed(declarations):
            self.out.add(declaration)

    def _open_steps(self) -> None:
        """The loop along the axis, in the direction of the recurrence."""
        length, variable = self.length(self.along.length), self.along.variable
        if self.scan.reverse:
            self.out.open(f"for (int64_t {variable} = {length} - 1; {variable} >= 0; --{variable})")
        else:
            self.out.open(f"for (int64_t {variable} = 0; {variable} < {length}; ++{variable})")

    def _changing(self, number: int) -> bool:
        """Whether a value differs from step to step."""
        return number in self.scan.free or self.scan.axis in self.nodes[number].axes

    def _define_fixed(self, roots: Sequence[int], axes: set[str]) -> None:
        """Names the values below `roots` that vary along no other axes than `axes` and on no running value."""
        for number in self._needed(roots):
            if number not in self.scan.free and set(self.nodes[number].axes) <= axes:
                self._define(number, single=False)

    def _stored(self, position: int) -> list[tuple[Store, Access]]:
        """The stores of the running value at a position."""
        pairs = zip(self.step.stores, self.store_accesses, strict=True)
        return [(store, each) for store, each in pairs if self.scan.results[store.node] == position]

    def _once(self, store: Store, loops: Sequence[Loop]) -> list[str]:
        """What must hold at the one point of the loops, along which the value does not vary, that stores it."""
        return [f"{loop.variable} == 0" for loop in loops if not set(loop.axes) & set(store.axes)]

    def _last(self) -> str:
        """What holds at the last step."""
        last = "0" if self.scan.reverse else f"{self.length(self.along.length)} - 1"
        return f"{self.along.variable} == {last}"

    def _assign(self, target: str, number: int, kind: str) -> None:
        text = convert(bare(self.text_of[number]), self.nodes[number].kind, kind)  # type: ignore[arg-type]
        self.out.add(f"{target} = {text};")

    def _following(self, running: Mapping[int, str], loops: Sequence[Loop]) -> None:
        """The values after a step, at a point of the loops: to where running values are kept, and to their places; last the
        stores that are made at some points only."""
        out = self.out
        late: list[tuple[list[str], Store, Access, str]] = []
        for position, number in self.scan.bodies.items():
            kind = self._kind(position)
            name = self.names.fresh("following", number)
            self._assign(f"const {CPP_TYPES[kind]} {name}", number, kind)
            for store, each in self._stored(position):
                once = self._once(store, loops)
                if self.scan.axis not in store.axes:
                    once.append(self._last())
                if once:
                    late.append((once, store, each, name))
                else:
                    self._store(store, each, name)
            if position in running:
                out.add(f"{running[position]} = {name};")
        for once, store, each, name in late:
            out.open(f"if ({' && '.join(once)})")
            self._store(store, each, name)
            out.close()

    def _kind(self, position: int) -> str:
        """The kind of the running value at a position: its own, or that of the scan that reads it."""
        if position in self.scan.running:
            return self.nodes[self.scan.running[position]].kind
        return next(self.nodes[number].kind for number, place in self.scan.results.items() if place == position)

    def _comment(self) -> str:
        stored = ", ".join(dict.fromkeys(store.place.buffer for store in self.step.stores))
        rest = f", for each of {' x '.join(self.scan.rest)}" if self.scan.rest else ""
        return f"{stored}: steps {'back ' if self.scan.reverse else ''}along {self.scan.axis}{rest}"
