"""Tiling a chain of steps over one axis, so that large temporaries need hold only a tile.

In: the steps and buffers of a schedule. Out: the same steps reordered, with a `TileLoop` over a run of them, or unchanged without one.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.graph import Builder
from .steps import Buffer, Step, TileLoop


def tile_loop(
    steps: tuple[Step, ...], buffers: Mapping[str, Buffer], builder: Builder
) -> tuple[tuple[Step, ...], Mapping[str, Buffer], TileLoop | None]:
    """The steps, the buffers (shrunk where tiled), and the loop."""
    return steps, buffers, None
