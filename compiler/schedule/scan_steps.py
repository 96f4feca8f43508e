"""The steps of a schedule's recurrences: where their values are stored, and what is stored before they run.

In: the scans of a schedule in progress. Out: `ScanStep`s, one a recurrence whatever the number of scans that read it.

A scan's value is written by its steps to every output that it is stored to as it is, each in the output's dtype; where others read
it and no such output keeps all its bits, to a temporary besides.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.scans import FreeValues
from .grouping import Grouping
from .scans import members, stored_before
from .steps import ScanStep, Store
from .storage import STORED_KINDS, Storage


class ScanSteps:
    """Places and steps of recurrences; `storage.leaves` learns where values are."""

    def __init__(self, storage: Storage, grouping: Grouping) -> None:
        self.builder = storage.builder
        self.free = FreeValues(storage.builder.nodes)
        self.storage = storage
        self.grouping = grouping
        self.stores: list[Store] = []
        self._count = 0

    def place(self, scans: Sequence[int], cone: Sequence[int], stores: Sequence[Store]) -> list[Store]:
        """Gives every scan's value its places; gives the stores that remain for others to make."""
        used = {operand for number in cone for operand in self.builder.nodes[number].operands}
        for number in scans:
            node = self.builder.nodes[number]
            last = self._last_only(number, cone, stores)
            if last is not None:
                place = self.storage.temporary(node.name or "last", self.builder.nodes[last].axes, STORED_KINDS[node.kind])
                self.storage.leaves[last] = place
                self.stores.append(Store(number, place, self.builder.nodes[last].axes))
                continue
            own = [store for store in stores if store.node == number and set(store.axes) == set(node.axes)]
            self.stores.extend(own)
            kind = STORED_KINDS[node.kind]
            full = [store.place for store in own if self.storage.buffers[store.place.buffer].dtype == kind]
            if full:
                self.storage.leaves[number] = full[0]
            elif number in used or len(own) < sum(store.node == number for store in stores):
                place = self.storage.temporary(node.name or "running", node.axes, kind)
                self.storage.leaves[number] = place
                self.stores.append(Store(number, place, node.axes))
        return [store for store in stores if store not in self.stores]

    def _last_only(self, scan: int, cone: Sequence[int], stores: Sequence[Store]) -> int | None:
        """The slice that takes the value after the last step, where nothing else of the scan is wanted."""
        node = self.builder.nodes[scan]
        users = {number for number in cone if scan in self.builder.nodes[number].operands}
        length = self.builder.lengths[node.attribute("axis")]
        if len(users) != 1 or not length.is_Integer or any(store.node == scan for store in stores):
            return None
        user = self.builder.nodes[min(users)]
        last = 0 if node.attribute("reverse") else int(length) - 1
        if user.op != "slice" or user.attribute("axis") != node.attribute("axis") or user.attribute("position") != last:
            return None
        return min(users)

    def prepare(self, scan: int) -> tuple[list[ScanStep], list[Store]]:
        """The step that runs a recurrence, where `scan` is the first to read it, and the stores of what it needs."""
        group = sorted(set(members(self.builder.nodes, scan, [store.node for store in self.stores])))
        if not group or scan != group[0]:
            return [], []
        stores: list[Store] = []
        for number in stored_before(self.builder, self.storage.leaves, self.free, scan):
            if not self.grouping.is_promised(number):
                node = self.builder.nodes[number]
                place = self.storage.temporary(node.name or node.op, node.axes, STORED_KINDS[node.kind])
                stores.extend(self.storage.unstacked(number, place, node.axes))
                self.grouping.promise(number, place)
        self._count += 1
        own = tuple(dict.fromkeys(store for store in self.stores if store.node in group))
        return [ScanStep(f"scan_{self._count}", scan, own, {})], stores
