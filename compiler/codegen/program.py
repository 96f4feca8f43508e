"""A whole program: kernels, the entry point that runs them in order, the arguments it takes.

In: a graph and a signature. Out: a `Program`, its source self-contained (the runtime headers it needs are part of the text).
What holds: the same graph, signature and version give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources

import jinja2
import sympy

from ..ir.fingerprint import fingerprint
from ..ir.graph import Graph
from ..lang.checked import Length
from ..passes.pipeline import finish
from ..passes.ties import needs_same_bits
from ..schedule.partition import schedule
from ..schedule.program import Argument, Program, Signature
from ..schedule.steps import KernelStep, Place, ProductStep, Schedule, TileLoop
from .access import access, passed_strides, stride_variable
from .kernel import KernelSource, kernel_source
from .lengths import cpp_length, identifier, python_length
from .values import STORAGE_TYPES
from .version import VERSION

_HEADERS = ("math_base.hpp", "math_double.hpp", "math_float.hpp", "math_special.hpp", "storage.hpp", "loops.hpp")
SHARES, SHARED_WORDS = 4, 65536  # shares_per_thread and most_shared_words of loops.hpp
WORKSPACE = 384 * (768 + 96)  # elements a thread: block_depth * (block_columns + block_rows) of product.hpp


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


@lru_cache(maxsize=4)
def runtime_text(products: bool, same_bits: bool) -> str:
    """The runtime headers as one text, without include directives of each other; that for matrix products where there are any.

    With `same_bits` products and sums are not fused, except within matrix products (they are never computed twice).
    """
    names = (*_HEADERS, *(("product.hpp",) if products else ()))
    texts = [
        re.sub(r'^#include "[^"]*"\n', "", _template(name), flags=re.MULTILINE).replace("#pragma once\n", "") for name in names
    ]
    if same_bits:
        general = len(_HEADERS)
        texts = [_NOT_FUSED, *texts[:general], *((_FUSED, *texts[general:], _NOT_FUSED) if products else ())]
    return "".join(texts)


def generate(graph: Graph, signature: Signature, direction: str = "forward") -> Program:
    """The C++ program of a math-level graph for tensors of this signature. Raises schedule.partition.NotLowered."""
    plan = schedule(finish(graph), signature)
    return _Assembly(graph, plan, signature, direction).program()


class _Assembly:
    def __init__(self, graph: Graph, plan: Schedule, signature: Signature, direction: str) -> None:
        self.graph = graph
        self.plan = plan
        self.signature = signature
        self.direction = direction
        self.lengths: dict[str, None] = {}
        self.kernels: list[KernelSource] = []
        self.products = any(isinstance(step, ProductStep) for step in plan.steps)
        self.same_bits = needs_same_bits(graph)
        self.within = False  # whether the step being written is inside the tile loop

    def program(self) -> Program:
        calls: list[str] = []
        scratch: list[Length] = []
        tile = self.plan.tile
        for position, step in enumerate(self.plan.steps):
            self.within = tile is not None and tile.first <= position < tile.last
            if tile is not None and position == tile.first:
                calls += self._tile_begin(tile)
            if isinstance(step, KernelStep):
                kernel = kernel_source(self.plan, step)
                self.kernels.append(kernel)
                for name in kernel.lengths:
                    self.lengths.setdefault(name)
                stride = sympy.floor((kernel.scratch + 31) / 16) * 16 if kernel.scratch != 0 else sympy.Integer(0)
                if kernel.scratch != 0:
                    scratch.append(stride)
                calls.append(self._kernel_call(kernel, step, stride))
            else:
                calls.append(self._product_call(step))
            if tile is not None and position == tile.last - 1:
                calls += self._tile_end(tile)
        arguments = self._arguments(scratch)
        strides = self._strides()
        body = (
            _environment()
            .get_template("program.cpp.jinja")
            .render(
                banner=self._banner(),
                runtime=runtime_text(self.products, self.same_bits),
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
        )

    def _integer_names(self) -> list[str]:
        return [name for name in self.lengths if not name.startswith("stride ")]

    def _use(self, length: Length) -> str:
        for symbol in sorted(length.free_symbols, key=lambda s: s.name):
            self.lengths.setdefault(symbol.name)
        return cpp_length(length)

    def _strides(self) -> tuple[tuple[str, int], ...]:
        return tuple((buffer.name, dimension) for buffer in self.plan.buffers.values() for dimension in passed_strides(buffer))

    def _arguments(self, scratch: list[Length]) -> tuple[Argument, ...]:
        arguments = []
        for buffer in self.plan.buffers.values():
            dtype = self.signature.compute if buffer.dtype == "compute" else buffer.dtype
            shape = tuple(python_length(length) for length in buffer.dimensions)
            if self.plan.tile is not None and buffer.name in self.plan.tile.tiled:
                shape = ("threads", *shape)
            arguments.append(Argument(buffer.name, buffer.role, dtype, shape))
        for name in self._summed(self.plan.tile) if self.plan.tile is not None else ():
            shape = ("max(threads - 1, 0)", python_length(self._size(name)))
            arguments.append(Argument(f"partial_{name}", "temporary", self.signature.compute, shape))
        if self.products:
            arguments.append(Argument("workspace", "temporary", self.signature.compute, ("threads", str(WORKSPACE))))
        if scratch:
            sizes = [python_length(length) for length in scratch]
            words = ", ".join(f"({size}) * ({SHARES} if ({size}) <= {SHARED_WORDS} else 1)" for size in sizes)
            arguments.append(Argument("scratch", "temporary", "f64", ("threads", f"max({words}, 0)")))
        return tuple(arguments)

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
        stride = access(place, self.plan.buffers).stride(tile.axis)
        return pointer if stride == 0 else f"{pointer} + first * {self._use(stride)}"

    def _kernel_call(self, kernel: KernelSource, step: KernelStep, stride: Length) -> str:
        places = {place.buffer: place for place in kernel.places}
        given = [self._address(places[name]) for name in kernel.buffers]
        if kernel.scratch != 0:
            words = self._use(stride)
            given += [f"scratch + member * {words}" if self.within else "scratch", words]
        given += [cpp_length(sympy.Symbol(name, integer=True, nonnegative=True)) for name in kernel.lengths]
        return f"{kernel.name}({', '.join([*given, '1' if self.within else 'threads'])});"

    def _product_call(self, step: ProductStep) -> str:
        def points(axes: Iterable[str]) -> str:
            length: Length = sympy.Integer(1)
            for axis in axes:
                length = length * self.plan.lengths[axis]
            return self._use(length)

        m, n = step.m, step.n
        left, right = step.left, step.right
        order = [axis for index in step.result.indices for axis in index.axes]
        if tuple(order) == (*step.batch, *n, *m) and n != m:
            m, n, left, right = n, m, right, left
        operands = []
        for matrix in (left, right):
            operands += [self._address(matrix.place), "true" if matrix.transposed else "false"]
        sizes = ", ".join(points(axes) for axes in (step.batch, m, n, step.k))
        accumulate = "true" if step.accumulate else "false"
        if self.within and self.plan.tile is not None and self.plan.tile.axis in step.k:
            accumulate = "first != begin"
        team = f"1, workspace + member * {WORKSPACE}" if self.within else "threads, workspace"
        return f"lamina::product<Real>({team}, {sizes}, {', '.join(operands)}, {self._address(step.result)}, {accumulate});"

    def _locals(self, arguments: tuple[Argument, ...], strides: tuple[tuple[str, int], ...]) -> list[str]:
        lines = []
        names = self._integer_names()
        for position, name in enumerate(names):
            lines.append(f"const int64_t {cpp_length(sympy.Symbol(name, integer=True, nonnegative=True))} = integers[{position}];")
        for position, (name, dimension) in enumerate(strides):
            lines.append(f"const int64_t {stride_variable(name, dimension)} = integers[{len(names) + position}];")
        for position, argument in enumerate(arguments):
            if argument.name not in self.plan.buffers and argument.name.startswith("partial_"):
                lines.append(f"Real* const {identifier(argument.name)} = static_cast<Real*>(data[{position}]);")
                continue
            if argument.name == "workspace":
                lines.append(f"Real* const workspace = static_cast<Real*>(data[{position}]);")
                continue
            if argument.name == "scratch":
                lines.append(f"double* const scratch = static_cast<double*>(data[{position}]);")
                continue
            buffer = self.plan.buffers[argument.name]
            constant = "const " if argument.role == "input" else ""
            kind = STORAGE_TYPES[buffer.dtype]
            lines.append(
                f"{constant}{kind}* const at_{identifier(argument.name)} = static_cast<{constant}{kind}*>(data[{position}]);"
            )
        lines.append("(void)integers, (void)data, (void)threads;")
        return lines

    def _banner(self) -> list[str]:
        lines = [
            f"Lamina {VERSION}: layer {self.graph.name}, {self.direction}, target cpp, reals computed in {self.signature.compute}"
        ]
        lines += self._statements()
        stored = ", ".join(f"{entry.name} {entry.dtype} {entry.layout}" for entry in self.signature.inputs)
        lines.append(f"inputs: {stored or 'none'}")
        fused = (
            "none: the gradient of a maximum compares values computed twice" if self.same_bits else "allowed (-ffp-contract=fast)"
        )
        lines.append(f"fused multiply-add: {fused}; reassociation: only in sums marked `omp simd reduction`")
        lines.append("approximations: none")
        lines.append("passes: resolve_views, recognize_and_unroll, differentiate, split, share_nested_sums, share_reciprocals")
        lines.append(f"fingerprint: {fingerprint(self.graph)}")
        lines.append(f"made by: lamina inspect FILE source -l {self.graph.name} --direction {self.direction}")
        return lines

    def _statements(self) -> list[str]:
        """The lines of the specification that named values come from, in its order."""
        spans = [node.span for node in self.graph.nodes if node.span is not None and node.name is not None and node.op != "read"]
        found = {(span.file, span.line): span.text for span in spans if span.text}
        return [f"    {found[place]}" for place in sorted(found)]

    def _report(self) -> tuple[tuple[str, str], ...]:
        rows = []
        for step in self.plan.steps:
            if isinstance(step, KernelStep):
                source = next(kernel for kernel in self.kernels if kernel.name == step.name)
                rows.append((step.name, source.text.splitlines()[0].removeprefix("// ")))
            else:
                rows.append((step.name, f"matrix product over {'*'.join(step.k)}: {'*'.join(step.m)} x {'*'.join(step.n)}"))
        rows += [("note", note) for note in self.plan.notes]
        return tuple(rows)
