"""A matrix product as Triton kernels: tiles by tl.dot, operands and what is made of the result computed on the way.

In: a product of a schedule, perhaps fused with kernels. Out: its kernels and launches. Holds: float32 products are IEEE's; operands
that are both stored in one half precision are multiplied as they are, exactly, and added up in float32. Where tiles are few and
sums long, several programs share a sum: each stores a partial result, and these are added up in float64 in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...lang.checked import Length
from ...schedule.nest import cone_of, leaf_place
from ...schedule.program import Argument, Launch
from ...schedule.steps import KernelStep, Schedule
from ..gpu.fusion import FusedProduct
from ..gpu.grid import Accesses, accesses_of, points
from ..gpu.products import Operand, ProductPlan, plan_product
from ..lengths import identifier
from ..loops import Loop
from .expressions import ExpressionWriter, Value, bare
from .kernel import Sweep
from .sizes import count
from .values import KernelText, TileValues

_EDGE, _DEPTH = 64, 32  # of a tile of the result; of a step along the sum
_LEAST = 16  # of any edge of tl.dot
_ENOUGH, _SHARE = 256, 1024  # programs that occupy a device; terms of a sum that are worth a program
_WARPS = f"(8 if ROWS * COLUMNS >= {_EDGE * _EDGE} else 4)"  # 16 results a thread: with 32 a register is spilled
_BOTH = frozenset((0, 1))


def product(schedule: Schedule, fused: FusedProduct, name: str, writer: ExpressionWriter) -> Sweep:
    """The kernels of a product."""
    plan = plan_product(schedule, fused)
    sizes = product_sizes(plan, fused, writer.double)
    kernel = _ProductWriter(schedule, fused, plan, name, writer).emit()
    totals = _Totals(schedule, fused, plan, name, writer).emit()
    constants = (("ROWS", sizes["rows"]), ("COLUMNS", sizes["columns"]), ("DEPTH", sizes["depth"]), ("SPLITS", sizes["splits"]))
    shared = f"(blocks({sizes['results']}, 1024) if {sizes['splits']} > 1 else 0)"
    launches = (
        Launch("kernel", kernel.name, (f"{sizes['tiles']} * {sizes['splits']}",), constants, kernel.arguments, _WARPS),
        Launch("kernel", totals.name, (shared,), (("POINTS", "1024"),), totals.arguments),
    )
    partials = f"({sizes['splits']} * {_results(plan)} * {sizes['results']} if {sizes['splits']} > 1 else 0)"
    argument = Argument(f"{name}_partials", "temporary", "f64" if writer.double else "f32", (partials,))
    return Sweep((kernel, totals), launches, (argument,), _note(fused))


def _note(fused: FusedProduct) -> str:
    step = fused.step
    parts = [f"matrix product over {'*'.join(step.k)}: {'*'.join(step.m)} x {'*'.join(step.n)}"]
    before = [place.buffer for place, kernel in ((step.left, fused.left), (step.right, fused.right)) if kernel is not None]
    if before:
        parts.append(f"{' and '.join(before)} computed in its tiles")
    if fused.after is not None:
        parts.append(f"{', '.join(dict.fromkeys(store.place.buffer for store in fused.after.stores))} computed from them")
    return "; ".join(parts)


def _results(plan: ProductPlan) -> int:
    """The results that a tile has at each of its points."""
    return 1 if plan.summed else plan.positions


def product_sizes(plan: ProductPlan, fused: FusedProduct, double: bool) -> dict[str, str]:
    """Edges of tiles and numbers of programs, as Python expressions."""
    computed = any(kernel is not None for kernel in (fused.left, fused.right, fused.after))
    edge = _EDGE // 2 if double or computed else _EDGE
    if _results(plan) > 2:
        edge = 32 if not double and _results(plan) <= 8 else _LEAST
    depth = _DEPTH // 2 if double or computed else _DEPTH
    m, n, k, batch = (count(loops) for loops in (plan.m, plan.n, plan.k, plan.batch))
    rows, columns = (f"max({_LEAST}, min(padded({each}), {edge}))" for each in (m, n))
    tiles = f"{batch} * blocks({m}, {rows}) * blocks({n}, {columns})"
    splits = f"max(1, min(blocks({k}, {_SHARE}), {_ENOUGH} // max(1, {tiles})))"
    return {
        "rows": rows,
        "columns": columns,
        "depth": f"max({_LEAST}, min(padded({k}), {depth}))",
        "tiles": tiles,
        "splits": splits,
        "results": f"{batch} * {m} * {n}",
    }


def plan_halves(schedule: Schedule, plan: ProductPlan) -> str | None:
    """The half precision that both operands are stored in, if they are; their products are exact."""
    dtypes = {schedule.buffers[each.place.buffer].dtype for each in (plan.left, plan.right)}
    computed = plan.left.kernel is not None or plan.right.kernel is not None
    return next(iter(dtypes)) if not computed and len(dtypes) == 1 and dtypes <= {"f16", "bf16"} else None


class _FusedWriter(TileValues):
    """What the kernel and the one that adds up its partial results share: what is stored of the results."""

    def __init__(
        self, schedule: Schedule, fused: FusedProduct, plan: ProductPlan, name: str, writer: ExpressionWriter, rank: int
    ) -> None:
        super().__init__(schedule, {}, Accesses({}, {}, ()), writer, rank)
        self.fused, self.plan, self.name = fused, plan, name

    def fix(self, position: int) -> None:
        """The axis that the product is written out along, at one position."""
        axis = self.plan.unrolled
        if axis is not None:
            self.set_loop(Loop((axis,), f"i_{identifier(axis)}", self.lengths[axis]), Value(str(position)))

    def enter(self, kernel: KernelStep) -> None:
        """From here on values are those of a fused kernel."""
        self.leaves = kernel.leaves
        cone = cone_of(self.nodes, kernel.leaves, [store.node for store in kernel.stores])
        self.accesses = accesses_of(self.schedule, kernel, cone)

    def store_results(self, totals: Sequence[str], dims: frozenset[int]) -> None:
        """The results of a tile, one a position, to their places, or what the fused kernel makes of them."""
        after, step = self.fused.after, self.fused.step
        if after is None:
            for position, total in enumerate(totals):
                self.fix(position)
                place = self.spread(self.offset(self.plan.result), dims)
                where = f"{self.pointer(step.result.buffer)} + {place.text}"
                self.out.add(f"tl.store({where}, {total}, mask={self.mask(dims)})")
            return
        self.enter(after)
        repeated = any(self.plan.unrolled in store.axes for store in after.stores) and not self.plan.summed
        for position in range(len(totals) if repeated else 1):
            self.fix(position)
            self.text_of = {}
            for number in self.accesses.reads:
                read = leaf_place(self.nodes, self.leaves, number)
                if read is not None and read.buffer == step.result.buffer:
                    fixed = [int(index.offset) for index in read.affine if not index.terms]
                    self.text_of[number] = Value(totals[fixed[0] if fixed else position], dims)
            self.define_all(self.needed([store.node for store in after.stores]))
            for store, each in zip(after.stores, self.accesses.stores, strict=True):
                self.store(store, each, self.text_of[store.node], dims)


class _ProductWriter(_FusedWriter):
    """Dimension 0 of the tile is the rows, 1 the columns; in the left operand 1, in the right one 0, is the sum's."""

    def __init__(self, schedule: Schedule, fused: FusedProduct, plan: ProductPlan, name: str, writer: ExpressionWriter) -> None:
        super().__init__(schedule, fused, plan, name, writer, 2)

    def emit(self) -> KernelText:
        out, plan = self.out, self.plan
        out.indent()
        m, n, k = (self.length(points(loops)) for loops in (plan.m, plan.n, plan.k))
        out.add("program = tl.program_id(0)")  # divided in 32 bits, which is cheap; offsets have 64
        out.add(f"row_blocks = tl.cdiv({m}, ROWS)")
        out.add(f"column_blocks = tl.cdiv({n}, COLUMNS)")
        out.add("column_block = program % column_blocks")
        out.add("row_block = program // column_blocks % row_blocks")
        out.add("split = (program // (column_blocks * row_blocks) % SPLITS).to(tl.int64)")
        out.add("batch = (program // (column_blocks * row_blocks * SPLITS)).to(tl.int64)")
        out.add("row = row_block.to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]")
        out.add("column = column_block.to(tl.int64) * COLUMNS + tl.arange(0, COLUMNS)[None, :]")
        self.masks = {0: f"(row < {m})", 1: f"(column < {n})"}
        self.indices = {0: "row", 1: "column"}
        decode(self, plan.batch, "batch", frozenset())
        decode(self, plan.m, "row", frozenset((0,)))
        decode(self, plan.n, "column", frozenset((1,)))
        totals = [f"total_{position}" for position in range(_results(plan))] if _results(plan) > 1 else ["total"]
        for total in totals:
            out.add(f"{total} = tl.full((ROWS, COLUMNS), 0.0, {self.writer.real})")
        out.add(f"share = tl.cdiv(tl.cdiv({k}, SPLITS), DEPTH) * DEPTH")
        with out.block(f"for first in range(split * share, tl.minimum((split + 1) * share, {k}), DEPTH):"):
            left = self._operand("left", plan.left, 1, k)
            right = self._operand("right", plan.right, 0, k)
            for position in range(plan.positions):
                total = totals[0 if plan.summed else position]
                pair = f"{left[position if plan.left.unrolled else 0]}, {right[position if plan.right.unrolled else 0]}"
                out.add(f'{total} = tl.dot({pair}, {total}, input_precision="ieee", out_dtype={self.writer.real})')
        self._store(totals, m, n)
        return self.function(self.name, [_note(self.fused)], ["ROWS", "COLUMNS", "DEPTH", "SPLITS"], self.out)

    @contextmanager
    def _side(self, name: str, dim: int, k: str) -> Iterator[None]:
        """An operand's tile: its own dimension, and `dim` along the sum."""
        saved = (self.masks, self.indices, self.joint_masks, self.text_of, self.loops, self.leaves, self.accesses)
        depth = f"{name}_depth"
        self.out.add(f"{depth} = (first + tl.arange(0, DEPTH)[{'None, :' if dim else ':, None'}]).to(tl.int64)")
        self.masks = {1 - dim: self.masks[1 - dim], dim: f"({depth} < {k})"}
        self.indices = {**self.indices, dim: depth}
        self.joint_masks, self.text_of, self.loops = {}, {}, dict(self.loops)
        decode(self, self.plan.k, depth, frozenset((dim,)), prefix=f"{name}_")
        yield
        self.masks, self.indices, self.joint_masks, self.text_of, self.loops, self.leaves, self.accesses = saved

    def _operand(self, name: str, operand: Operand, dim: int, k: str) -> list[str]:
        """The tiles of an operand, one a position where it varies along the unrolled axis."""
        count = self.plan.positions if operand.unrolled else 1
        found = [name] if count == 1 else [f"{name}_{position}" for position in range(count)]
        with self._side(name, dim, k):
            if operand.kernel is not None:
                self._computed(operand.kernel, found)
                return found
            buffer = self.schedule.buffers[operand.place.buffer]
            for position, tile in enumerate(found):
                self.fix(position)
                where = self.spread(self.offset(operand.access), _BOTH)
                loaded = f"tl.load({self.pointer(buffer.name)} + {where.text}, mask={self.mask(_BOTH)}, other=0)"
                halves = plan_halves(self.schedule, self.plan)
                converted = "" if halves or buffer.dtype == "compute" else f".to({self.writer.real})"
                given = self.writer.call("dot_operand", loaded) if halves == "bf16" else f"{loaded}{converted}"
                self.out.add(f"{tile} = {given}")
        return found

    def _computed(self, kernel: KernelStep, tiles: Sequence[str]) -> None:
        """The tiles that a fused kernel would have stored; 0 where the sum has no term."""
        self.enter(kernel)
        by_position = {}
        for store in kernel.stores:
            fixed = [int(index.offset) for index in store.place.affine if not index.terms]
            by_position[fixed[0] if fixed else 0] = store.node
        mask = self.mask(_BOTH)
        if len(by_position) < len(tiles):  # one value for every position, which may depend on it
            for position, tile in enumerate(tiles):
                self.fix(position)
                self.text_of = {}
                self._tile(tile, kernel.stores[0].node, mask)
            return
        self.define_all(self.needed(list(by_position.values())))
        for position, tile in enumerate(tiles):
            self._tile(tile, by_position[position], mask)

    def _tile(self, tile: str, number: int, mask: str) -> None:
        if number not in self.text_of:
            self.define_all(self.needed([number]))
        value = self.writer.convert(self.text_of[number], self.nodes[number].kind, "real")
        self.out.add(f"{tile} = tl.where({mask}, {bare(self.writer.typed(value, 'real').text)}, 0.0)")

    def _store(self, totals: Sequence[str], m: str, n: str) -> None:
        out = self.out
        saved = (self.text_of, self.joint_masks)
        with out.block("if SPLITS == 1:"):
            self.text_of, self.joint_masks = {}, {}
            self.store_results(totals, _BOTH)
        self.text_of, self.joint_masks = saved
        partials = f"{self.name}_partials"
        self.buffers.setdefault(partials)
        batch = self.length(points(self.plan.batch))
        with out.block("else:"):
            inside = self.mask(_BOTH)
            for position, total in enumerate(totals):
                number = f"(split * {len(totals)} + {position})" if len(totals) > 1 else "split"
                where = f"(({number} * ({batch}) + batch) * ({m}) + row) * ({n}) + column"
                out.add(f"tl.store(at_{partials} + {where}, {total}, mask={inside})")


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


class _Totals(_FusedWriter):
    """Adds up the partial results of a product, point by point of a flat tile."""

    def __init__(self, schedule: Schedule, fused: FusedProduct, plan: ProductPlan, name: str, writer: ExpressionWriter) -> None:
        super().__init__(schedule, fused, plan, name, writer, 1)

    def emit(self) -> KernelText:
        out, plan = self.out, self.plan
        out.indent()
        self.integers["n_splits"] = product_sizes(plan, self.fused, self.writer.double)["splits"]
        results: Length = points(plan.batch) * points(plan.m) * points(plan.n)
        out.add("point = tl.program_id(0).to(tl.int64) * POINTS + tl.arange(0, POINTS)")
        out.add(f"inside = point < {self.length(results)}")
        self.masks, self.indices = {0: "inside"}, {0: "point"}
        decode(self, (*plan.batch, *plan.m, *plan.n), "point", frozenset((0,)))
        self.buffers.setdefault(f"{self.name}_partials")
        totals = []
        for position in range(_results(plan)):
            total = f"total_{position}"
            out.add(f"{total} = tl.full((POINTS,), 0.0, tl.float64)")
            with out.block("for split in range(0, n_splits):"):
                number = f"(split * {_results(plan)} + {position})" if _results(plan) > 1 else "split"
                where = f"at_{self.name}_partials + {number} * ({self.length(results)}) + point"
                out.add(f"{total} += tl.load({where}, mask=inside, other=0).to(tl.float64)")
            if not self.writer.double:
                out.add(f"{total}_rounded = {total}.to(tl.float32)")
                total = f"{total}_rounded"
            totals.append(total)
        self.store_results(totals, frozenset((0,)))
        return self.function(f"{self.name}_totals", [f"adds up the partial results of {self.name}"], ["POINTS"], out)
