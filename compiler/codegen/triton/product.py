"""A matrix product as Triton kernels: tiles by tl.dot.

In: a product step of a schedule. Out: its kernels and launches. Holds: float32 products are IEEE's; operands that are both stored
in one half precision are multiplied as they are, exactly, and added up in float32. Where tiles are few and sums long, several
programs share a sum: each stores a partial result, and these are added up in float64 in their order.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...lang.checked import Length
from ...schedule.program import Argument, Launch
from ...schedule.steps import ProductStep, Schedule
from ..gpu.grid import Accesses, points
from ..gpu.products import ProductPlan, plan_product
from ..loops import Loop
from .expressions import ExpressionWriter, Value
from .kernel import Sweep
from .sizes import count
from .values import KernelText, TileValues

_EDGE, _DOUBLE_EDGE, _DEPTH = 64, 32, 32  # of a tile of the result; of a step along the sum
_LEAST = 16  # of any edge of tl.dot
_ENOUGH, _SHARE = 256, 1024  # programs that occupy a device; terms of a sum that are worth a program


def product(schedule: Schedule, step: ProductStep, name: str, writer: ExpressionWriter) -> Sweep:
    """The kernels of a product step."""
    plan = plan_product(schedule, step)
    made = _ProductWriter(schedule, step, plan, name, writer)
    sizes = made.sizes()
    kernel = made.emit()
    totals = _Totals(schedule, step, plan, name, writer).emit()
    launches = (
        Launch("kernel", kernel.name, (f"{sizes['tiles']} * {sizes['splits']}",), made.constants(), kernel.arguments),
        Launch(
            "kernel",
            totals.name,
            (f"(blocks({sizes['results']}, 1024) if {sizes['splits']} > 1 else 0)",),
            (("POINTS", "1024"),),
            totals.arguments,
        ),
    )
    partials = Argument(
        f"{name}_partials",
        "temporary",
        "f64" if writer.double else "f32",
        (f"({sizes['splits']} * {sizes['results']} if {sizes['splits']} > 1 else 0)",),
    )
    note = f"matrix product over {'*'.join(step.k)}: {'*'.join(step.m)} x {'*'.join(step.n)}"
    return Sweep((kernel, totals), launches, (partials,), note)


def product_sizes(plan: ProductPlan, double: bool) -> dict[str, str]:
    """Edges of tiles and numbers of programs, as Python expressions."""
    edge = _DOUBLE_EDGE if double else _EDGE
    m, n, k, batch = (count(loops) for loops in (plan.m, plan.n, plan.k, plan.batch))
    rows, columns = (f"max({_LEAST}, min(padded({each}), {edge}))" for each in (m, n))
    tiles = f"{batch} * blocks({m}, {rows}) * blocks({n}, {columns})"
    splits = f"max(1, min(blocks({k}, {_SHARE}), {_ENOUGH} // max(1, {tiles})))"
    depth = f"max({_LEAST}, min(padded({k}), {_DEPTH}))"
    results = f"{batch} * {m} * {n}"
    return {"rows": rows, "columns": columns, "depth": depth, "tiles": tiles, "splits": splits, "results": results}


class _ProductWriter(TileValues):
    """Dimension 0 of the tile is the rows, 1 the columns; in the left operand 1, in the right one 0, is the sum's."""

    def __init__(self, schedule: Schedule, step: ProductStep, plan: ProductPlan, name: str, writer: ExpressionWriter) -> None:
        super().__init__(schedule, {}, Accesses({}, {}, ()), writer, 2)
        self.step, self.plan, self.name = step, plan, name

    def sizes(self) -> dict[str, str]:
        return product_sizes(self.plan, self.writer.double)

    def constants(self) -> tuple[tuple[str, str], ...]:
        sizes = self.sizes()
        return (("ROWS", sizes["rows"]), ("COLUMNS", sizes["columns"]), ("DEPTH", sizes["depth"]), ("SPLITS", sizes["splits"]))

    def emit(self) -> KernelText:
        out, plan = self.out, self.plan
        out.indent()
        m, n, k = (self.length(points(loops)) for loops in (plan.m, plan.n, plan.k))
        out.add("program = tl.program_id(0).to(tl.int64)")
        out.add(f"row_blocks = tl.cdiv({m}, ROWS)")
        out.add(f"column_blocks = tl.cdiv({n}, COLUMNS)")
        out.add("column_block = program % column_blocks")
        out.add("row_block = program // column_blocks % row_blocks")
        out.add("split = program // (column_blocks * row_blocks) % SPLITS")
        out.add("batch = program // (column_blocks * row_blocks * SPLITS)")
        out.add("row = row_block * ROWS + tl.arange(0, ROWS)[:, None]")
        out.add("column = column_block * COLUMNS + tl.arange(0, COLUMNS)[None, :]")
        self.masks = {0: f"(row < {m})", 1: f"(column < {n})"}
        self.indices = {0: "row", 1: "column"}
        decode(self, plan.batch, "batch", frozenset())
        decode(self, plan.m, "row", frozenset((0,)))
        decode(self, plan.n, "column", frozenset((1,)))
        out.add(f"total = tl.full((ROWS, COLUMNS), 0.0, {self.writer.real})")
        out.add(f"share = tl.cdiv(tl.cdiv({k}, SPLITS), DEPTH) * DEPTH")
        with out.block(f"for first in range(split * share, tl.minimum((split + 1) * share, {k}), DEPTH):"):
            loads = self._loads(k)
            out.add(f'total = tl.dot({loads[0]}, {loads[1]}, total, input_precision="ieee", out_dtype={self.writer.real})')
        self._store(m, n)
        comment = f"{self.step.result.buffer}: matrix product over {'*'.join(self.step.k)}"
        return self.function(self.name, [comment], [constant for constant, _ in self.constants()], self.out)

    def _loads(self, k: str) -> list[str]:
        """The operands' tiles at a step along the sum."""
        dtypes = [self.schedule.buffers[place.buffer].dtype for place in self.plan.places[:2]]
        halves = dtypes[0] == dtypes[1] and dtypes[0] in ("f16", "bf16")
        names = []
        for name, place, each, dim in (
            ("left", self.plan.places[0], self.plan.left, 1),
            ("right", self.plan.places[1], self.plan.right, 0),
        ):
            outer = {d: self.masks[d] for d in self.masks}
            depth = f"{name}_depth"
            self.out.add(f"{depth} = first + tl.arange(0, DEPTH)[{'None, :' if dim else ':, None'}]")
            saved = (self.masks, self.indices)
            self.masks = {1 - dim: outer[1 - dim], dim: f"({depth} < {k})"}
            self.indices = {**self.indices, dim: depth}
            self.joint_masks = {}
            decode(self, self.plan.k, depth, frozenset((dim,)), prefix=f"{name}_")
            both = frozenset((0, 1))
            where = self.spread(self.offset(each), both)
            self.out.add(f"{name} = tl.load({self.pointer(place.buffer)} + {where.text}, mask={self.mask(both)}, other=0)")
            self.masks, self.indices = saved
            self.joint_masks = {}
            converted = "" if halves or self.schedule.buffers[place.buffer].dtype == "compute" else f".to({self.writer.real})"
            names.append(f"{name}{converted}")
        return names

    def _store(self, m: str, n: str) -> None:
        out = self.out
        both = frozenset((0, 1))
        inside = self.mask(both)
        place = self.spread(self.offset(self.plan.result), both)
        partials = f"{self.name}_partials"
        self.buffers.setdefault(partials)
        with out.block("if SPLITS == 1:"):
            out.add(f"tl.store({self.pointer(self.step.result.buffer)} + {place.text}, total, mask={inside})")
        batch = self.length(points(self.plan.batch))
        with out.block("else:"):
            where = f"((split * {batch} + batch) * ({m}) + row) * ({n}) + column"
            out.add(f"tl.store(at_{partials} + {where}, total, mask={inside})")


def decode(values: TileValues, loops: Sequence[Loop], position: str, dims: frozenset[int], prefix: str = "") -> None:
    """Declares the loops' indices, from the number of a point of all of them."""
    lines = []
    for place, loop in reversed(list(enumerate(loops))):
        size = values.length(loop.length)
        name = f"{prefix}{loop.variable}"
        lines.append(f"{name} = {position if place == 0 else f'{position} % ({size})'}")
        position = f"({position} // ({size}))"
        values.set_loop(loop, Value(name, dims))
    for line in reversed(lines):
        values.out.add(line)


class _Totals(TileValues):
    """Adds up the partial results of a product."""

    def __init__(self, schedule: Schedule, step: ProductStep, plan: ProductPlan, name: str, writer: ExpressionWriter) -> None:
        super().__init__(schedule, {}, Accesses({}, {}, ()), writer, 1)
        self.step, self.plan, self.name = step, plan, name

    def emit(self) -> KernelText:
        out, plan = self.out, self.plan
        out.indent()
        self.integers["n_splits"] = product_sizes(plan, self.writer.double)["splits"]
        results: Length = points(plan.batch) * points(plan.m) * points(plan.n)
        out.add("point = tl.program_id(0).to(tl.int64) * POINTS + tl.arange(0, POINTS)")
        out.add(f"inside = point < {self.length(results)}")
        self.masks, self.indices = {0: "inside"}, {0: "point"}
        decode(self, (*plan.batch, *plan.m, *plan.n), "point", frozenset((0,)))
        self.buffers.setdefault(f"{self.name}_partials")
        out.add("total = tl.full((POINTS,), 0.0, tl.float64)")
        with out.block("for split in range(0, n_splits):"):
            where = f"at_{self.name}_partials + split * ({self.length(results)}) + point"
            out.add(f"total += tl.load({where}, mask=inside, other=0).to(tl.float64)")
        place = self.offset(plan.result)
        every = self.spread(place, frozenset((0,)))
        value = "total" if self.writer.double else "total.to(tl.float32)"
        out.add(f"tl.store({self.pointer(self.step.result.buffer)} + {every.text}, {value}, mask=inside)")
        return self.function(f"{self.name}_totals", [f"adds up the partial results of {self.name}"], ["POINTS"], out)
