"""How a tensor's stored dimensions split into axes: what the checked layer and the call of a compiled one have in common.

In: nothing; this module only defines frozen values. Out: `Entry`. Holds: no symbolic algebra is imported for it, so that a layer
whose programs are there already is called without the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

ELLIPSIS = "..."


@dataclass(frozen=True)
class Entry:
    """One stored dimension of a declared tensor: the axes it splits into, outermost first.

    `...` is ("...",); `G*C` is ("G", "C"); an anonymous entry (`M+1` as dimension 1 of a) is ("a.1",), an axis like any other.
    """

    axes: tuple[str, ...]
