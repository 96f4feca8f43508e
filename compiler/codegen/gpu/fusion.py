"""Matrix products that compute their operands themselves, or what is made of their results.

In: a schedule without tile loops. Out: its steps, products fused with pointwise kernels before and after them.

Before: kernel (basis of every point of x) -> product, with a temporary of rows x basis between; product -> kernel, with the whole
product between. After: one `FusedProduct`; the operand's tile is computed where it was read, and what the kernel stores is computed
from the tile of the result. Why it is legal: the kernel is pointwise, so that an element of a tile needs nothing but itself and
tensors that are complete by then; nothing else reads the temporary. The fused step stands where the kernel after it stood, for
whose other operands it so waits.

A basis that is written out along an axis (a store for each position) is computed for all positions at once: the product is written
out along that axis too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...ir.graph import Affine
from ...schedule.nest import cone_of, is_leaf, leaf_place
from ...schedule.steps import (
    CheckStep,
    KernelStep,
    Place,
    ProductStep,
    ScanStep,
    ScatterStep,
    Schedule,
    Step,
    Store,
    TransformStep,
    WindowStep,
)

MOST_UNROLLED = 16  # positions of an axis that a product is written out along


@dataclass(frozen=True)
class FusedProduct:
    """A product and what it computes besides: `left` and `right` store its operands, `after` is made of its result. `unrolled`: the
    axis that it is written out along."""

    step: ProductStep
    left: KernelStep | None = None
    right: KernelStep | None = None
    after: KernelStep | None = None
    unrolled: str | None = None


def fuse(schedule: Schedule) -> tuple[Step | FusedProduct, ...]:
    """The steps of the schedule, every product as a `FusedProduct`."""
    return _Fusion(schedule).run()


class _Fusion:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.nodes = schedule.nodes
        self.steps: list[Step | FusedProduct] = [
            FusedProduct(step) if isinstance(step, ProductStep) else step for step in schedule.steps
        ]

    def run(self) -> tuple[Step | FusedProduct, ...]:
        # of several products that one kernel reads, the largest result is the one worth not storing
        products = [(-len(step.step.result.indices), n) for n, step in enumerate(self.steps) if isinstance(step, FusedProduct)]
        for _, position in sorted(products):
            self._after(position)
        self.steps = [step for step in self.steps if not isinstance(step, KernelStep) or step.stores]
        temporaries = [name for name, buffer in self.schedule.buffers.items() if buffer.role == "temporary"]
        for name in temporaries:
            self._before(name)
        return tuple(step for step in self.steps if not isinstance(step, KernelStep) or step.stores)

    # ---------------------------------------------------------------------------------------- what a step touches

    def _reads(self, step: Step | FusedProduct) -> set[str]:
        if isinstance(step, FusedProduct):
            found = {step.step.left.buffer, step.step.right.buffer}
            return found.union(*(self._reads(each) for each in (step.left, step.right, step.after) if each is not None))
        if isinstance(step, (KernelStep, ScanStep)):
            roots = self.nodes[step.node].operands if isinstance(step, ScanStep) else [store.node for store in step.stores]
            cone = cone_of(self.nodes, step.leaves, roots)
            return {place.buffer for number in cone if (place := leaf_place(self.nodes, step.leaves, number)) is not None}
        places: Sequence[Place | None]
        if isinstance(step, TransformStep):
            places = step.operands
        elif isinstance(step, WindowStep):
            places = (step.data, step.weight)
        elif isinstance(step, ScatterStep):
            places = (step.keys, step.values, step.start, step.order)
        else:
            assert isinstance(step, CheckStep)
            places = (step.low, step.high)
        return {place.buffer for place in places if place is not None}

    def _readers(self, buffer: str) -> list[int]:
        return [position for position, step in enumerate(self.steps) if buffer in self._reads(step)]

    def _pointwise(self, step: KernelStep, stores: Sequence[Store]) -> bool:
        cone = cone_of(self.nodes, step.leaves, [store.node for store in stores])
        return not any(self.nodes[n].op == "reduce" and not is_leaf(self.nodes, step.leaves, n) for n in cone)

    # ---------------------------------------------------------------------------------------- after a product

    def _after(self, position: int) -> None:
        """Fuses the kernel that alone reads a product's result, where it can be."""
        fused = self.steps[position]
        assert isinstance(fused, FusedProduct)
        product = fused.step
        name = product.result.buffer
        readers = self._readers(name)
        if self.schedule.buffers[name].role != "temporary" or len(readers) != 1:
            return
        kernel = self.steps[readers[0]]
        own = _axes_of(product.result)
        if not isinstance(kernel, KernelStep) or own is None or not self._pointwise(kernel, kernel.stores):
            return
        every = {*product.batch, *product.m, *product.n}
        missing = every - set(kernel.stores[0].axes)
        if any(set(store.axes) != every - missing for store in kernel.stores) or len(missing) > 1 or set(own) != every:
            return
        unrolled = next(iter(missing), None)
        if unrolled is not None and (unrolled in product.batch or not self._short(unrolled)):
            return
        for number in cone_of(self.nodes, kernel.leaves, [store.node for store in kernel.stores]):
            place = leaf_place(self.nodes, kernel.leaves, number)
            if place is not None and place.buffer == name and not _matches(place, own, unrolled):
                return
        self.steps[readers[0]] = replace(fused, after=kernel, unrolled=unrolled)
        self.steps[position] = KernelStep("", (), {})

    def _short(self, axis: str) -> bool:
        length = self.schedule.lengths[axis]
        return bool(length.is_Integer) and 0 < int(length) <= MOST_UNROLLED

    # ---------------------------------------------------------------------------------------- before a product

    def _before(self, name: str) -> None:
        """Fuses the kernel that writes a temporary with the products that read it, if all readers are such."""
        writers = [
            (position, step)
            for position, step in enumerate(self.steps)
            if isinstance(step, KernelStep) and any(store.place.buffer == name for store in step.stores)
        ]
        readers = self._readers(name)
        if len(writers) != 1 or not readers:
            return
        position, kernel = writers[0]
        stores = tuple(store for store in kernel.stores if store.place.buffer == name)
        if not self._pointwise(kernel, stores) or all(is_leaf(self.nodes, kernel.leaves, store.node) for store in stores):
            return
        own = replace(kernel, stores=stores)
        changed: dict[int, FusedProduct] = {}
        for reader in readers:
            fused = self.steps[reader]
            if not isinstance(fused, FusedProduct):
                return
            others = [each for each in (fused.left, fused.right, fused.after) if each is not None]
            sides = [place.buffer == name for place in (fused.step.left, fused.step.right)]
            if sum(sides) != 1 or any(name in self._reads(each) for each in others):
                return
            place = fused.step.left if sides[0] else fused.step.right
            unrolled = self._unrolled(place, stores)
            if unrolled is None:
                return
            axis = unrolled[0] if unrolled else fused.unrolled
            if axis is not None and (fused.unrolled not in (None, axis) or axis in fused.step.batch):
                return
            with_axis = replace(fused, unrolled=axis)
            changed[reader] = replace(with_axis, left=own) if sides[0] else replace(with_axis, right=own)
        for reader, fused in changed.items():
            self.steps[reader] = fused
        self.steps[position] = replace(kernel, stores=tuple(store for store in kernel.stores if store.place.buffer != name))

    def _unrolled(self, place: Place, stores: Sequence[Store]) -> tuple[str, ...] | None:
        """The axis, if any, that the stores of an operand are written out along; None where they do not fit the place."""
        own = _axes_of(place)
        if own is None:
            return None
        fixed: set[int] = set()
        for store in stores:
            for number, (axis, index) in enumerate(zip(own, store.place.affine, strict=True)):
                if not index.terms and index.offset.is_Integer:
                    fixed.add(number)
                elif index.terms != ((axis, 1),) or index.offset != 0:
                    return None
            if set(store.axes) != {axis for number, axis in enumerate(own) if number not in _fixed(store)}:
                return None
        if len(fixed) > 1 or any(_fixed(store) != fixed for store in stores):
            return None
        if not fixed:
            return () if len(stores) == 1 else None
        (number,) = fixed
        positions = sorted(int(store.place.affine[number].offset) for store in stores)
        if not self._short(own[number]) or positions != list(range(int(self.schedule.lengths[own[number]]))):
            return None
        return (own[number],)


def _fixed(store: Store) -> set[int]:
    """The dimensions that a store writes one position of."""
    return {number for number, index in enumerate(store.place.affine) if not index.terms}


def _axes_of(place: Place) -> tuple[str, ...] | None:
    """The axis that is the index of each dimension; None where an index is something else."""
    axes = []
    for index in place.indices:
        if not isinstance(index, Affine) or len(index.terms) != 1 or index.terms[0][1] != 1 or index.offset != 0:
            return None
        axes.append(index.terms[0][0])
    return tuple(axes) if len(set(axes)) == len(axes) else None


def _matches(place: Place, own: tuple[str, ...], unrolled: str | None) -> bool:
    """Whether a place is read at the indices it was stored at, or at one position of the unrolled axis."""
    if place.boundary is not None:
        return False
    for axis, index in zip(own, place.indices, strict=True):
        if not isinstance(index, Affine):
            return False
        if axis == unrolled:
            if index.terms or not index.offset.is_Integer:
                return False
        elif index.terms != ((axis, 1),) or index.offset != 0:
            return False
    return True
