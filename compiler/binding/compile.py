"""From a specification to a layer.

In: a specification's path, text or library name. Out: `Layer`. Holds: the text is read and checked at once, unless an earlier
process has done so (`store.py`); graphs of derivatives, programs and shared objects come when a call needs them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from .functions import Functions
from .interface import Interface
from .layer import Layer, from_functions
from .source import CompiledSource
from .store import store_of

if TYPE_CHECKING:
    from .reading import Reading

TARGETS = ("auto", "cpp", "triton", "cuda", "reference")


def compile(
    spec: str | os.PathLike[str], layer: str | None = None, target: str = "auto", sizes: Mapping[str, int] | None = None
) -> Layer:
    """The layer of a specification.

    `spec`: a path, the text itself, or the name of a library entry; `layer`: which, where there are several; `target`: "auto"
    (by the tensors' device), "cpp", "triton", "cuda", or "reference" (the interpreter, for debugging); `sizes`: compile-time sizes
    by name.
    Errors: SpecError (the text), ArgumentError (a layer, target or size that there is not).
    """
    if target not in TARGETS:
        raise ArgumentError(f"target: expected one of {', '.join(TARGETS)}, found {target!r}")
    if not isinstance(spec, str | os.PathLike):
        raise ArgumentError(f"spec: expected a path, a text or the name of a library entry, found {type(spec).__name__}")
    found = spec if isinstance(spec, str | Path) else Path(os.fspath(spec))
    given = dict(sizes or {})
    store = store_of(found, layer, given) if target != "reference" else None
    known = None if store is None else store.get("layer", target)

    @cache
    def reading() -> Reading:
        from .reading import read

        result = read(found, layer, given, target)
        if known is not None and result.operator != known["operator"]:
            raise ArgumentError(f"{found}: another layer than when it was compiled; compile it again")
        return result

    described: dict[str, Any]
    if known is None:
        described = _described(reading())
        interface = reading().interface
        # a file may have changed since its text was taken for the key
        store = store if store is not None and store == store_of(found, layer, given) else None
        if store is not None:
            store.put(described, "layer", target)
    else:
        described = known
        interface = Interface.from_json(known["interface"], lambda: reading().graph)
    return from_functions(
        Functions(interface, CompiledSource(lambda: interface.graph, target, store)),
        described["operator"],
        lambda: reading().initial,
        described["text"],
        (compile, (found, layer, target, given)),
        dict(described["sizes"]),
        target,
        lambda changed: compile(found, layer, target, {**given, **changed}),
    )


def _described(reading: Reading) -> dict[str, Any]:
    """What a later process needs to know of the layer to call it, as JSON values."""
    return {
        "operator": reading.operator,
        "text": reading.checked.text,
        "sizes": [list(each) for each in reading.checked.sizes],
        "interface": reading.interface.to_json(),
    }
