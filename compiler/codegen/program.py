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
from ..schedule.partition import schedule
from ..schedule.program import Argument, Program, Signature
from ..schedule.steps import KernelStep, Place, ProductStep, Schedule, TileLoop
from .access import access, stride_variable
from .kernel import STORAGE_TYPES, KernelSource, kernel_source
from .lengths import cpp_length, identifier, python_length
from .version import VERSION

_HEADERS = ("math_base.hpp", "math_double.hpp", "math_float.hpp", "math_special.hpp", "storage.hpp", "loops.hpp")
WORKSPACE_FIXED = 384 * 1536  # elements; block_depth * block_columns of product.hpp
WORKSPACE_THREAD = 384 * 96  # and block_depth * block_rows a thread


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(_template)
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)


def _template(name: str) -> str:
    return resources.files("lamina.templates.cpp").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=2)
def runtime_text(products: bool) -> str:
    """The runtime headers as one text, without include directives of each other; that for matrix products where there are any."""
    parts = []
    for name in (*_HEADERS, *(("product.hpp",) if products else ())):
        text = _template(name)
        text = re.sub(r'^#include "[^"]*"\n', "", text, flags=re.MULTILINE).replace("#pragma once\n", "")
        parts.append(text)
    return "".join(parts)


def generate(graph: Graph, signature: Signature, direction: str = "forward", text: str = "") -> Program:
    """The C++ program of a math-level graph for tensors of this signature. Raises schedule.partition.NotLowered."""
    plan = schedule(finish(graph), signature)
    return _Assembly(graph, plan, signature, direction, text).program()


class _Assembly:
    def __init__(self, graph: Graph, plan: Schedule, signature: Signature, direction: str, text: str) -> None:
        self.graph = graph
        self.plan = plan
        self.signature = signature
        self.direction = direction
        self.text = text
        self.lengths: dict[str, None] = {}
        self.kernels: list[KernelSource] = []
        self.products = any(isinstance(step, ProductStep) for step in plan.steps)
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
                calls += self._tile_end()
        arguments = self._arguments(scratch)
        strides = self._strides()
        body = _environment().get_template("program.cpp.jinja").render(
            banner=self._banner(),
            runtime=runtime_text(self.products),
            real=STORAGE_TYPES[self.signature.compute],
            kernels=[kernel.text for kernel in self.kernels],
            symbol="lamina_run",
            locals=self._locals(arguments, strides),
            calls=calls,
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
        return tuple(
            (buffer.name, dimension)
            for buffer in self.plan.buffers.values()
            if buffer.strided
            for dimension in range(len(buffer.dimensions))
        )

    def _arguments(self, scratch: list[Length]) -> tuple[Argument, ...]:
        arguments = []
        for buffer in self.plan.buffers.values():
            dtype = self.signature.compute if buffer.dtype == "compute" else buffer.dtype
            arguments.append(Argument(buffer.name, buffer.role, dtype, tuple(python_length(length) for length in buffer.dimensions)))
        if self.products:
            arguments.append(Argument("workspace", "temporary", self.signature.compute, (f"{WORKSPACE_FIXED} + threads * {WORKSPACE_THREAD}",)))
        if scratch:
            words = ", ".join(python_length(length) for length in scratch)
            arguments.append(Argument("scratch", "temporary", "f64", ("threads", f"max({words}, 0)")))
        return tuple(arguments)

    def _tile_begin(self, tile: TileLoop) -> list[str]:
        """Opens the loop over tiles; within it the axis is as long as the tile. It runs once even for no rows, to clear what sums over them."""
        length = self._use(self.plan.lengths[tile.axis])
        return [
            f"const int64_t whole = {length}, extent = {self._use(tile.extent)};",
            "for (int64_t first = 0; first == 0 || first < whole; first += extent) {",
            f"const int64_t {length} = lamina::min(extent, whole - first);",
        ]

    def _tile_end(self) -> list[str]:
        return ["}"]

    def _address(self, place: Place) -> str:
        """The pointer of a buffer; within the tile loop, at the tile's first row."""
        pointer = f"at_{identifier(place.buffer)}"
        tile = self.plan.tile
        if not self.within or tile is None or place.buffer in tile.tiled:
            return pointer
        stride = access(place, self.plan.buffers).stride(tile.axis)
        return pointer if stride == 0 else f"{pointer} + first * {self._use(stride)}"

    def _kernel_call(self, kernel: KernelSource, step: KernelStep, stride: Length) -> str:
        places = {place.buffer: place for place in kernel.places}
        given = [self._address(places[name]) for name in kernel.buffers]
        if kernel.scratch != 0:
            given += ["scratch", self._use(stride)]
        given += [cpp_length(sympy.Symbol(name, integer=True, nonnegative=True)) for name in kernel.lengths]
        return f"{kernel.name}({', '.join([*given, 'threads'])});"

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
            accumulate = "first != 0"
        return f"lamina::product<Real>(threads, workspace, {sizes}, {', '.join(operands)}, {self._address(step.result)}, {accumulate});"

    def _locals(self, arguments: tuple[Argument, ...], strides: tuple[tuple[str, int], ...]) -> list[str]:
        lines = []
        names = self._integer_names()
        for position, name in enumerate(names):
            lines.append(f"const int64_t {cpp_length(sympy.Symbol(name, integer=True, nonnegative=True))} = integers[{position}];")
        for position, (name, dimension) in enumerate(strides):
            lines.append(f"const int64_t {stride_variable(name, dimension)} = integers[{len(names) + position}];")
        for position, argument in enumerate(arguments):
            if argument.name == "workspace":
                lines.append(f"Real* const workspace = static_cast<Real*>(data[{position}]);")
                continue
            if argument.name == "scratch":
                lines.append(f"double* const scratch = static_cast<double*>(data[{position}]);")
                continue
            buffer = self.plan.buffers[argument.name]
            constant = "const " if argument.role == "input" else ""
            kind = STORAGE_TYPES[buffer.dtype]
            lines.append(f"{constant}{kind}* const at_{identifier(argument.name)} = static_cast<{constant}{kind}*>(data[{position}]);")
        lines.append("(void)services, (void)integers, (void)data;")
        return lines

    def _banner(self) -> list[str]:
        lines = [f"Lamina {VERSION}: layer {self.graph.name}, {self.direction}, target cpp, reals computed in {self.signature.compute}"]
        lines += [line for line in self.text.strip().splitlines()] if self.text else []
        stored = ", ".join(f"{entry.name} {entry.dtype} {entry.layout}" for entry in self.signature.inputs)
        lines.append(f"inputs: {stored or 'none'}")
        lines.append("fused multiply-add: allowed (-ffp-contract=fast); reassociation: only in sums marked `omp simd reduction`")
        lines.append("approximations: none")
        lines.append(f"fingerprint: {fingerprint(self.graph)}")
        return lines

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
