"""Layers whose large temporaries are products' results or operands: attention of all kinds, bases before a matrix product."""

from __future__ import annotations

from kernel_harness import Case, booleans

_ATTENTION = """layer attention { in q[B, H, L, D] in k[B, H, J, D] in v[B, H, J, E]
  let s = sum[D](q * k) / sqrt(D) let p = softmax[J](s) out o[B, H, L, E] = sum[J](p * v) }"""


def shapes(b: int, h: int, rows: int, columns: int, d: int, e: int) -> dict[str, tuple[int, ...]]:
    return {"q": (b, h, rows, d), "k": (b, h, columns, d), "v": (b, h, columns, e)}


def weighted(weights: str, more: str = "") -> str:
    """Attention with other weights than softmax."""
    return f"""layer attention {{ in q[B, H, L, D] in k[B, H, J, D] in v[B, H, J, E] {more}
      let s = sum[D](q * k) / sqrt(D) out o[B, H, L, E] = sum[J](({weights}) * v) }}"""


TILES = {
    "attention": Case(_ATTENTION, shapes(2, 3, 37, 11, 5, 7), growth=2048),
    "attention of one row": Case(_ATTENTION, shapes(2, 2, 1, 13, 5, 7), growth=2048),
    "attention to one position": Case(_ATTENTION, shapes(2, 2, 19, 1, 5, 7), growth=2048),
    "attention of no row": Case(_ATTENTION, shapes(2, 2, 0, 13, 5, 7)),
    "attention without a batch": Case(_ATTENTION, shapes(0, 2, 5, 13, 5, 7)),
    "attention of width zero": Case(_ATTENTION, shapes(1, 2, 7, 13, 0, 7)),
    "attention of low precision": Case(_ATTENTION, shapes(2, 2, 37, 29, 5, 7), orders=1, dtypes=("bf16", "f16")),
    "attention without batch axes": Case(
        """layer attention { in q[L, D] in k[J, D] in v[J, E]
             out o[L, E] = sum[J](softmax[J](sum[D](q * k) / sqrt(D)) * v) }""",
        {"q": (41, 5), "k": (17, 5), "v": (17, 6)},
        growth=2048,
    ),
    "self attention": Case(
        """layer attention { in x[B, L, D] let y[B, L, D] = tanh(x)
             let s[B, L, J] = sum[D](x[B, L, D] * y[B, J, D]) axis J = L
             out o[B, L, D] = sum[J](softmax[J](s) * x[B, J, D]) }""",
        {"x": (2, 23, 5)},
        growth=2048,
        orders=1,
    ),
    "causal": Case(weighted("softmax[J](select(index(J) <= index(L), s, -1/0))"), shapes(2, 2, 37, 37, 5, 7), growth=2048),
    "length as a value": Case(
        weighted("softmax[J](s - abs(index(J) - index(L)) / L + index(H))"), shapes(2, 3, 37, 19, 5, 7), growth=2048
    ),
    "masked": Case(
        weighted("softmax[J](select(m, s, -1/0))", "in m[B, L, J] : bool"),
        {**shapes(2, 2, 33, 11, 5, 7), "m": (2, 33, 11)},
        values={"m": lambda generator, shape: generator.integers(0, 4, shape) > 0},
        growth=2048,
    ),
    "biased": Case(weighted("softmax[J](s + b)", "in b[H, L, J]"), {**shapes(3, 2, 33, 11, 5, 7), "b": (2, 33, 11)}, growth=2048),
    "relative positions": Case(
        weighted("softmax[J](s + r[H, L - J + len(J) - 1])", "in r[H, L + J - 1]"),
        {**shapes(2, 2, 21, 11, 5, 7), "r": (2, 31)},
        wanted=("q", "k", "v"),
        growth=2048,
    ),
    "sigmoid weights": Case(weighted("sigmoid(s + 1)"), shapes(2, 2, 37, 11, 5, 7), growth=2048),
    "rectified weights": Case(weighted("relu(s) / J"), shapes(2, 2, 37, 11, 5, 7), growth=2048),
    "linear attention": Case(
        """layer attention { in q[B, H, L, D] in k[B, H, L, D] in v[B, H, L, E]
             let f = exp(k) let s[B, H, D, E] = sum[L](f * v) let z = sum[L](f)
             out o[B, H, L, E] = sum[D](exp(q) * s) / sum[D](exp(q) * z) }""",
        shapes(2, 2, 37, 37, 5, 7),
        growth=4096,
        orders=1,
    ),
    "split axes": Case(
        """layer attention { in q[B, L, H*D] in k[B, J, H*D] in v[B, J, H*E]
             let s = sum[D](q[B, L, H*D] * k[B, J, H*D]) / sqrt(D) let p = softmax[J](s)
             out o[B, L, H*E] = sum[J](p * v) axis H = 3 }""",
        {"q": (2, 37, 15), "k": (2, 11, 15), "v": (2, 11, 21)},
        growth=2048,
    ),
    "groups of heads": Case(
        """layer attention { in q[B, G, R, L, D] in k[B, G, J, D] in v[B, G, J, E]
             let s = sum[D](q * k) / sqrt(D) let p = softmax[J](s) out o[B, G, R, L, E] = sum[J](p * v) }""",
        {"q": (2, 2, 3, 21, 5), "k": (2, 2, 11, 5), "v": (2, 2, 11, 7)},
        growth=2048,
    ),
    "shared keys": Case(
        """layer attention { in q[B, H, L, D] in k[B, J, D] in v[B, J, E]
             let s = sum[D](q * k) / sqrt(D) let p = softmax[J](s) out o[B, H, L, E] = sum[J](p * v) }""",
        {"q": (2, 3, 21, 5), "k": (2, 11, 5), "v": (2, 11, 7)},
        growth=2048,
    ),
    "with projections": Case(
        """layer attention(H = 2) { in x[B, L, H*D] in y[B, J, C] param w[H, D, C] = 1 param u[H, D, C] = 1 param o[F, H*E] = 1
             axis E = D
             let k = sum[C](y * w) let v[B, J, H, E] = sum[C](y[B, J, C] * u[H, E, C])
             let p = softmax[J](sum[D](x * k) / sqrt(D))
             let a[B, L, H, E] = sum[J](p * v)
             out z[B, L, F] = sum[H, E](a * o) }""",
        {"x": (2, 21, 10), "y": (2, 11, 6), "w": (2, 5, 6), "u": (2, 5, 6), "o": (6, 10)},
        growth=4096,
        orders=1,
    ),
    "strided tensors": Case(
        _ATTENTION,
        shapes(2, 2, 37, 11, 5, 7),
        strided={"q": "transposed", "k": "sliced", "v": "transposed", "grad_o": "transposed"},
        growth=2048,
    ),
    "dropped weights": Case(
        weighted("select(keep, softmax[J](s), 0) * 1.25", "in keep[B, H, L, J] : bool"),
        {**shapes(2, 2, 37, 11, 5, 7), "keep": (2, 2, 37, 11)},
        values={"keep": booleans()},
        growth=2048,
    ),
    "a hidden layer": Case(
        """layer hidden(F = 64) { in x[B, S, I] param w[F, I] = 1 param u[O, F] = 1
             out y[B, S, O] = sum[F](gelu(sum[I](x * w)) * u) }""",
        {"x": (2, 37, 5), "w": (64, 5), "u": (6, 64)},
        growth=4096,
    ),
    "a basis": Case(
        """layer cheby(D = 4) { in x[..., I] param w[O, I, D + 1] = 1
             out y[..., O] = sum[I, d < D + 1](w[O, I, d] * chebyshev(d, tanh(x))) }""",
        {"x": (3, 15, 7), "w": (6, 7, 5)},
        growth=4096,
        derived_from_math=True,
    ),
    "a basis for many columns": Case(
        """layer cheby(D = 4) { in x[..., I] param w[O, I, D + 1] = 1
             out y[..., O] = sum[I, d < D + 1](w[O, I, d] * chebyshev(d, tanh(x))) }""",
        {"x": (3, 15, 7), "w": (61, 7, 5)},
        growth=4096,
        derived_from_math=True,
    ),
    "a basis for one tile": Case(
        """layer cheby(D = 4) { in x[..., I] param w[O, I, D + 1] = 1
             out y[..., O] = sum[I, d < D + 1](w[O, I, d] * chebyshev(d, tanh(x))) }""",
        {"x": (3, 7), "w": (6, 7, 5)},
        growth=4096,
        derived_from_math=True,
    ),
    "a basis of groups": Case(
        """layer cheby(D = 4) { in x[B, G, I] param w[G, O, I, D + 1] = 1
             out y[B, G, O] = sum[I, d < D + 1](w[G, O, I, d] * chebyshev(d, tanh(x))) }""",
        {"x": (37, 3, 7), "w": (3, 6, 7, 5)},
        growth=4096,
        derived_from_math=True,
    ),
}
