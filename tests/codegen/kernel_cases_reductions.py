"""Small layers of scalar functions, reductions, normalisations, split axes and polynomials, for the tests of generated kernels."""

from __future__ import annotations

from kernel_harness import Case, booleans, chosen, integers, uniform

# One differentiable layer a scalar function, each on the interval where it is smooth.
_FUNCTIONS = {
    "abs": (-3, 3),
    "sign": (-3, 3),
    "floor": (-3, 3),
    "round": (-3, 3),
    "sqrt": (0.1, 4),
    "rsqrt": (0.1, 4),
    "exp": (-3, 3),
    "exp2": (-3, 3),
    "expm1": (-3, 3),
    "log": (0.1, 4),
    "log2": (0.1, 4),
    "log1p": (-0.5, 4),
    "sin": (-3, 3),
    "cos": (-3, 3),
    "tan": (-1.2, 1.2),
    "tanh": (-3, 3),
    "sinh": (-3, 3),
    "cosh": (-3, 3),
    "asinh": (-3, 3),
    "acosh": (1.2, 4),
    "atanh": (-0.8, 0.8),
    "atan": (-3, 3),
    "asin": (-0.8, 0.8),
    "acos": (-0.8, 0.8),
    "sigmoid": (-3, 3),
    "softplus": (-3, 3),
    "erf": (-3, 3),
    "erfc": (-3, 3),
    "lgamma": (0.3, 5),
    "digamma": (0.3, 5),
}


def _functions(names: list[str]) -> Case:
    """Several functions in one layer, an input and an out each."""
    lines = [f"in x_{name}[N] out y_{name}[N] = {name}(x_{name})" for name in names]
    return Case(
        "layer functions { " + " ".join(lines) + " }",
        {f"x_{name}": (37,) for name in names},
        {f"x_{name}": uniform(*_FUNCTIONS[name]) for name in names},
        growth=4096,
    )


_ORDER = list(_FUNCTIONS)
FUNCTIONS = {f"functions {start}": _functions(_ORDER[start : start + 6]) for start in range(0, len(_ORDER), 6)}
FUNCTIONS |= {
    "functions of two": Case(
        """layer two { in x[N] in z[N] in p[N]
             out a[N] = min(x, z) out b[N] = max(x, z) out c[N] = clamp(x, z, 1) out d[N] = pow(p, x) out f[N] = atan2(x, p)
             out g[N] = select(x > z, x * x, z) out h[N] = p^x }""",
        {"x": (37,), "z": (37,), "p": (37,)},
        {"p": uniform(0.4, 3)},
        growth=4096,
    ),
    "polynomials of known order": Case(
        """layer families { in x[N]
             out a[N] = chebyshev(5, x) out b[N] = legendre(4, x) out c[N] = hermite(3, x) out d[N] = bspline(3, 2 * x + 2) }""",
        {"x": (41,)},
        {"x": uniform(-1, 1)},
        derived_from_math=True,
    ),
    "bspline of degrees 0 and 1": Case(
        "layer steps { in x[N] out a[N] = bspline(0, x) out b[N] = bspline(1, x) out c[N] = bspline(2, x) }",
        {"x": (41,)},
        {"x": uniform(-1, 4)},
    ),
}

REDUCTIONS = {
    "each reduction over the last axis": Case(
        """layer all_of_them { in x[B, C]
             out s[B] = sum[C](x) out p[B] = prod[C](x) out m[B] = max[C](x) out n[B] = min[C](x) out a[B] = mean[C](x) }""",
        {"x": (5, 9)},
        {"x": uniform(0.5, 1.5)},
    ),
    "each reduction over the first axis": Case(
        """layer columns { in x[B, C]
             out s[C] = sum[B](x) out p[C] = prod[B](x) out m[C] = max[B](x) out n[C] = min[B](x) out a[C] = mean[B](x) }""",
        {"x": (9, 5)},
        {"x": uniform(0.5, 1.5)},
    ),
    "reductions over a middle axis": Case(
        "layer middle { in x[A, B, C] out s[A, C] = sum[B](x * x) out m[A, C] = max[B](x) out t[C, A] = mean[B](x) }",
        {"x": (3, 7, 5)},
    ),
    "reductions over all axes": Case(
        "layer whole { in x[A, B, C] out s[] = sum[A, B, C](x * x) out m[] = max[A, B, C](x) out p[] = mean[A, B, C](x) }",
        {"x": (3, 7, 5)},
    ),
    "reductions over axes apart": Case(
        "layer apart { in x[A, B, C] out s[B] = sum[A, C](x * x) out m[B] = min[A, C](x) }", {"x": (3, 7, 5)}
    ),
    "reduction of a reduction": Case(
        "layer twice { in x[A, B, C] out y[] = max[A](sum[B](max[C](x))) out z[A] = sum[B](max[C](x)^2) }", {"x": (3, 7, 5)}
    ),
    "sum of squares of sums": Case("layer nested { in x[A, B] out y[] = sum[A](sum[B](x)^2) }", {"x": (6, 7)}),
    "maximum of minima over crossed axes": Case(
        "layer crossed { in x[A, B] out y[] = max[A](min[B](x)) + min[B](max[A](x)) }", {"x": (6, 7)}
    ),
    "an index of its own, short": Case(
        "layer short { in x[N] param a[4] = 1 out y[N] = sum[i < 4](a[i] * sin(x * (i + 1))) }", {"x": (23,), "a": (4,)}
    ),
    "an index of its own, long": Case(
        "layer long { in x[N] param a[K] = 1 out y[N] = sum[i < 100](sin(x * (i + 1)) / (i + 1)^2) * sum[K](a) }",
        {"x": (23,), "a": (4,)},
        growth=40000,
    ),
    "an index of its own, offset": Case(
        "layer offset { in x[N] param a[6] = 1 out y[N] = sum[i in 2..5](a[i] * x^i) + max[j < 3](a[j]) }", {"x": (23,), "a": (6,)}
    ),
    "products over an index": Case(
        "layer roots { in x[N] param r[3] = 1 out y[N] = prod[i < 3](x - r[i]) out z[N] = max[i < 3](x * r[i]) }",
        {"x": (23,), "r": (3,)},
    ),
    "any and all": Case(
        """layer truth { in x[B, C] in m[B, C]: bool
             out y[B, C] = select(any[C](x > 1.5), x, x * x) * select(all[B](m), 2, 3)
             out z[B] = select(any[C](m), 1.0, 0.0) + x[B, 0] }""",
        {"x": (7, 5), "m": (7, 5)},
        {"m": booleans()},
    ),
    "counts": Case(
        "layer counts { in x[B, C] in k[B, C]: i64 out y[B] = sum[C](k) * sum[C](x) out t[B]: i64 = 1 }".replace(
            " out t[B]: i64 = 1", ""
        ),
        {"x": (7, 5), "k": (7, 5)},
        {"k": integers(-3, 4)},
    ),
    "product with zeros": Case(
        "layer zeros { in x[B, C] out y[B] = prod[C](x) }",
        {"x": (9, 4)},
        {"x": chosen(0.0, 0.0, 1.5, -2.0)},
    ),
    "ties": Case(
        "layer ties { in x[B, C] out y[B] = max[C](x) out z[B] = min[C](x) out w[] = max[B, C](x) }",
        {"x": (9, 5)},
        {"x": chosen(-1.0, 0.0, 2.0)},
    ),
    "reduction of a value that lacks the axis": Case(
        "layer lacking { in x[B, C] param a[B] = 1 out y[C] = sum[B](x) + mean[B](a) out z[] = sum[B, C](x * 0 + 2) }",
        {"x": (4, 5), "a": (4,)},
    ),
}

NORMALISATIONS = {
    "batch norm": Case(
        """layer batch_norm { in x[B, C, H, W] param g[C] = 1 param b[C] = 0
             let m = mean[B, H, W](x)
             let v = mean[B, H, W]((x - m)^2)
             out y[B, C, H, W] = (x - m) * rsqrt(v + 1e-3) * g + b }""",
        {"x": (3, 4, 5, 2), "g": (4,), "b": (4,)},
    ),
    "statistics over different axes": Case(
        """layer evonorm_b0 { in x[B, C, H, W] param v[C] = 1 param g[C] = 1 param b[C] = 0
             let m = mean[B, H, W](x)
             let s = sqrt(mean[B, H, W]((x - m)^2) + 1e-2)
             let l = mean[H, W](x)
             let r = sqrt(mean[H, W]((x - l)^2) + 1e-2)
             out y[B, C, H, W] = x / max(s, v * x + r) * g + b }""",
        {"x": (3, 4, 5, 2), "v": (4,), "g": (4,), "b": (4,)},
        growth=4096,
    ),
    "group norm": Case(
        """layer group_norm(G = 2) { in x[B, G*C, H] param g[G*C] = 1 param b[G*C] = 0
             let m = mean[C, H](x)
             out y[B, G*C, H] = (x - m) * rsqrt(mean[C, H]((x - m)^2) + 1e-3) * g + b }""",
        {"x": (3, 6, 5), "g": (6,), "b": (6,)},
    ),
    "global norm": Case(
        "layer global_norm { in x[B, C] param g[] = 1 out y[B, C] = x * g / sqrt(sum[B, C](x * x) + 1e-3) }",
        {"x": (7, 11), "g": ()},
    ),
    "layer norm": Case(
        """layer layer_norm { in x[..., C] param g[C] = 1 param b[C] = 0
             out y[..., C] = (x - mean[C](x)) * rsqrt(var[C](x) + 1e-3) * g + b }""",
        {"x": (2, 3, 17), "g": (17,), "b": (17,)},
    ),
    "rows and columns at once": Case(
        "layer both { in x[B, C] out y[B, C] = x - mean[C](x) - mean[B](x) + mean[B, C](x) out n[C] = sum[B](x * x) }",
        {"x": (7, 11)},
    ),
    "softmax over the last axis": Case("layer s { in x[B, C] out y[B, C] = softmax[C](x) }", {"x": (5, 33)}),
    "softmax over the first axis": Case("layer s { in x[B, C] out y[B, C] = softmax[B](x) }", {"x": (33, 5)}),
    "softmax over two axes": Case(
        "layer s { in x[B, C, D] out y[B, C, D] = softmax[C, D](x) }".replace(
            "softmax[C, D](x)", "exp(x - max[C, D](x)) / sum[C, D](exp(x - max[C, D](x)))"
        ),
        {"x": (3, 5, 4)},
    ),
    "softmax over axes apart": Case(
        "layer s { in x[B, C, W] out y[B, C, W] = exp(x - max[B, W](x)) / sum[B, W](exp(x - max[B, W](x))) }", {"x": (3, 5, 4)}
    ),
    "log-sum-exp": Case("layer s { in x[B, C] out y[B] = logsumexp[C](x) out z[B, C] = log_softmax[C](x) }", {"x": (6, 19)}),
    "norm of a norm": Case(
        """layer stacked_norms { in x[B, C] let u = x / sqrt(mean[C](x * x) + 0.1) let v = u - mean[B](u)
             out y[B, C] = v / sqrt(mean[B](v * v) + 0.1) }""",
        {"x": (7, 5)},
        growth=4096,
    ),
    "norm stored transposed": Case(
        "layer flipped { in x[B, C, D] out y[D, B, C] = x / sqrt(mean[C](x * x) + 0.1) }", {"x": (3, 7, 5)}
    ),
}

SPLIT = {
    "groups": Case(
        """layer grouped(G = 4) { in x[..., G*C] param a[G] = 1 param b[C] = 1 param c[G*C] = 1 param d[] = 1
             out y[..., G*C] = a * sin(b * x) + c * x * d }""",
        {"x": (2, 3, 20), "a": (4,), "b": (5,), "c": (20,), "d": ()},
    ),
    "one group": Case(
        """layer grouped(G = 1) { in x[..., G*C] param a[G] = 1 param b[C] = 1 param c[G*C] = 1 param d[] = 1
             out y[..., G*C] = a * sin(b * x) + c * x * d }""",
        {"x": (7, 5), "a": (1,), "b": (5,), "c": (5,), "d": ()},
    ),
    "groups apart": Case("layer shuffle(G = 3) { in x[B, G*C] out y[B, C*G] = tanh(x) out z[G, B, C] = x * x }", {"x": (4, 12)}),
    "group statistics": Case(
        "layer pooled(G = 3) { in x[B, G*C] out y[B, G] = max[C](x) + mean[C](x) out z[B, C] = sum[G](x^2) }", {"x": (4, 12)}
    ),
    "rational": Case(
        """layer group_rational(G = 4, M = 5, N = 4) { in x[..., G*C] param a[G, M+1] = 1 param b[G, N] = 1
             let p = sum[i < M+1](a[G, i] * x^i)
             let q = 1 + abs(sum[j < N](b[G, j] * x^(j+1)))
             out y[..., G*C] = p / q }""",
        {"x": (2, 3, 20), "a": (4, 6), "b": (4, 4)},
        growth=4096,
    ),
    "rational, lanes": Case(
        """layer group_rational(G = 2, M = 3, N = 2) { in x[..., G*C] param a[G, M+1] = 1 param b[G, N] = 1
             let p = sum[i < M+1](a[G, i] * x^i)
             let q = 1 + abs(sum[j < N](b[G, j] * x^(j+1)))
             out y[..., G*C] = p / q }""",
        {"x": (700, 66), "a": (2, 4), "b": (2, 2)},
        orders=1,
        growth=4096,
    ),
}

POLYNOMIALS = {
    "powers": Case(
        "layer powers { in x[N] out a[N] = x^0 out b[N] = x^1 out c[N] = x^(-2) out d[N] = x^3 - 2 * x^2 out f[N] = (x * x)^0.5 }",
        {"x": (19,)},
        growth=4096,
    ),
    "powers of an index": Case(
        "layer indexed { in x[N] param a[J] = 1 out y[N] = sum[J](a * x^index(J)) }", {"x": (19,), "a": (5,)}, growth=4096
    ),
    "coefficients": Case(
        """layer coefficients { in x[N, C] param a[4] = 1 param b[4, C] = 1
             out y[N, C] = sum[i < 4](a[i] * x^i) out z[N, C] = sum[i < 4](b[i, C] * x^i) out w[N, C] = 1 + 2*x - 3*x^2 + x^5 }""",
        {"x": (5, 6), "a": (4,), "b": (4, 6)},
    ),
    "two variables": Case(
        "layer bivariate { in x[N] in z[N] param a[3, 3] = 1 out y[N] = sum[i < 3, j < 3](a[i, j] * x^i * z^j) }",
        {"x": (19,), "z": (19,), "a": (3, 3)},
    ),
    "powers of zero": Case(
        "layer zeros { in x[N] param a[4] = 1 out y[N] = sum[i < 4](a[i] * x^i) out z[N] = x^0 + x^1 }",
        {"x": (19,), "a": (4,)},
        {"x": chosen(0.0, 1.0, -1.0)},
    ),
}
