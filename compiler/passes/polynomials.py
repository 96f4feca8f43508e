"""The polynomials of known order, written out by their recurrences.

In: a builder, the name of a family, the order and the argument. Out: the number of the value.
"""

from __future__ import annotations

from ..ir.graph import Builder


def expand_polynomial(builder: Builder, name: str, order: int, t: int) -> int:
    """chebyshev, legendre or hermite of a known order, by its three-term recurrence; orders share their predecessors.

    T_{n+1} = 2 t T_n - T_{n-1};  (n+1) P_{n+1} = (2n+1) t P_n - n P_{n-1};  H_{n+1} = 2 t H_n - 2 n H_{n-1} (DLMF 18.9).
    """
    if builder.nodes[t].kind != "real":
        t = builder.add("to_real", (t,))
    previous, current = builder.const(1.0), t
    if name == "hermite":
        current = builder.add("mul", (builder.const(2.0), t))
    if order == 0:
        return previous
    for n in range(1, order):
        if name == "chebyshev":
            lead, back = builder.add("mul", (builder.const(2.0), t)), builder.const(1.0)
        elif name == "legendre":
            lead = builder.add("mul", (builder.const((2 * n + 1) / (n + 1)), t))
            back = builder.const(n / (n + 1))
        else:
            lead, back = builder.add("mul", (builder.const(2.0), t)), builder.const(2.0 * n)
        following = builder.add("sub", (builder.add("mul", (lead, current)), builder.add("mul", (back, previous))))
        previous, current = current, following
    return current
