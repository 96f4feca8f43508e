"""The calls of a program's entry point: one for each step.

In: a schedule, and for kernels their sources. Out: `CallWriter`, lines of C++ for the entry point; it notes the lengths they use.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from ...ir.graph import size_of
from ...lang.checked import Length
from ...schedule.steps import (
    LOOP_PREFIXES,
    CheckStep,
    Place,
    ProductStep,
    ScatterStep,
    Schedule,
    TileLoop,
    TransformStep,
    WindowStep,
)
from ..access import access
from ..lengths import cpp_length, identifier
from ..products import operands
from .packed_operands import packed_elements, packed_name, packed_products
from .product_calls import loop_texts, right_loop_texts
from .values import KernelSource
from .window_calls import window_call

WORKSPACE = 384 * (768 + 96)  # elements a thread: workspace_elements of product.hpp


class CallWriter:
    """`lengths`: what the calls have used of the lengths known at the call, in order."""

    def __init__(self, plan: Schedule) -> None:
        self.plan = plan
        self.lengths: dict[str, None] = {}

    def _use(self, length: Length) -> str:
        self._note(symbol.name for symbol in sorted(length.free_symbols, key=lambda s: s.name))
        return cpp_length(length)

    def _note(self, names: Iterable[str]) -> None:
        for name in names:
            if not name.startswith(LOOP_PREFIXES):
                self.lengths.setdefault(name)

    def _pointer(self, plan: Schedule, name: str) -> str:
        """A buffer's first element; of one that holds a tile, the thread's own part."""
        return f"{'own' if plan.buffers[name].tile else 'at'}_{identifier(name)}"

    def _kernel_call(self, plan: Schedule, kernel: KernelSource, stride: Length, tile: TileLoop | None) -> str:
        given = [self._pointer(plan, name) for name in kernel.buffers]
        if kernel.scratch != 0:
            words = self._use(stride)
            given += [f"scratch + member * {words}" if tile is not None else "scratch", words]
        given += [cpp_length(sympy.Symbol(name, integer=True, nonnegative=True)) for name in kernel.lengths]
        return f"{kernel.name}({', '.join([*given, 'threads' if tile is None else '1'])});"

    def _check_call(self, plan: Schedule, step: CheckStep, number: int) -> str:
        """Ends the call, with the check's number (from 1), the index's extremes and the dimension's length as its status."""
        low, high = (f"{self._address(plan, place)}[0]" if place is not None else "0" for place in (step.low, step.high))
        length = self._use(step.length)
        return f"if (lamina::leaves({self._use(step.points)}, {low}, {high}, {length}, {number}, status)) return;"

    def _points(self, axes: Iterable[str]) -> str:
        return self._use(size_of(self.plan.lengths[axis] for axis in axes))

    def _scatter_call(self, step: ScatterStep) -> str:
        sizes = [self._points(axes) for axes in (step.outer, step.groups, step.points)]
        sizes += [self._use(step.rows), self._points(step.inner)]
        places = [self._pointer(self.plan, place.buffer) for place in (step.keys, step.values, step.result, step.start, step.order)]
        return f"lamina::scatter<Real>(threads, {', '.join([*sizes, *places])});"

    def _transform_call(self, step: TransformStep) -> str:
        source, target, n = (self._use(length) for length in step.lengths)
        sizes = ", ".join([self._points(step.outer), source, target, self._points(step.inner), n])
        places = (*step.operands, *step.results, *(None,) * (2 - len(step.results)))
        pointers = ["nullptr" if place is None else self._pointer(self.plan, place.buffer) for place in places]
        function = f"lamina::transform<lamina::transforms::{step.function}, Real>"
        return f"{function}(threads, transform_workspace, {sizes}, {', '.join(pointers)});"

    def _packing(self, tile: TileLoop) -> tuple[list[str], list[str]]:
        """Packs what the loop's products need packed: lines before the loop, lines at the begin of each tile."""
        before: list[str] = []
        within: list[str] = []
        plan = self.plan.within(tile)
        for position in packed_products(self.plan, tile):
            step = self.plan.steps[position]
            assert isinstance(step, ProductStep)
            loops = right_loop_texts(step, plan.buffers, plan.lengths, self._use)
            named = dict(zip(("batch", "n", "k"), loops, strict=True))
            counts = ", ".join(f"{{{text.count('{')}, {name}}}" for name, text in named.items())
            given = f"{counts}, {self._address(plan, operands(step).right)}, {self._packed(position, tile)}"
            condition = f"packs_{position}"
            before.append(f"const bool {condition} = {self._use(self.plan.lengths[tile.axis])} > {self._use(tile.extent)};")
            if tile.batch:
                condition += " && (tile == begin || tile % tiles.blocks == 0)"
            lines = [
                f"if ({condition}) {{",
                f"const lamina::axis {', '.join(f'{name}[] = {{{text}}}' for name, text in named.items())};",
                f"lamina::pack_right<Real>({'1' if tile.batch else 'threads'}, {given});",
                "}",
            ]
            (within if tile.batch else before).extend(lines)
        return before, within

    def _packed(self, position: int, tile: TileLoop) -> str:
        """Where the packed operand of the product at this position is."""
        if not tile.batch:
            return packed_name(position)
        step = self.plan.steps[position]
        assert isinstance(step, ProductStep)
        return f"{packed_name(position)} + member * ({self._use(packed_elements(self.plan, tile, step))})"

    def _product_call(self, plan: Schedule, position: int, step: ProductStep, tile: TileLoop | None) -> list[str]:
        given = operands(step)
        loops = loop_texts(step, plan.buffers, plan.lengths, self._use)
        accumulate, result = "false", self._address(plan, step.result)
        if tile is not None and tile.axis in step.k:
            accumulate = "added"
            if tile.divisible:
                result = f"own_{identifier(step.result.buffer)}"
        lines, names = ["{"], []
        for name, text in zip(("batch", "m", "n", "k"), loops, strict=True):
            lines.append(f"const lamina::axis {name}[] = {{{text}}};")
            names.append(f"{{{text.count('{')}, {name}}}")
        team = "threads, workspace" if tile is None else f"1, workspace + member * {WORKSPACE}"
        packed = "nullptr"
        if tile is not None and position in packed_products(self.plan, tile):
            packed = f"packs_{position} ? {self._packed(position, tile)} : nullptr"
        places = ", ".join((self._address(plan, given.left), self._address(plan, given.right), packed, result))
        return [*lines, f"lamina::product<Real>({team}, {', '.join(names)}, {places}, {accumulate});", "}"]

    def _window_call(self, step: WindowStep) -> list[str]:
        call = window_call(step, self.plan.buffers, self.plan.lengths, self._use)
        form = "spread" if step.roles.spreads else "collect"
        places = ", ".join(
            self._pointer(self.plan, place.buffer) + ("" if offset == 0 else f" + {self._use(sympy.expand(offset))}")
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

    def _address(self, plan: Schedule, place: Place) -> str:
        offset = access(plan.moved(place), plan.buffers, plan.lengths).offset
        return self._pointer(plan, place.buffer) + ("" if offset == 0 else f" + {self._use(offset)}")
