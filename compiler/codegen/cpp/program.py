"""A whole program: kernels, the entry point that runs them in order, the arguments it takes.

In: a graph and a signature. Out: a `Program`, its source self-contained (the runtime headers it needs are part of the text).
What holds: the same graph, signature and version give the same bytes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources

import jinja2
import sympy

from ...ir.graph import Graph
from ...lang.checked import Length
from ...passes.pipeline import finish
from ...passes.ties import needs_same_bits
from ...schedule.partition import schedule
from ...schedule.program import REAL_COUNTERPARTS, STATUS_WORDS, Argument, Program, Signature
from ...schedule.steps import (
    CheckStep,
    KernelStep,
    ProductStep,
    ScanStep,
    ScatterStep,
    Schedule,
    TileLoop,
    TransformStep,
    WindowStep,
    tile_length,
)
from ..access import passed_strides, stride_variable
from ..banner import banner
from ..lengths import cpp_length, identifier, python_length
from .calls import WORKSPACE, CallWriter
from .kernel import kernel_source
from .packed_operands import packed_elements, packed_name, packed_products
from .scan import scan_source
from .tile_calls import longest, partials, tile_begin, tile_dimensions, tile_end
from .values import STORAGE_TYPES, KernelSource

_HEADERS = ("math_base.hpp", "math_double.hpp", "math_float.hpp", "math_special.hpp", "storage.hpp", "indices.hpp", "loops.hpp")
SHARES, SHARED_WORDS = 4, 65536  # shares_per_thread and most_shared_words of loops.hpp


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(_template)
    return jinja2.Environment(
        loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )


def _template(name: str) -> str:
    return resources.files("lamina.templates.cpp").joinpath(name).read_text(encoding="utf-8")


# Every product rounded on its own in what follows, and as before again.
_NOT_FUSED = """#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#endif
"""
_FUSED = """#if defined(__clang__)
#pragma STDC FP_CONTRACT ON
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
"""


@lru_cache(maxsize=16)
def runtime_text(further: tuple[str, ...], same_bits: bool) -> str:
    """The runtime headers as one text, without include directives of each other; the `further` ones for steps that need them.

    With `same_bits` products and sums are not fused, except within the further ones (what these compute is never computed twice).
    """
    texts = [
        re.sub(r'^#include "[^"]*"\n', "", _template(name), flags=re.MULTILINE).replace("#pragma once\n", "")
        for name in (*_HEADERS, *further)
    ]
    if same_bits:
        general = len(_HEADERS)
        texts = [_NOT_FUSED, *texts[:general], *((_FUSED, *texts[general:], _NOT_FUSED) if further else ())]
    return "".join(texts)


COMPLEX_COUNTERPARTS = {real: name for name, real in REAL_COUNTERPARTS.items()}
# what the call of a step, or of a loop over some, needs beside what every program has
STEP_HEADERS: dict[type, tuple[str, ...]] = {
    ProductStep: ("vectors.hpp", "product.hpp"),
    WindowStep: ("vectors.hpp", "stencil.hpp"),
    ScatterStep: ("scatter.hpp",),
    TransformStep: ("fft_passes.hpp", "fft.hpp"),
    TileLoop: ("tiles.hpp",),
}


# of fft.hpp: the points of a block of lines, the least and the most lines in it, and the longest lines that share one
BLOCK_POINTS, LEAST_LINES, MOST_LINES, LONGEST_SHARED = 32768, 8, 64, 131072


def _transform_words(n: str) -> str:
    """The elements that transforms of n points work in: tables, then blocks of lines, one a thread (see fft.hpp)."""
    lines = f"(max({LEAST_LINES}, min({MOST_LINES}, {BLOCK_POINTS} // max({n}, 1))) if ({n}) <= {LONGEST_SHARED} else 1)"
    return f"24 * ({n}) + 64 + threads * (16 * ({n}) * {lines} + 8 * {lines} + 64)"


def generate(graph: Graph, signature: Signature, direction: str = "forward") -> Program:
    """The C++ program of a math-level graph for tensors of this signature. Raises schedule.partition.NotLowered."""
    plan = schedule(finish(graph), signature)
    return _Assembly(graph, plan, signature, direction).program()


class _Assembly(CallWriter):
    def __init__(self, graph: Graph, plan: Schedule, signature: Signature, direction: str) -> None:
        super().__init__(plan)
        self.graph = graph
        self.signature = signature
        self.direction = direction
        self.kernels: list[KernelSource] = []
        self.products = any(isinstance(step, ProductStep) for step in plan.steps)
        self.same_bits = needs_same_bits(graph)

    def program(self) -> Program:
        calls: list[str] = []
        scratch: list[Length] = []
        checks: list[str] = []
        for position, step in enumerate(self.plan.steps):
            tile = self.plan.tile_of(position)
            plan = self.plan if tile is None else self.plan.within(tile)
            if tile is not None and position == tile.first:
                before, within = self._packing(tile)
                calls += [*before, *tile_begin(self.plan, tile, self._use), *within]
            if isinstance(step, (KernelStep, ScanStep)):
                kernel = kernel_source(plan, step) if isinstance(step, KernelStep) else scan_source(plan, step)
                self.kernels.append(kernel)
                self._note(kernel.lengths)
                words = kernel.scratch
                if tile is not None:
                    words = words.subs(tile_length(tile.axis), longest(tile, self.plan.lengths))
                stride = sympy.floor((words + 31) / 16) * 16 if words != 0 else sympy.Integer(0)
                if words != 0:
                    scratch.append(stride)
                calls.append(self._kernel_call(plan, kernel, stride, tile))
            elif isinstance(step, ProductStep):
                calls += self._product_call(plan, position, step, tile)
            elif isinstance(step, ScatterStep):
                calls.append(self._scatter_call(step))
            elif isinstance(step, TransformStep):
                calls.append(self._transform_call(step))
            elif isinstance(step, WindowStep):
                calls += self._window_call(step)
            elif isinstance(step, CheckStep):
                checks.append(step.text)
                calls.append(self._check_call(plan, step, len(checks)))
            else:
                raise AssertionError(f"no call for {step}")
            if tile is not None and position == tile.last - 1:
                calls += tile_end(self.plan, tile, self._use)
        arguments = self._arguments(scratch, bool(checks))
        strides = self._strides()
        body = (
            _environment()
            .get_template("program.cpp.jinja")
            .render(
                banner=banner(self.graph, self.signature, self.direction, "cpp", self.same_bits),
                runtime=runtime_text(self._further_headers(), self.same_bits),
                real=STORAGE_TYPES[self.signature.compute],
                kernels=[kernel.text for kernel in self.kernels],
                symbol="lamina_run",
                locals=self._locals(arguments, strides),
                calls=calls,
            )
        )
        return Program(
            name=self.graph.name,
            direction=self.direction,
            target="cpp",
            source=body,
            symbol="lamina_run",
            arguments=arguments,
            integers=tuple(python_length(sympy.Symbol(name, integer=True, nonnegative=True)) for name in self._integer_names()),
            strides=strides,
            report=self._report(),
            checks=tuple(checks),
        )

    def _further_headers(self) -> tuple[str, ...]:
        parts = (*self.plan.steps, *self.plan.tiles)
        return tuple(dict.fromkeys(name for part in parts for name in STEP_HEADERS.get(type(part), ())))

    def _integer_names(self) -> list[str]:
        return [name for name in self.lengths if not name.startswith("stride ")]

    def _strides(self) -> tuple[tuple[str, int], ...]:
        return tuple((buffer.name, dimension) for buffer in self.plan.buffers.values() for dimension in passed_strides(buffer))

    def _arguments(self, scratch: list[Length], checked: bool) -> tuple[Argument, ...]:
        arguments = []
        for buffer in self.plan.buffers.values():
            dtype = self.signature.compute if buffer.dtype == "compute" else buffer.dtype
            loop = next((tile for tile in self.plan.tiles if buffer.name in tile.tiled), None)
            dimensions = buffer.dimensions if loop is None else tile_dimensions(buffer, loop, self.plan.lengths)
            if buffer.parts:
                dtype, dimensions = COMPLEX_COUNTERPARTS[dtype], dimensions[:-1]
            shape = tuple(python_length(length) for length in dimensions)
            shape = shape if loop is None else ("threads", *shape)
            arguments.append(Argument(buffer.name, buffer.role, dtype, shape, buffer.same_as))
        for tile in self.plan.tiles:
            for name, size in partials(self.plan, tile).items():
                shape = ("max(threads - 1, 0)", python_length(size))
                arguments.append(Argument(f"partial_{name}", "temporary", self.signature.compute, shape))
            for position in packed_products(self.plan, tile):
                step = self.plan.steps[position]
                assert isinstance(step, ProductStep)
                size = python_length(packed_elements(self.plan, tile, step))
                wanted = f"{python_length(self.plan.lengths[tile.axis])} > {python_length(tile.extent)}"
                shape = (*(("threads",) if tile.batch else ()), f"({size} if {wanted} else 0)")
                arguments.append(Argument(packed_name(position), "temporary", self.signature.compute, shape))
        if self.products:
            arguments.append(Argument("workspace", "temporary", self.signature.compute, ("threads", str(WORKSPACE))))
        transforms = [step for step in self.plan.steps if isinstance(step, TransformStep)]
        if transforms:
            words = ", ".join(_transform_words(python_length(step.lengths[2])) for step in transforms)
            arguments.append(Argument("transform_workspace", "temporary", self.signature.compute, (f"max({words}, 0)",)))
        if scratch:
            sizes = [python_length(length) for length in scratch]
            words = ", ".join(f"({size}) * ({SHARES} if ({size}) <= {SHARED_WORDS} else 1)" for size in sizes)
            arguments.append(Argument("scratch", "temporary", "f64", ("threads", f"max({words}, 0)")))
        if checked:
            arguments.append(Argument("status", "status", "i64", (str(STATUS_WORDS),)))
        return tuple(arguments)

    def _locals(self, arguments: tuple[Argument, ...], strides: tuple[tuple[str, int], ...]) -> list[str]:
        lines = []
        names = self._integer_names()
        for position, name in enumerate(names):
            lines.append(f"const int64_t {cpp_length(sympy.Symbol(name, integer=True, nonnegative=True))} = integers[{position}];")
        for position, (name, dimension) in enumerate(strides):
            lines.append(f"const int64_t {stride_variable(name, dimension)} = integers[{len(names) + position}];")
        for position, argument in enumerate(arguments):
            if argument.name not in self.plan.buffers and argument.name.startswith(("partial_", "packed_")):
                lines.append(f"Real* const {identifier(argument.name)} = static_cast<Real*>(data[{position}]);")
                continue
            if argument.name in ("workspace", "transform_workspace"):
                lines.append(f"Real* const {argument.name} = static_cast<Real*>(data[{position}]);")
                continue
            if argument.name == "scratch":
                lines.append(f"double* const scratch = static_cast<double*>(data[{position}]);")
                continue
            if argument.role == "status":
                lines.append(f"int64_t* const status = static_cast<int64_t*>(data[{position}]);")
                lines.append("status[0] = 0;")
                continue
            buffer = self.plan.buffers[argument.name]
            constant = "const " if argument.role == "input" else ""
            kind = STORAGE_TYPES[buffer.dtype]
            lines.append(
                f"{constant}{kind}* const at_{identifier(argument.name)} = static_cast<{constant}{kind}*>(data[{position}]);"
            )
        lines.append("(void)integers, (void)data, (void)threads;")
        return lines

    def _report(self) -> tuple[tuple[str, str], ...]:
        rows = []
        for step in self.plan.steps:
            if isinstance(step, (KernelStep, ScanStep)):
                source = next(kernel for kernel in self.kernels if kernel.name == step.name)
                rows.append((step.name, source.text.splitlines()[0].removeprefix("// ")))
            elif isinstance(step, ProductStep):
                rows.append((step.name, f"matrix product over {'*'.join(step.k)}: {'*'.join(step.m)} x {'*'.join(step.n)}"))
            elif isinstance(step, TransformStep):
                rows.append((step.name, f"{step.function} from {step.source} to {step.target}, {step.lengths[2]} points"))
            elif isinstance(step, ScatterStep):
                rows.append((step.name, f"values over {'*'.join(step.points)} added up at the rows that their keys name"))
            elif isinstance(step, WindowStep):
                rows.append((step.name, f"sum over windows, side by side along {step.roles.column}"))
            elif isinstance(step, CheckStep):
                rows.append((step.name, f"{step.text} must be in 0..{step.length - 1}"))
        rows += [("note", note) for note in self.plan.notes]
        return tuple(rows)
