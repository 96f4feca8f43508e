"""Small layers that between them use every feature that is lowered, for the tests of generated kernels."""

from __future__ import annotations

from kernel_cases_chains import CHAINS
from kernel_cases_complex import COMPLEX
from kernel_cases_found import EXTREMA, FOUND
from kernel_cases_reads import BEYOND, DIGITS, GATHERS, MIXED, SHIFTS
from kernel_cases_reductions import FUNCTIONS, NORMALISATIONS, POLYNOMIALS, REDUCTIONS, SPLIT
from kernel_cases_scans import SCANS
from kernel_cases_transforms import TRANSFORMS
from kernel_cases_windows import DEPTHWISE, POOLING, WINDOWS
from kernel_harness import Case, booleans, chosen, integers, uniform

CONTRACTIONS = {
    "linear": Case(
        "layer linear(O) { in x[..., I] param w[O, I] = 1 param b[O] = 0 out y[..., O] = sum[I](x * w) + b }",
        {"x": (3, 5, 7), "w": (9, 7), "b": (9,)},
        sizes={"O": 9},
    ),
    "weight stored transposed": Case(
        "layer linear { in x[..., I] param w[I, O] = 1 out y[..., O] = sum[I](x * w) }", {"x": (3, 5, 7), "w": (7, 9)}
    ),
    "input stored transposed": Case(
        "layer linear { in x[I, B] param w[I, O] = 1 out y[O, B] = sum[I](x * w) }", {"x": (7, 6), "w": (7, 9)}
    ),
    "batched": Case(
        "layer batched { in x[B, M, K] in z[B, K, N] out y[B, M, N] = sum[K](x * z) }", {"x": (3, 5, 7), "z": (3, 7, 4)}
    ),
    "batched, batch in the middle": Case(
        "layer heads { in q[B, L, H, D] in k[B, J, H, D] out s[B, H, L, J] = sum[D](q * k) / sqrt(D) }",
        {"q": (2, 5, 3, 4), "k": (2, 6, 3, 4)},
    ),
    "epilogue": Case(
        "layer block { in x[..., I] param w[O, I] = 1 param b[O] = 0 out y[..., O] = gelu(sum[I](x * w) + b) }",
        {"x": (3, 5, 7), "w": (9, 7), "b": (9,)},
        growth=4096,
    ),
    "prologue": Case(
        "layer block { in x[..., I] param g[I] = 1 param w[O, I] = 1 out y[..., O] = sum[I](silu(x) * g * w) }",
        {"x": (3, 5, 7), "w": (9, 7), "g": (7,)},
        growth=4096,
    ),
    "norm before": Case(
        """layer normed { in x[..., I] param w[O, I] = 1
             let h = x * rsqrt(mean[I](x * x) + 0.1) out y[..., O] = sum[I](h * w) }""",
        {"x": (3, 5, 7), "w": (9, 7)},
        growth=4096,
    ),
    "two products": Case(
        """layer mlp { in x[..., I] param w[F, I] = 1 param v[O, F] = 1
             let h = silu(sum[I](x * w)) out y[..., O] = sum[F](h * v) + 1 }""",
        {"x": (3, 5, 7), "w": (9, 7), "v": (6, 9)},
        growth=8192,
    ),
    "three factors": Case(
        "layer three { in x[B, I] param w[O, I] = 1 param r[O, R] = 1 out y[B, R] = sum[I, O](x * w * r) }",
        {"x": (6, 7), "w": (8, 7), "r": (8, 5)},
    ),
    "gated product": Case(
        """layer gated { in x[B, I] param w[O, I] = 1 param v[O, I] = 1
             out y[B, O] = sum[I](x * w) * sigmoid(sum[I](x * v)) }""",
        {"x": (6, 7), "w": (8, 7), "v": (8, 7)},
    ),
    "product of computed operands": Case(
        "layer computed { in x[B, I] in z[J, I] out y[B, J] = sum[I](tanh(x) * exp(-z * z)) }", {"x": (6, 7), "z": (8, 7)}
    ),
    "squared distances": Case(
        "layer distances { in x[B, I] param z[J, I] = 1 out y[B, J] = sum[I]((x - z)^2) }", {"x": (6, 7), "z": (8, 7)}
    ),
    "attention": Case(
        """layer attention { in q[B, L, D] in k[B, J, D] in v[B, J, E]
             let s = sum[D](q * k) / sqrt(D) out y[B, L, E] = sum[J](softmax[J](s) * v) }""",
        {"q": (2, 5, 4), "k": (2, 6, 4), "v": (2, 6, 3)},
        growth=8192,
    ),
    "renamed axes": Case(
        """layer self_attention { in x[B, L, D] axis J = L
             let s[B, L, J] = sum[D](x * x[B, J, D]) / sqrt(D)
             out y[B, L, D] = sum[J](softmax[J](s) * x[B, J, D]) }""",
        {"x": (2, 5, 4)},
        growth=8192,
    ),
    "gram matrix": Case("layer gram { in x[B, D] axis J = B out y[B, J] = sum[D](x * x[J, D]) }", {"x": (6, 5)}),
    "outer product": Case(
        "layer outer { in x[B, I] in z[B, J] out y[B, I, J] = x * z out s[I, J] = sum[B](x * z) }", {"x": (6, 5), "z": (6, 7)}
    ),
    "result also an out": Case(
        "layer also { in x[B, I] param w[O, I] = 1 let h = sum[I](x * w) out y[B, O] = h out z[B, O] = tanh(h) out t[O, B] = h }",
        {"x": (6, 5), "w": (7, 5)},
    ),
    "product summed over a further axis": Case(
        "layer summed { in x[B, C, I] param w[O, I] = 1 out y[B, O] = sum[C](sum[I](x * w)^2) }", {"x": (4, 3, 5), "w": (7, 5)}
    ),
    "product over two axes": Case(
        "layer two { in x[B, H, D] param w[O, H, D] = 1 out y[B, O] = sum[H, D](x * w) }", {"x": (4, 3, 5), "w": (7, 3, 5)}
    ),
    "product over two axes, the other order": Case(
        "layer two { in x[B, H, D] param w[O, D, H] = 1 out y[B, O] = sum[H, D](x * w) }", {"x": (4, 3, 5), "w": (7, 5, 3)}
    ),
    "heads split and merged": Case(
        """layer merged(H = 3) { in x[B, I] param w[H*D, I] = 1 param v[O, H*D] = 1
             let h = sum[I](x * w) let n = h * rsqrt(mean[D](h * h) + 0.1) out y[B, O] = sum[H, D](n * v) }""",
        {"x": (4, 5), "w": (12, 5), "v": (6, 12)},
        growth=8192,
    ),
    "basis of an index": Case(
        """layer kan(O, D = 3) { in x[..., I] param w[O, I, D+1] = 1 let t = tanh(x)
             out y[..., O] = sum[I, d < D+1](w[O, I, d] * chebyshev(d, t)) }""",
        {"x": (5, 6), "w": (8, 6, 4)},
        sizes={"O": 8},
        derived_from_math=True,
        growth=8192,
    ),
    "splines": Case(
        """layer spline(O, G = 4, P = 3) { in x[..., I] param w[O, I, G+P] = 1 param s[O, I] = 1 let t = (x + 1) * G / 2
             out y[..., O] = sum[I, j < G+P](w[O, I, j] * bspline(P, t - j + P)) + sum[I](s * silu(x)) }""",
        {"x": (5, 6), "w": (8, 6, 7), "s": (8, 6)},
        {"x": uniform(-0.9, 0.9)},
        sizes={"O": 8},
        derived_from_math=True,
        growth=8192,
    ),
    "matrix and vector": Case(
        "layer vector { in x[B, I] param w[I] = 1 param v[B] = 1 out y[B] = sum[I](x * w) out z[I] = sum[B](x * v) }",
        {"x": (6, 5), "w": (5,), "v": (6,)},
    ),
    **{
        f"product with {columns} columns": Case(
            "layer linear { in x[B, I] param w[O, I] = 1 out y[B, O] = sum[I](x * w) }", {"x": (11, 19), "w": (columns, 19)}
        )
        for columns in (8, 13, 29, 61)  # panels of one, two, three vectors, filled and not
    },
    "product of operands far apart": Case(
        "layer linear { in x[I, C, B] param w[O, I] = 1 out y[C, B, O] = sum[I](x * w) }",
        {"x": (19, 2, 11), "w": (13, 19)},
        strided={"x": "sliced", "w": "transposed"},
    ),
    "product over rows of one": Case(
        "layer linear { in x[B, I] param w[O, I] = 1 out y[B, O] = sum[I](x * w) }", {"x": (1, 1), "w": (1, 1)}
    ),
    "empty product": Case(
        "layer linear { in x[B, I] param w[O, I] = 1 out y[B, O] = sum[I](x * w) + 1 }", {"x": (3, 0), "w": (4, 0)}
    ),
    "product of an empty batch": Case(
        "layer linear { in x[B, I] param w[O, I] = 1 out y[B, O] = sum[I](x * w) + 1 }", {"x": (0, 5), "w": (4, 5)}
    ),
}

READS = {
    "constant indices": Case(
        "layer constants { in x[B, 3] param a[G, 2] = 1 param c[2] = 1 out y[B, G] = x[B, 0] * a[G, 1] + x[B, 2] * c[0] * c[1] }",
        {"x": (5, 3), "a": (4, 2), "c": (2,)},
    ),
    "a position along an axis": Case("layer first { in x[B, C] out y[B, C] = x - x[B, 0] out z[C] = x[0, C] * 2 }", {"x": (5, 4)}),
    "renamed": Case("layer renamed { in x[B, C] axis J = C out y[B, C, J] = x * x[B, J] }", {"x": (5, 4)}),
    "transposed": Case("layer transposed { in x[N, M] axis A = M axis K = N out y[A, K] = sin(x[K, A]) }", {"x": (5, 4)}),
    "index and length values": Case(
        """layer ramp { in x[B, L] out y[B, L] = x * cos(2 * pi * index(L) / L) + index(B) * len(L)
             out z[B] = sum[L](x * index(L)) }""",
        {"x": (5, 7)},
    ),
    "buffer": Case(
        "layer buffered { in x[B, C] buffer m[C] = 1 buffer k[C]: i64 = index(C) out y[B, C] = x * m + k }",
        {"x": (5, 7), "m": (7,), "k": (7,)},
        {"k": integers(-4, 5)},
    ),
    "layer call": Case(
        """layer inner(O) { in x[..., I] param w[O, I] = 1 out y[..., O] = sum[I](x * w) }
           layer outer(D) { in x[..., C] param a[D] = 1 let h[..., D] = inner(x, O = D) out y[..., D] = tanh(h) * a }""",
        {"x": (3, 5), "h.w": (4, 5), "a": (4,)},
        sizes={"D": 4},
        layer="outer",
    ),
    "annotated let read at another axis": Case(
        """layer pairs { in x[B, C] axis J = C let u[B, C] = tanh(x) let w[B, C] = x / sqrt(mean[C](x * x) + 1)
             out y[B, C, J] = u * u[B, J] + w[B, J] out z[B] = u[B, 0] }""",
        {"x": (5, 4)},
    ),
    "no axes": Case("layer scalar { param a[] = 1 param b[] = 2 out y[] = sin(a) * b out z[] = a^2 }", {"a": (), "b": ()}),
    "broadcast outs": Case(
        "layer broadcast { in x[B] param a[C] = 1 out y[B, C] = x out z[C, B] = a out w[B, C] = 3 out v[B, C] = x + a }",
        {"x": (5,), "a": (4,)},
    ),
    "outs with different axes": Case(
        """layer shared { in x[B, C] let e = exp(x) let s = sum[C](e)
             out y[B, C] = e / s out t[B] = s out u[C] = sum[B](e) out v[] = sum[B, C](e) out w[C, B] = e }""",
        {"x": (5, 7)},
    ),
    "an out that is an input": Case(
        "layer same { in x[B, C] out y[B, C] = x out z[C, B] = x out r[B] = max[C](x) }", {"x": (5, 7)}
    ),
    "shifted within the range": Case(
        """layer shifted { in x[B, L] axis M = L - 2
             out y[B, M] = x[B, M + 2] - x[B, M] out z[B, M] = sum[k < 3](x[B, M + k]^2) }""",
        {"x": (5, 9)},
        orders=0,
    ),
    "every other": Case(
        "layer haar { in x[B, 2*P] out y[B, P] = x[B, 2*P] + x[B, 2*P+1] out z[P] = max[B](x[B, 2*P + 1]) }",
        {"x": (5, 8)},
        orders=0,
    ),
    "diagonal": Case(
        "layer diagonal { in x[N, M] require N == M out y[N] = x[N, N] out z[] = sum[N](x[N, N]) }", {"x": (6, 6)}, orders=0
    ),
    "half of an axis": Case(
        "layer half { in x[B, L] axis P = L/2 out y[B, P] = x[B, P] * x[B, len(L) - 1 - P] }", {"x": (3, 9)}, orders=0
    ),
    "a constant of two dimensions": Case(
        """layer corner { in x[B, C] param a[3, 4] = 1 out y[B] = x[B, 0] * a[2, 3] + x[0, 0] * a[1, 0]
             out z[C] = x[0, C] * x[1, C] }""",
        {"x": (5, 6), "a": (3, 4)},
    ),
    "iterate": Case(
        "layer newton { in x[N] out y[N] = iterate[4](z = x : 0.5 * (z + x / z)) }",
        {"x": (9,)},
        {"x": uniform(0.5, 2)},
        growth=8192,
    ),
}

CHOICES = {
    "masked": Case(
        "layer masked { in x[B, C] in m[B, C]: bool out y[B, C] = select(m, x, 0) out z[B] = sum[C](select(m, x * x, 0)) }",
        {"x": (5, 7), "m": (5, 7)},
        {"m": booleans()},
    ),
    "integers": Case(
        """layer whole { in x[N] in k[N]: i64 in j[N]: i32 out y[N] = x * k + j^2
             out z[N] = x^k + select(k > j, x, k) out w[N] = k / 2 }""",
        {"x": (37,), "k": (37,), "j": (37,)},
        {"k": integers(-3, 4), "j": integers(-3, 4), "x": uniform(0.5, 2)},
        growth=4096,
    ),
    "logarithm not taken": Case(
        """layer guarded { in x[N] out y[N] = select(x > 0, log(x), x) out z[N] = select(x > 0, sqrt(x), 0)
             out w[N] = select(x == 0, 1, sin(x) / x) }""",
        {"x": (37,)},
        {"x": chosen(-2.0, -1.0, 0.0, 0.5, 2.0)},
        growth=4096,
    ),
    "division not taken": Case(
        """layer guarded { in x[N] in z[N] let r = 1 / x
             out y[N] = select(x != 0, z * r, z) out w[N] = select(x != 0, r * r * log(r * r), 0)
             out v[N] = select(x == 0, 0, z / (x * x)) }""",
        {"x": (37,), "z": (37,)},
        {"x": chosen(-2.0, 0.0, 0.5, 2.0)},
        growth=4096,
    ),
    "reduction of guarded values": Case(
        """layer guarded { in x[B, C] out y[B] = sum[C](select(x > 0, log(x), 0))
             out z[B, C] = select(x > 0, sqrt(x), 0) / sqrt(1 + sum[C](select(x > 0, sqrt(x), 0))) }""",
        {"x": (5, 9)},
        {"x": chosen(-2.0, 0.0, 0.5, 2.0)},
        growth=4096,
    ),
    "nested choices": Case(
        """layer nested { in x[N] let u = select(x > 0, log(x), select(x < -1, log(-x - 1), 0))
             out y[N] = select(x > 1, u * u, u) }""",
        {"x": (37,)},
        {"x": chosen(-2.0, -1.0, 0.0, 0.5, 2.0)},
    ),
    "not a number passes": Case(
        """layer nan { in x[B, C] out m[B] = max[C](x) out n[B] = min[C](x) out s[B] = sum[C](x)
             out p[B, C] = max(x, 0) out q[B, C] = min(0, x) out r[B, C] = clamp(x, -1, 1) }""",
        {"x": (9, 5)},
        {"x": chosen(-2.0, 0.5, float("nan"), float("inf"), 2.0)},
        orders=0,
    ),
    "comparisons as values": Case(
        "layer steps { in x[N] in z[N] out a[N] = x * (select(x > z, 1, 0) + select(x <= z and z < 1 or not (x == z), 2, 3)) }",
        {"x": (37,), "z": (37,)},
        {"x": chosen(-2.0, 0.5, 2.0), "z": chosen(-2.0, 0.5, 2.0)},
    ),
}

SHAPES = {
    "empty batch": Case("layer s { in x[B, C] param g[C] = 1 out y[B, C] = x * g out z[B] = sum[C](x) }", {"x": (0, 5), "g": (5,)}),
    "empty row": Case(
        """layer s { in x[B, C] param g[B] = 1 out y[B, C] = x * g out z[B] = sum[C](x) out m[B] = mean[C](x)
             out p[B] = prod[C](x) + 0 * g }""",
        {"x": (3, 0), "g": (3,)},
        orders=1,
    ),
    "empty columns": Case(
        "layer s { in x[B, C] param g[C] = 1 out z[C] = sum[B](x * g) out m[C] = mean[B](x) out t[] = sum[B, C](x) }",
        {"x": (0, 3), "g": (3,)},
        orders=1,
    ),
    "empty norm": Case(
        "layer s { in x[B, C] param g[C] = 1 out y[B, C] = x * g / sqrt(mean[C](x * x) + 1) }", {"x": (4, 0), "g": (0,)}
    ),
    "all ones": Case(
        "layer s { in x[A, B, C] param g[C] = 1 out y[A, B, C] = x * g / sqrt(mean[A, C](x * x) + 1) out z[] = sum[A, B, C](x) }",
        {"x": (1, 1, 1), "g": (1,)},
    ),
    "primes": Case(
        "layer s { in x[A, B, C] param g[A] = 1 param h[B] = 1 param k[C] = 1 out y[A, B, C] = sin(x * g) * h + k }",
        {"x": (7, 13, 17), "g": (7,), "h": (13,), "k": (17,)},
    ),
    "rows longer than a chunk": Case(
        """layer s { in x[B, C] param g[C] = 1 param a[] = 1 param r[B] = 1
             out y[B, C] = (x * g - mean[C](x)) * a * r out z[B] = sum[C](x * x) }""",
        {"x": (3, 4099), "g": (4099,), "a": (), "r": (3,)},
        orders=1,
        growth=8192,
    ),
    "one long vector": Case(
        "layer s { in x[N] param a[] = 1 out y[N] = a * x out s[] = sum[N](x * a) out m[] = max[N](x) }",
        {"x": (70001,), "a": ()},
        orders=1,
        growth=60000,
    ),
    "long columns": Case(
        "layer s { in x[N, C] param a[C] = 1 out y[N, C] = a * x out s[C] = sum[N](x * x) }",
        {"x": (20011, 3), "a": (3,)},
        orders=1,
        growth=8192,
    ),
}
SHAPES |= {
    f"rows of {count}": Case(
        """layer s { in x[B, G*C] param a[G] = 1 param b[] = 1 out y[B, G*C] = sin(a * x) + b
             out z[B, G] = max[C](x) out w[B, G] = sum[C](x) }""".replace("layer s", "layer s(G = 2)"),
        {"x": (5, 2 * count), "a": (2,), "b": ()},
        orders=1,
    )
    for count in (1, 7, 8, 9, 15, 16, 17, 31, 33)
}

_STRIDED_NORM = """layer strided { in x[B, C] param g[C] = 1 in z[B, C]
    let n = x * rsqrt(mean[C](x * x) + 0.1) out y[B, C] = n * g + tanh(z) out s[C] = sum[B](x * z) }"""
_NORM_SHAPES = {"x": (6, 9), "z": (6, 9), "g": (9,)}
LAYOUTS = {
    "transposed": Case(_STRIDED_NORM, _NORM_SHAPES, strided={"x": "transposed", "grad_y": "transposed"}, growth=4096),
    "sliced": Case(
        _STRIDED_NORM, _NORM_SHAPES, strided={"x": "sliced", "z": "transposed", "g": "sliced", "grad_y": "sliced"}, growth=4096
    ),
    "columns repeated": Case(
        _STRIDED_NORM, _NORM_SHAPES, strided={"grad_y": "column", "grad_s": "column", "z": "column"}, growth=4096
    ),
    "one number": Case(
        "layer strided { in x[..., C] param g[C] = 1 out y[..., C] = sin(x) * g }",
        {"x": (2, 3, 4), "g": (4,)},
        strided={"x": "expanded", "grad_y": "expanded"},
    ),
    "product of strided operands": Case(
        "layer linear { in x[B, I] param w[O, I] = 1 out y[B, O] = sum[I](x * w) }",
        {"x": (6, 5), "w": (7, 5)},
        strided={"x": "transposed", "w": "sliced", "grad_y": "column"},
    ),
}

LOW_PRECISION = {
    f"{dtype} {name}": Case(
        case.text, case.shapes, case.values, case.sizes, case.layer, orders=1, growth=case.growth, dtypes=(dtype,)
    )
    for dtype in ("bf16", "f16")
    for name, case in {
        "layer norm": NORMALISATIONS["layer norm"],
        "softmax": NORMALISATIONS["softmax over the last axis"],
        "linear": CONTRACTIONS["linear"],
        "two products": CONTRACTIONS["two products"],
        "rational": SPLIT["rational"],
        "columns": REDUCTIONS["each reduction over the first axis"],
    }.items()
}

GROUPS: dict[str, dict[str, Case]] = {
    "functions": FUNCTIONS,
    "reductions": REDUCTIONS,
    "normalisations": NORMALISATIONS,
    "split": SPLIT,
    "polynomials": POLYNOMIALS,
    "contractions": CONTRACTIONS,
    "reads": READS,
    "reads beyond the ends": BEYOND,
    "reads beyond several ends": MIXED,
    "shifted reads": SHIFTS,
    "gathers": GATHERS,
    "digits of reads": DIGITS,
    "chains": CHAINS,
    "windows": WINDOWS,
    "windows of each channel": DEPTHWISE,
    "maxima over windows": POOLING,
    "scans": SCANS,
    "choices": CHOICES,
    "shapes": SHAPES,
    "layouts": LAYOUTS,
    "complex": COMPLEX,
    "transforms": TRANSFORMS,
    "extrema": EXTREMA,
    "found": FOUND,
    "low precision": LOW_PRECISION,
}
CASES = {f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()}
