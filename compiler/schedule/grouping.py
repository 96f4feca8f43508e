"""Sharing loop nests: which stores are computed together.

In: stores whose operands are all readable (inputs, or values stored by earlier steps). Out: kernel steps in order.

How: stores over the same iteration domain form one nest. Where a nest cannot be (a reduction over everything that is used at
every point,
say), the reductions in the way are stored by a nest of their own first; stores of values that follow a finished reduction come
after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir.graph import Builder
from .nest import cone_of, first_reductions, plan_nest, store_domain
from .steps import KernelStep, Place, Store


class Grouping:
    """Plans kernels; `leaves` is shared with the caller and grows with every stored value that later steps may read. `once`:
    reductions that no two kernels may both compute."""

    def __init__(
        self,
        builder: Builder,
        leaves: dict[int, Place],
        temporary: Callable[[str, tuple[str, ...]], Place],
        kept_inner: bool = True,
        once: frozenset[int] = frozenset(),
    ) -> None:
        self.once = once
        self.kept_inner = kept_inner
        self.builder = builder
        self.leaves = leaves
        self.temporary = temporary
        self.notes: list[str] = []
        self._promised: dict[int, Place] = {}
        self._own: list[Place] = []
        self._count = 0

    def promise(self, number: int, place: Place) -> None:
        """The value will be stored by the next kernels and readable from then on."""
        self._promised[number] = place

    def is_promised(self, number: int) -> bool:
        """Whether the next kernels store the value."""
        return number in self._promised

    def readable(self) -> dict[int, Place]:
        """What can be read once the next kernels have run."""
        return {**self.leaves, **self._promised}

    def kernels(self, stores: Sequence[Store]) -> list[KernelStep]:
        steps = self._plan(stores)
        self.leaves.update(self._promised)
        self._promised.clear()
        return steps

    def _plan(self, stores: Sequence[Store]) -> list[KernelStep]:
        groups: dict[tuple[str, ...], list[Store]] = {}
        axes = tuple(self.builder.axes)
        for store in stores:
            domain = store_domain(self.builder.nodes, self.leaves, axes, store)
            groups.setdefault(domain, []).append(store)
        return self._apart(list(groups.values()))

    def _apart(self, groups: Sequence[Sequence[Store]]) -> list[KernelStep]:
        """Nests of their own for the groups, once the reductions that several of them need are stored, where these must be computed
        once only."""
        nodes = self.builder.nodes
        cones = [set(cone_of(nodes, self.leaves, [store.node for store in group])) for group in groups]
        shared = [n for n in sorted(self.once) if n not in self.leaves and sum(n in cone for cone in cones) > 1]
        first = [n for n in shared if not any(r in shared for r in cone_of(nodes, self.leaves, [nodes[n].operands[0]]))]
        if first:
            return self._after(first, [store for group in groups for store in group])
        return [step for group in groups for step in self._nest(tuple(group))]

    def _nest(self, stores: tuple[Store, ...]) -> list[KernelStep]:
        nodes = self.builder.nodes
        nest = plan_nest(nodes, tuple(self.builder.axes), self.leaves, stores, self.kept_inner)
        if nest.cut:
            self.notes.append(f"{len(nest.cut)} reduction(s) stored before the values that use them at every point")
            return self._after(nest.cut, stores)
        now = [store for store in stores if store not in nest.deferred]
        extra: dict[int, Place] = {}
        for store in nest.deferred:
            for number in cone_of(nodes, self.leaves, [store.node]):
                if number in nest.column or number in nest.row:
                    own, place = self._stored(number, now)
                    extra[number] = place
                    if own not in now:
                        now.append(own)
        if not now and len(stores) > 1:
            return self._apart([[store] for store in stores])
        if not now:  # a value of several reductions over different points: these first
            return self._after(first_reductions(nodes, self.leaves, stores[0].node), stores)
        again = plan_nest(nodes, tuple(self.builder.axes), self.leaves, now, self.kept_inner)
        if again.cut or again.deferred:  # the reductions stored besides do not fit one nest
            steps = self._plan(now)
        else:
            steps = [KernelStep(self._name(), tuple(now), dict(self.leaves))]
        self.leaves.update(extra)
        if nest.deferred:
            steps.extend(self._plan(nest.deferred))
        return steps

    def _after(self, reductions: Sequence[int], stores: Sequence[Store]) -> list[KernelStep]:
        """The stores, made once the reductions are stored."""
        first = [self._stored(number, stores) for number in reductions]
        steps = self._plan([store for store, _ in first])
        self.leaves.update({store.node: place for store, place in first})
        own = {store for store, _ in first}
        return steps + self._plan([store for store in stores if store not in own])

    def _stored(self, number: int, stores: Sequence[Store]) -> tuple[Store, Place]:
        """A store of the reduction: one that is wanted anyway, else to a temporary."""
        node = self.builder.nodes[number]
        for store in stores:
            if store.node == number and set(store.axes) == set(node.axes) and self._full(store.place):
                return store, store.place
        place = self._promised.get(number) or self.temporary(node.name or node.attribute("operation"), node.axes)
        self._own.append(place)
        return Store(number, place, node.axes), place

    def _full(self, place: Place) -> bool:
        """Whether a place is a temporary in the compute dtype (an output may be stored with fewer bits)."""
        return place in self._promised.values() or place in self._own

    def _name(self) -> str:
        self._count += 1
        return f"kernel_{self._count}"
