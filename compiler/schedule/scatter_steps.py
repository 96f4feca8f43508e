"""Scatters as steps: where their keys, values and results are stored.

In: the scatters of a graph, and the stores of its outputs. Out: a place for each result, and the step that computes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import entry_length, size_of, whole_index
from .nest import leaf_place
from .scatters import ScatterPlan, lies_densely, plan_scatter
from .steps import ScatterStep, Step, Store
from .storage import Storage

_FLOATING = ("compute", "f64", "f32", "f16", "bf16")


class ScatterSteps:
    """Places and steps of scatters; `storage.leaves` learns where results are."""

    def __init__(self, storage: Storage) -> None:
        self.builder = storage.builder
        self.storage = storage
        self.plans: dict[int, ScatterPlan] = {}

    def place(self, scatters: Sequence[int], stores: Sequence[Store]) -> set[int]:
        """Gives every scatter's result a place: an output that it is as it stands, else a temporary. Gives the former."""
        direct: set[int] = set()
        lengths = self.builder.lengths
        for number in scatters:
            plan = self.plans[number] = plan_scatter(self.builder, number)
            indices = tuple(whole_index(entry, lengths) for entry in plan.entries)
            for store in stores:
                buffer = self.storage.buffers[store.place.buffer]
                if store.node == number and store.place.indices == indices and buffer.dtype in _FLOATING:
                    self.storage.leaves[number] = store.place
                    direct.add(number)
                    break
            else:
                dimensions = tuple(entry_length(entry, lengths) for entry in plan.entries)
                self.storage.leaves[number] = self.storage.buffer(
                    self.builder.nodes[number].name or "scattered", dimensions, indices, "compute"
                )
        return direct

    def prepare(self, number: int) -> tuple[list[Step], list[Store]]:
        """The step of a scatter, and the stores of its keys and, unless they lie so already, its values."""
        plan = self.plans[number]
        value = self.builder.nodes[number].operands[0]
        lengths = self.builder.lengths
        stores: list[Store] = []
        values = leaf_place(self.builder.nodes, self.storage.leaves, value)
        if values is None or not lies_densely(values, plan.value_axes, self.storage.buffers[values.buffer], lengths):
            values = self.storage.temporary(self.builder.nodes[value].name or "scattering", plan.value_axes)
            stores += self.storage.unstacked(value, values, plan.value_axes)
        keys = self.storage.temporary("keys", plan.key_axes, "i64")
        stores += self.storage.unstacked(plan.key, keys, plan.key_axes)
        groups = size_of(lengths[axis] for axis in plan.groups)
        start = self.storage.buffer("start", (groups, plan.rows + 1), (), "i64")
        order = self.storage.temporary("order", plan.key_axes, "i64")
        name = self.builder.nodes[number].name or "scatter"
        axes = (plan.outer, plan.groups, plan.points, plan.inner)
        return [ScatterStep(name, number, *axes, plan.rows, keys, values, self.storage.leaves[number], start, order)], stores
