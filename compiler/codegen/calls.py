"""The calls of a program's entry point: one for each step, and the loop over tiles around some of them.

In: a schedule, and for kernels their sources. Out: `CallWriter`, lines of C++ for the entry point; it notes the lengths they use.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from ..lang.checked import Length
from ..schedule.steps import CheckStep, KernelStep, Place, ProductStep, ScanStep, ScatterStep, Schedule, TileLoop, WindowStep
from .access import access
from .lengths import cpp_length, identifier
from .product_calls import loop_texts, operands
from .values import KernelSource
from .window_calls import window_call

WORKSPACE = 384 * (768 + 96)  # elements a thread: workspace_elements of product.hpp


class CallWriter:
    """`within`: whether the step being written is inside the tile loop; `lengths`: what the calls have used, in order."""

    def __init__(self, plan: Schedule) -> None:
        self.plan = plan
        self.lengths: dict[str, None] = {}
        self.within = False

    def _use(self, length: Length) -> str:
        for symbol in sorted(length.free_symbols, key=lambda s: s.name):
            self.lengths.setdefault(symbol.name)
        return cpp_length(length)

    def _tile_begin(self, tile: TileLoop) -> list[str]:
        """Opens the loop over tiles: every thread takes a share of the rows, its own temporaries and, for sums over the rows, its
        own result.

        Within the loop the axis is as long as the tile. It runs once even for no rows, to clear what sums over them.
        """
        length = self._use(self.plan.lengths[tile.axis])
        lines = [
            f"const int64_t whole = {length}, most = lamina::min(whole, {self._use(tile.extent)});",
            f"const int64_t team = lamina::team_size(threads, whole, whole * {self._use(self._row_elements(tile))});",
            "#pragma omp parallel num_threads(team) if (team > 1)",
            "{",
            "const int64_t members = omp_get_num_threads(), member = omp_get_thread_num();",
            "const int64_t begin = whole * member / members, end = whole * (member + 1) / members;",
            "const int64_t tiles = lamina::at_least_one((end - begin + most - 1) / lamina::at_least_one(most));",
            "const int64_t extent = lamina::at_least_one((end - begin + tiles - 1) / tiles);",
        ]
        for name in tile.tiled:
            lines.append(
                f"Real* const own_{identifier(name)} = at_{identifier(name)} + member * most * {self._use(self._row_size(name))};"
            )
        for name in self._summed(tile):
            size = self._use(self._size(name))
            stem = identifier(name)
            other = f"partial_{stem} + (member - 1) * {size}"
            lines.append(f"Real* const own_{stem} = member == 0 ? at_{stem} : {other};")
        lines += [
            "for (int64_t first = begin; first == begin || first < end; first += extent) {",
            f"const int64_t {length} = lamina::min(extent, end - first);",
        ]
        return lines

    def _tile_end(self, tile: TileLoop) -> list[str]:
        lines = ["}"]
        summed = self._summed(tile)
        if summed:
            lines.append("#pragma omp barrier")
        for name in summed:
            pointers = f"at_{identifier(name)}, partial_{identifier(name)}"
            lines.append(f"lamina::add_partials({pointers}, {self._use(self._size(name))}, member, members);")
        return [*lines, "}"]

    def _summed(self, tile: TileLoop) -> list[str]:
        """The results of the products that sum over the tiled axis."""
        steps = self.plan.steps[tile.first : tile.last]
        return [step.result.buffer for step in steps if isinstance(step, ProductStep) and tile.axis in step.k]

    def _size(self, name: str) -> Length:
        size: Length = sympy.Integer(1)
        for dimension in self.plan.buffers[name].dimensions:
            size = size * dimension
        return size

    def _row_size(self, name: str) -> Length:
        size: Length = sympy.Integer(1)
        for dimension in self.plan.buffers[name].dimensions[1:]:
            size = size * dimension
        return size

    def _row_elements(self, tile: TileLoop) -> Length:
        return sum((self._row_size(name) for name in tile.tiled), sympy.Integer(0))

    def _address(self, place: Place) -> str:
        """The pointer of a buffer; within the tile loop, the thread's own, or that of the tile's first row."""
        pointer = f"at_{identifier(place.buffer)}"
        tile = self.plan.tile
        if not self.within or tile is None:
            return pointer
        if place.buffer in (*tile.tiled, *self._summed(tile)):
            return f"own_{identifier(place.buffer)}"
        stride = access(place, self.plan.buffers, self.plan.lengths).stride(tile.axis)
        return pointer if stride == 0 else f"{pointer} + first * {self._use(stride)}"

    def _kernel_call(self, kernel: KernelSource, step: KernelStep | ScanStep, stride: Length) -> str:
        places = {place.buffer: place for place in kernel.places}
        given = [self._address(places[name]) for name in kernel.buffers]
        if kernel.scratch != 0:
            words = self._use(stride)
            given += [f"scratch + member * {words}" if self.within else "scratch", words]
        given += [cpp_length(sympy.Symbol(name, integer=True, nonnegative=True)) for name in kernel.lengths]
        return f"{kernel.name}({', '.join([*given, '1' if self.within else 'threads'])});"

    def _check_call(self, step: CheckStep, number: int) -> str:
        """Ends the call, with the check's number (from 1), the index's extremes and the dimension's length as its status."""
        low, high = (f"{self._address(place)}[0]" if place is not None else "0" for place in (step.low, step.high))
        length = self._use(step.length)
        return f"if (lamina::leaves({self._use(step.points)}, {low}, {high}, {length}, {number}, status)) return;"

    def _points(self, axes: Iterable[str]) -> str:
        length: Length = sympy.Integer(1)
        for axis in axes:
            length = length * self.plan.lengths[axis]
        return self._use(length)

    def _scatter_call(self, step: ScatterStep) -> str:
        sizes = [self._points(axes) for axes in (step.outer, step.groups, step.points)]
        sizes += [self._use(step.rows), self._points(step.inner)]
        places = [self._address(place) for place in (step.keys, step.values, step.result, step.start, step.order)]
        return f"lamina::scatter<Real>(threads, {', '.join([*sizes, *places])});"

    def _product_call(self, step: ProductStep) -> list[str]:
        given = operands(step)
        loops = loop_texts(step, self.plan.buffers, self.plan.lengths, self._use)
        accumulate = "true" if step.accumulate else "false"
        if self.within and self.plan.tile is not None and self.plan.tile.axis in step.k:
            accumulate = "first != begin"
        lines, names = ["{"], []
        for name, text in zip(("batch", "m", "n", "k"), loops, strict=True):
            lines.append(f"const lamina::axis {name}[] = {{{text}}};")
            names.append(f"{{{text.count('{')}, {name}}}")
        team = f"1, workspace + member * {WORKSPACE}" if self.within else "threads, workspace"
        places = ", ".join(self._address(place) + self._offset(place) for place in (given.left, given.right, step.result))
        return [*lines, f"lamina::product<Real>({team}, {', '.join(names)}, {places}, {accumulate});", "}"]

    def _window_call(self, step: WindowStep) -> list[str]:
        call = window_call(step, self.plan.buffers, self.plan.lengths, self._use)
        form = "spread" if step.roles.spreads else "collect"
        places = ", ".join(
            self._address(place) + ("" if offset == 0 else f" + {self._use(sympy.expand(offset))}")
            for place, offset in ((step.data, call.data), (step.weight, call.weight), (step.result, call.result))
        )
        counts = f"{{{len(call.outer)}, outer}}, {{{len(call.others)}, others}}"
        return [
            "{",
            f"const lamina::axis outer[] = {{{', '.join(call.outer)}}}, others[] = {{{', '.join(call.others)}}};",
            f"const lamina::windows loops{{{counts}, {', '.join(call.fields)}}};",
            f"lamina::{form}_windows<Real>(threads, loops, {places});",
            "}",
        ]

    def _offset(self, place: Place) -> str:
        offset = access(place, self.plan.buffers, self.plan.lengths).offset
        return "" if offset == 0 else f" + {self._use(offset)}"
