"""Sums of products of several factors, whose order the compiler chooses."""

from __future__ import annotations

from kernel_harness import Case

CHAINS = {
    "low rank": Case(
        "layer low_rank { in x[..., I] param u[R, I] = 1 param v[O, R] = 1 out y[..., O] = sum[R, I](x * u * v) }",
        {"x": (3, 5, 9), "u": (4, 9), "v": (7, 4)},
    ),
    "Kronecker": Case(
        "layer kronecker { in x[B, K*L] param a[I, K] = 1 param b[J, L] = 1 out y[B, I*J] = sum[K, L](a * b * x[B, K*L]) }",
        {"x": (5, 24), "a": (6, 4), "b": (5, 6)},
    ),
    "four in a row": Case(
        """layer chain { in a[I, J] in b[J, K] in c[K, L] in d[L, M]
             out y[I, M] = sum[J, K, L](a * b * c * d) }""",
        {"a": (5, 6), "b": (6, 7), "c": (7, 8), "d": (8, 9)},
        orders=1,
    ),
    "one rank for all": Case(
        "layer cp { in x[B, I, J] param u[R, I] = 1 param v[R, J] = 1 param w[O, R] = 1 "
        "out y[B, O] = sum[R, I, J](x * u * v * w) }",
        {"x": (4, 5, 6), "u": (3, 5), "v": (3, 6), "w": (7, 3)},
    ),
    "to a number": Case(
        "layer form { in x[B, I] in z[B, J] param w[I, J] = 1 out y[B] = sum[I, J](x * w * z) }",
        {"x": (4, 5), "z": (4, 6), "w": (5, 6)},
    ),
    "with a constant and a negation": Case(
        "layer low_rank { in x[B, I] param u[R, I] = 1 param v[O, R] = 1 out y[B, O] = sum[R, I](-(3 * x) * u * exp(v)) }",
        {"x": (5, 9), "u": (4, 9), "v": (7, 4)},
    ),
    "nothing between": Case(
        "layer low_rank { in x[B, I] param u[R, I] = 1 param v[O, R] = 1 out y[B, O] = sum[R, I](x * u * v) }",
        {"x": (5, 9), "u": (0, 9), "v": (7, 0)},
        orders=1,
    ),
}
