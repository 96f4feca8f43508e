"""Matrix products and sums over windows as CUDA kernels.

In: a product or window step of a schedule. Out: `Kernel`s, in the order of their launches.

- A product: a block has a tile of the result (`templates/cuda/product.hpp`). The axes of each group (batch, m, n, k) are flattened
to one index, which is decoded where an operand is read: operands lie wherever and however they are stored. Where the result has few
tiles and the sum is long, several blocks share the sum (splits): each leaves float64 partials, which a second kernel adds up in
their order. How many there are depends on lengths alone. - A sum over windows: a group of threads has one point of the result, and
takes the terms of its sum in turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...lang.checked import Length
from ...schedule.program import Launch
from ...schedule.steps import Place, ProductStep, Schedule, WindowStep
from ..access import Access, access
from ..gpu.fusion import FusedProduct
from ..gpu.products import merged, plan_product
from ..lengths import cpp_length, identifier, python_length
from ..loops import Loop
from ..products import stored_axes
from ..text import Lines
from .nests import TERMS
from .writer import (
    GROUP,
    THREADS,
    Divisors,
    Kernel,
    Parameter,
    Scratch,
    arguments_of,
    buffer_parameters,
    divisor,
    head,
    integer,
    length_parameters,
    pointer,
    pointers_first,
    product_of,
)

TILE = 64  # product_tile of product.hpp
PROGRAMS = 512  # blocks that a product aims at
LEAST_TERMS = 1024  # of a sum, before it is worth another split
LANES = 131072  # threads that a sum over windows aims at


class StepWriter:
    """Text over the lengths of a schedule; `used`: the symbols that it has."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.used: dict[str, None] = {}
        self.divisors = Divisors()
        self.out = Lines()
        self.out.indent()

    def length(self, length: Length) -> str:
        for symbol in sorted(length.free_symbols, key=lambda s: s.name):
            self.used.setdefault(symbol.name)
        return cpp_length(length)

    def access(self, place: Place) -> Access:
        found = access(self.schedule.moved(place), self.schedule.buffers, self.schedule.lengths)
        assert not found.fitted
        return found

    def walk(self, loops: Sequence[Loop], each: Access, index: str) -> str:
        """The offset that point `index` of some loops has in a tensor."""
        terms = []
        for loop, value in self.divisors.decoded(loops, index):
            stride = each.stride(loop.step_axis)
            if stride != 0:
                terms.append(f"({value})" if stride == 1 else f"({value}) * ({self.length(stride)})")
        return " + ".join(terms) or "0"

    def element(self, place: Place, offset: str, kind: str = "Real") -> str:
        text = f"at_{identifier(place.buffer)}[{offset}]"
        return text if self.schedule.buffers[place.buffer].dtype == "compute" else f"lamina::convert<{kind}>({text})"

    def plus(self, text: str, offset: Length) -> str:
        """An offset with a constant added."""
        return text if offset == 0 else f"{text} + {self.length(offset)}"

    def count(self, loops: Sequence[Loop]) -> Length:
        return product_of(loop.length for loop in loops)

    def finish(
        self, name: str, comment: str, read: Sequence[str], written: Sequence[str], further: Sequence[Parameter]
    ) -> tuple[str, tuple[str, ...]]:
        parameters = [*buffer_parameters(self.schedule, read, written), *further]
        parameters += [*self.divisors.parameters(), *length_parameters(self.schedule, self.used)]
        parameters = pointers_first(parameters)
        return head(name, comment, parameters) + self.out.text() + "}\n", arguments_of(parameters)


def ordered(axes: Sequence[str], order: Sequence[str]) -> list[str]:
    return sorted(axes, key=lambda axis: order.index(axis) if axis in order else len(order))


def product_kernels(schedule: Schedule, step: ProductStep, name: str) -> list[Kernel]:
    """The kernel of a product, and the one that adds up its splits."""
    plan = plan_product(schedule, FusedProduct(step))
    writer = StepWriter(schedule)
    batch, m, n, k = plan.batch, plan.m, plan.n, plan.k
    counts = [writer.count(each) for each in (batch, m, n, k)]
    python = [python_length(count) for count in counts]
    constants = (
        ("m_tiles", f"blocks({python[1]}, {TILE})"),
        ("n_tiles", f"blocks({python[2]}, {TILE})"),
        ("tiles", f"({python[0]}) * m_tiles * n_tiles"),
        ("splits", f"max(min(blocks({python[3]}, {LEAST_TERMS}), {PROGRAMS} // max(tiles, 1)), 1)"),
        ("results", f"({python[0]}) * ({python[1]}) * ({python[2]})"),
        ("partial_words", "results * splits if splits > 1 else 0"),
    )
    out = writer.out
    out.add("const int64_t tile = blockIdx.x, split = blockIdx.y;")
    out.add(
        "const int64_t m_first = tile / n_tiles % m_tiles * lamina::product_tile, n_first = tile % n_tiles * lamina::product_tile;"
    )
    out.add("const int64_t batch = tile / n_tiles / m_tiles;")
    for name_of, count in zip(("m_count", "n_count", "k_count"), counts[1:], strict=True):
        out.add(f"const int64_t {name_of} = {writer.length(count)};")
    out.add("const int64_t begin = k_count * split / splits, end = k_count * (split + 1) / splits;")
    for side, rows, place, each in (
        ("left", m, plan.left.place, plan.left.access),
        ("right", n, plan.right.place, plan.right.access),
    ):
        base = writer.plus(writer.walk(batch, each, "batch"), each.offset)
        out.open(f"const auto {side} = [&](const int64_t row)")
        out.add(f"const int64_t base = {base} + {writer.walk(rows, each, 'row')};")
        value = writer.element(place, "base + " + writer.walk(k, each, "k"))
        out.add(f"return [=](const int64_t k) {{ return {value}; }};")
        out.close_with(";")
    out.open("const auto store = [&](const int64_t m, const int64_t n, const double total)")
    target = _target(writer, step.result, (batch, m, n))
    out.add(f"if (splits.length == 1) {target} = Real(total);")
    out.add("else partials[((batch * m_count + m) * n_count + n) * splits.length + split] = total;")
    out.close_with(";")
    along = ", ".join("true" if k and each.access.stride(k[-1].step_axis) == 1 else "false" for each in (plan.left, plan.right))
    out.add(f"lamina::block_product<Real, {along}>(m_first, n_first, m_count, n_count, begin, end, left, right, store);")
    further = [
        pointer("double* __restrict__ partials", f"partials_{name}"),
        *(divisor(each, each) for each in ("m_tiles", "n_tiles", "splits")),
    ]
    times = [" x ".join(axes) or "1" for axes in (step.m, step.n, step.k)]
    summary = f"{step.result.buffer}: matrix product of {times[0]} by {times[1]}, summed over {times[2]}"
    text, arguments = writer.finish(
        name, summary, (plan.left.place.buffer, plan.right.place.buffer), (step.result.buffer,), further
    )
    launch = Launch("kernel", name, ("tiles", "splits"), constants, arguments, str(THREADS // 32))
    scratch = (Scratch(f"partials_{name}", "partial_words"),)
    return [Kernel(text, launch, summary, scratch), _splits_kernel(schedule, step.result, (batch, m, n), constants, name)]


def _target(writer: StepWriter, result: Place, loops: Sequence[Sequence[Loop]]) -> str:
    """The element of a product's result at points `batch`, `m` and `n`."""
    each = writer.access(result)
    place = " + ".join(writer.walk(loop, each, name) for loop, name in zip(loops, ("batch", "m", "n"), strict=True))
    return f"at_{identifier(result.buffer)}[{writer.plus(place, each.offset)}]"


def _splits_kernel(
    schedule: Schedule, result: Place, loops: Sequence[Sequence[Loop]], constants: tuple[tuple[str, str], ...], name: str
) -> Kernel:
    """Adds up what the blocks that share a sum have left; launched where there are several."""
    writer = StepWriter(schedule)
    _, m, n = loops
    out = writer.out
    out.add("const int64_t output = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;")
    out.add("if (output >= results) return;")
    out.add("double total = 0;")
    out.add("for (int64_t split = 0; split < splits; ++split) total += partials[output * splits + split];")
    out.add("const int64_t n = output % n_count, m = output / n_count % m_count, batch = output / n_count / m_count;")
    out.add(f"{_target(writer, result, loops)} = Real(total);")
    out.add("(void)batch, (void)m, (void)n;")
    further = [
        pointer("const double* __restrict__ partials", f"partials_{name}"),
        integer("splits", "splits"),
        integer("results", "results"),
        divisor("m_count", python_length(writer.count(m))),
        divisor("n_count", python_length(writer.count(n))),
    ]
    summary = f"{result.buffer}: the shares of a sum added up"
    text, arguments = writer.finish(f"{name}_total", summary, (), (result.buffer,), further)
    grid = (f"blocks(results, {THREADS}) if splits > 1 else 0",)
    return Kernel(text, Launch("kernel", f"{name}_total", grid, constants, arguments, str(THREADS // 32)), summary)


def window_kernels(schedule: Schedule, step: WindowStep, name: str) -> list[Kernel]:
    """The kernel of a sum over windows."""
    writer = StepWriter(schedule)
    node = schedule.nodes[step.node]
    data, weight, result = (writer.access(place) for place in (step.data, step.weight, step.result))
    stored, read = stored_axes(step.result), (*stored_axes(step.data), *stored_axes(step.weight))
    kept = merged(ordered(node.axes, stored), (data, weight, result), schedule.lengths, False)
    over = merged(ordered(node.attribute("over"), read), (data, weight), schedule.lengths, False)
    outputs, terms = writer.count(kept), writer.count(over)
    out = writer.out
    out.add(GROUP)
    out.add("const int64_t output = int64_t(blockIdx.x) * slots + slot;")
    out.add(f"const bool active = output < {writer.length(outputs)};")
    out.add("const int64_t own = active ? output : 0;")
    for side, each in (("data", data), ("weight", weight)):
        out.add(f"const int64_t {side}_base = {writer.plus(writer.walk(kept, each, 'own'), each.offset)};")
    out.add(f"const int64_t terms = {writer.length(terms)};")
    out.add("double total = 0;")
    out.open(f"for (int64_t chunk = lane; chunk < terms; chunk += group * {TERMS})")
    out.add(f"const int64_t chunk_end = lamina::min(chunk + group * {TERMS}, terms);")
    out.add("Real part = Real(0);")
    out.open("for (int64_t term = chunk; term < chunk_end; term += group)")
    factors = [
        writer.element(place, f"{side}_base + {writer.walk(over, each, 'term')}")
        for side, place, each in (("data", step.data, data), ("weight", step.weight, weight))
    ]
    out.add(f"part += {factors[0]} * {factors[1]};")
    out.close()
    out.add("total += double(part);")
    out.close()
    out.add("total = lamina::group_reduce<lamina::by_sum>(total, int(group));")
    target = f"at_{identifier(step.result.buffer)}[{writer.plus(writer.walk(kept, result, 'own'), result.offset)}]"
    out.add(f"if (active && lane == 0) {target} = Real(total);")
    summary = (
        f"{step.result.buffer}: a sum over windows of {' x '.join(node.attribute('over'))}, for each of {' x '.join(node.axes)}"
    )
    text, arguments = writer.finish(
        name, summary, (step.data.buffer, step.weight.buffer), (step.result.buffer,), [integer("group_size", "group")]
    )
    python = [python_length(each) for each in (outputs, terms)]
    group = f"max(min(padded({python[1]}) // 8, padded({LANES} // max({python[0]}, 1)), {THREADS}), 1)"
    launch = Launch(
        "kernel", name, (f"blocks({python[0]}, {THREADS} // group)",), (("group", group),), arguments, str(THREADS // 32)
    )
    return [Kernel(text, launch, summary)]
