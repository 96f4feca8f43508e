"""Layers that read tensors and computed values at any index: beyond the ends, strided, reversed, gathered."""

from __future__ import annotations

from kernel_harness import Case, integers

MODES = ("zero", "wrap", "clamp", "reflect")
# title -> the index along L, of a tensor of length 7
INDICES = {
    "back": "L - 1",
    "forth": "L + 2",
    "far": "L - 20",
    "strided": "3*L - 5",
    "reversed": "4 - L",
    "strided backwards": "9 - 2*L",
}
BEYOND = {
    f"{mode}, {title}": Case(f"layer beyond {{ in x[B, L] out y[B, L] = x * {mode}(x)[B, {index}] }}", {"x": (3, 7)}, orders=2)
    for mode in MODES
    for title, index in INDICES.items()
}
MIXED = {
    f"{mode} in two dimensions": Case(
        f"""layer window {{ in x[B, H, W] out y[B, H, W] = sum[i < 3, j < 3]({mode}(x)[B, H + i - 1, 2*W - j]^2)
              out z[H, W, B] = {mode}(x)[B, W, H] }}""",
        {"x": (2, 5, 6)},
    )
    for mode in MODES
} | {
    f"{mode} of one position": Case(
        f"layer one {{ in x[B, L] out y[B, L] = {mode}(x)[B, L - 1] out z[B] = {mode}(x)[B, 3] }}", {"x": (3, 1)}, orders=2
    )
    for mode in MODES
}
SHIFTS = {
    "the beginning of running values": Case(
        "layer f { in x[B, L] axis T = L + 2 let h[B, T] = scan[T](s = 1 : s * x[B, 0]) out o[B, L] = h[B, L] }", {"x": (3, 5)}
    ),
    "causal convolution": Case(
        "layer conv { in x[B, L] param k[K] = 1 out y[B, L] = sum[t < K](k[t] * zero(x)[B, L - t]) }",
        {"x": (3, 11), "k": (4,)},
    ),
    "a filter longer than the sequence": Case(
        "layer conv { in x[B, L] param k[K] = 1 out y[B, L] = sum[t < K](k[t] * wrap(x)[B, L - t]) }",
        {"x": (3, 4), "k": (11,)},
    ),
    "of a computed value": Case(
        """layer shifted { in x[B, L] let s[B, L] = sin(x) let m[B] = mean[L](x)
             out y[B, L] = zero(s)[B, L - 1] * clamp(s)[B, L + 1] out z[B, L] = wrap(m)[B + 1] * s }""",
        {"x": (3, 11)},
    ),
    "constants beyond the ends": Case(
        "layer constants { in x[B, L] out y[B] = wrap(x)[B, -1] + reflect(x)[B, len(L) + 1] + zero(x)[B, -3] + clamp(x)[-2, 0] }",
        {"x": (3, 5)},
    ),
    "of a row's sum": Case(
        "layer neighbours { in x[B, L] let s[B] = sum[L](x) out y[B, L] = x * zero(s)[B - 1] + clamp(s)[B + 1] }",
        {"x": (4, 6)},
    ),
    "split axis": Case(
        "layer split(G = 2) { in x[B, G*C] out y[B, G*C] = zero(x)[B, G*C - 1] + clamp(x)[B, len(C)*G + C + 1] }",
        {"x": (3, 8)},
    ),
    "of an empty axis": Case(
        "layer none { in x[B, L] out y[B, L] = wrap(x)[B, L + 1] out z[B] = zero(x)[B, 3] }", {"x": (3, 0)}, orders=2
    ),
    "of no rows": Case("layer none { in x[B, L] out y[B, L] = reflect(x)[B, L + 1] * zero(x)[B + 1, L] }", {"x": (0, 5)}, orders=2),
    "strided tensors": Case(
        """layer strided { in x[B, H, W]
             out y[B, H, W] = zero(x)[B, H - 1, W + 1] + reflect(x)[B, W, H] * wrap(x)[B + 1, H, W - 2] }""",
        {"x": (3, 4, 5)},
        strided={"x": "transposed"},
    ),
    "sliced tensors": Case(
        "layer strided { in x[B, L] out y[B, L] = clamp(x)[B, 2*L - 1] + zero(x)[B - 1, 3 - L] }",
        {"x": (3, 5)},
        strided={"x": "sliced"},
    ),
}
GATHERS = {
    "rows": Case(
        "layer embed { in i[B, L]: i64 param t[N, D] = 1 out y[B, L, D] = t[i, D] }",
        {"i": (3, 5), "t": (7, 6)},
        {"i": integers(0, 7)},
    ),
    "rows, short integers": Case(
        "layer embed { in i[L]: i32 param t[N, D] = 1 out y[L, D] = sin(t[i, D]) * t[2, D] }",
        {"i": (5,), "t": (7, 6)},
        {"i": integers(0, 7)},
    ),
    "along an axis": Case(
        "layer pick { in x[B, C] in i[B]: i64 out y[B] = x[B, i] }", {"x": (5, 7), "i": (5,)}, {"i": integers(0, 7)}, orders=2
    ),
    "in two dimensions": Case(
        "layer points { in x[H, W, C] in i[N]: i64 in j[N]: i64 out y[N, C] = x[i, j, C] }",
        {"x": (5, 7, 3), "i": (9,), "j": (9,)},
        {"i": integers(0, 5), "j": integers(0, 7)},
    ),
    "a computed index": Case(
        "layer next { in x[N, D] in i[B]: i64 out y[B, D] = x[max(i - 1, 0), D] + clamp(x)[2 * i, D] * zero(x)[i - 2, D] }",
        {"x": (5, 4), "i": (6,)},
        {"i": integers(0, 5)},
    ),
    "of a computed value": Case(
        """layer look { in x[N, D] in i[B]: i64 let u[N, D] = softmax[D](x) let s[N] = sum[D](x * x)
             out y[B, D] = u[i, D] * s[i] + wrap(u)[i + 3, D - 1] }""",
        {"x": (5, 4), "i": (6,)},
        {"i": integers(0, 5)},
    ),
    "at an index that a sum gives": Case(
        "layer counted { in x[N] in c[B, K]: i64 out y[B, K] = x[sum[K](c)] * c }",
        {"x": (9,), "c": (4, 3)},
        {"c": integers(0, 3)},
    ),
    "an index that a gather gives": Case(
        "layer twice { in x[N] in i[N]: i64 in j[B]: i64 out y[B] = x[i[j]] }",
        {"x": (9,), "i": (9,), "j": (4,)},
        {"i": integers(0, 9), "j": integers(0, 9)},
    ),
    "beyond the ends": Case(
        """layer beyond { in x[N, M] in i[B]: i64
             out y[B, M] = zero(x)[i, M - 1] + wrap(x)[i, M + 1] + clamp(x)[i, M] * reflect(x)[i, 2*M] }""",
        {"x": (5, 4), "i": (20,)},
        {"i": integers(-12, 17)},
    ),
    "a table with strides": Case(
        "layer embed { in i[L]: i64 in t[N, D] out y[L, D] = t[i, D] }",
        {"i": (5,), "t": (7, 6)},
        {"i": integers(0, 7)},
        strided={"t": "transposed", "i": "sliced"},
    ),
    "no indices": Case(
        "layer embed { in i[L]: i64 in t[N, D] out y[L, D] = t[i, D] }", {"i": (0,), "t": (0, 6)}, {"i": integers(0, 7)}, orders=2
    ),
}
DIGITS = {
    "every other": Case(
        """layer pairs { in x[B, 2*P] let a = x[B, 2*P] let b = x[B, 2*P + 1]
             out s[B, P] = (a + b)^2 out d[B, P] = a * b }""",
        {"x": (3, 10)},
    ),
    "one of three": Case("layer third { in x[B, 3*P] out y[B, P] = sin(x[B, 3*P + 1]) }", {"x": (3, 9)}),
    "in two dimensions": Case(
        """layer blocks { in x[B, 2*P, 3*Q]
             out y[B, P, Q] = x[B, 2*P, 3*Q] * x[B, 2*P + 1, 3*Q + 2] + x[B, 2*P, 3*Q]^2 }""",
        {"x": (2, 4, 9)},
    ),
    "windows side by side": Case(
        """layer pool { in x[B, 2*P, 3*Q] out y[B, P, Q] = max[i < 2, j < 3](x[B, 2*P + i, 3*Q + j])
             out z[B, P] = sum[i < 2, Q](x[B, 2*P + i, 3*Q]^2 * (1 + index(Q))) }""",
        {"x": (2, 4, 6)},
        derived_from_math=True,
    ),
    "of a computed value": Case(
        """layer pairs { in x[B, L] axis P = L/2 require 2*P == L let u[B, L] = tanh(x)
             out y[B, P] = u[B, 2*P] * u[B, 2*P + 1] }""",
        {"x": (3, 8)},
    ),
    "a split axis whole": Case("layer merged(G = 2) { in x[B, G*C] axis M = G*C out y[M, B] = x[B, M]^2 }", {"x": (3, 8)}),
    "a whole axis split": Case(
        "layer split { in x[B, L] axis P = L/2 require 2*P == L out y[B, P] = sum[i < 2](x[B, 2*P + i] * i)^2 }", {"x": (3, 8)}
    ),
    "none at all": Case("layer pairs { in x[B, 2*P] out y[B, P] = x[B, 2*P] * x[B, 2*P + 1] }", {"x": (3, 0)}),
}
