"""Names in emitted code: the author's where they are free, numbered where they are not.

In: wished-for stems. Out: identifiers unique within their scope. Holds: names of an inner scope are free again after it.
"""

from __future__ import annotations

import re

_RESERVED = """
    alignas alignof and asm auto bool break case catch char class const constexpr continue default delete do double
    else enum explicit export extern false float for friend goto if inline int long mutable namespace new not operator
    or private protected public register return short signed sizeof static struct switch template this throw true try
    typedef typename union unsigned using virtual void volatile while xor Real begin end members member own pieces
    piece team threads scratch scratch_stride chunk chunk_end total totals lanes lane own_lanes gathered flush most_gathered
    point lead run low high lamina data integers main block blocks most step extent
    row rows chunks width groups factors values starts now place chunk_factor chunk_value
    inside_begin inside_end
"""
RESERVED = frozenset(re.findall(r"\w+", _RESERVED))


class Names:
    """Hands out identifiers; `push` and `pop` bound a scope."""

    def __init__(self, further: frozenset[str] = frozenset()) -> None:
        self._scopes: list[set[str]] = [set(RESERVED | further)]

    def push(self) -> None:
        self._scopes.append(set(self._scopes[-1]))

    def pop(self) -> None:
        self._scopes.pop()

    def fresh(self, stem: str, number: int) -> str:
        """`stem` if free, else `stem_2`, ...; the anonymous stem t takes the value's own number."""
        taken = self._scopes[-1]
        name = f"t{number}" if stem == "t" else stem
        if name[0].isdigit():
            name = f"v{name}"
        count = 2
        base = name
        while name in taken or name.startswith(("i_", "n_", "at_", "part_", "total_", "j_", "stride_", "omp_")):
            name = (
                f"{base}_{count}"
                if not base.startswith(("i_", "n_", "at_", "part_", "total_", "j_", "stride_", "omp_"))
                else f"v_{base}_{count}"
            )
            count += 1
        taken.add(name)
        return name
