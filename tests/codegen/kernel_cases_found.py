"""Layers that once came out wrong, or could not be planned, and their like."""

from __future__ import annotations

import numpy
from kernel_harness import Case, booleans, chosen, integers

# The gradient of a maximum goes where a value computed again equals it, to the last bit.
EXTREMA = {
    f"maximum of a sum with a product over {axis}": Case(
        f"""layer pooled {{ in x[B, C] param a[C] = 1 param b[C] = 1
                let t = a * x let m = max[{axis}](t + b) out y[B, C] = sin(t) * m }}""",
        {"x": (50, 40), "a": (40,), "b": (40,)},
        growth=4096,
    )
    for axis in ("B", "C")
}
# Three points that tie get a third of the gradient each, along an index of the reduction's own too; one that is NaN gets it all.
TIED = chosen(-1.0, 0.0, 0.0, 1.0)
EXTREMA |= {
    "ties in windows": Case(
        """layer pooled { in x[B, L] axis P = L - 2
             out y[B, P] = max[k < 3](x[B, P + k]) out z[B, P] = min[k < 3](x[B, P + k]) }""",
        {"x": (3, 9)},
        {"x": TIED},
    ),
    "ties of a computed value in windows": Case(
        """layer pooled { in x[B, H, W] let r[B, H, W] = relu(x)
             out y[B, H, W] = max[i < 2, j < 2](zero(r)[B, H + i - 1, W + j - 1]) }""",
        {"x": (2, 7, 8)},
        {"x": TIED},
    ),
    "ties at each step of an iteration": Case(
        "layer pooled { in x[B, D] out y[B] = iterate[3](s = 1 : 0.5*s + max[k < 3](x[B, k] * s)) }", {"x": (3, 4)}, {"x": TIED}
    ),
    "an extremum over the order of a polynomial": Case(
        "layer pooled { in x[B, L] out y[B, L] = max[k < 3](chebyshev(k, x)) }", {"x": (3, 9)}, derived_from_math=True
    ),
    "nan in windows": Case(
        "layer pooled { in x[B, L] out y[B, L] = max[k < 3](clamp(x)[B, 2*L + k - 1]) }",
        {"x": (3, 9)},
        {"x": chosen(float("nan"), float("inf"), 1.0, 2.0)},
    ),
}
EXTREMA |= {
    "maximum of a matrix product": Case(
        """layer pooled { in x[B, I] param w[O, I] = 1
             let h = sum[I](x * w) let m = max[O](h * h + h) out y[B, O] = m * sin(h * h) }""",
        {"x": (50, 4), "w": (40, 4)},
        growth=8192,
    ),
    "maximum of a sum over few": Case(
        """layer pooled { in x[B, O, 3] param a[O] = 1
             let h = sum[i < 3](sum[O](x[B, O, i] * a) + x[B, O, i]) let m = min[O](h * h + h) out y[B, O] = m * sin(h * h) }""",
        {"x": (20, 40, 3), "a": (40,)},
        growth=8192,
    ),
}

FOUND = {
    "integer functions of literals": Case(
        """layer s { in k[B]: i64 in j[B]: i32 in x[B] out a[B] = clamp(k * 2 - 1, -3, 4) out b[B] = min(j, 3) + max(2, k)
             out c[B] = x * abs(j - 2) * sign(k - 1) out d[B] = floor(k) + round(j) }""",
        {"k": (9,), "j": (9,), "x": (9,)},
        {"k": integers(-9, 9), "j": integers(-5, 9)},
    ),
    "reductions of what does not vary": Case(
        """layer s { in x[B, C] param a[] = 1 out p[B] = sum[C](x^0) * x[B, 0] out q[B] = sum[i < 3](x[B, 1] + 0*i)
             out r[] = sum[i < 3](2.5) * a out s[B] = max[C](x^0) out t[] = prod[i < 3](a) out u[] = prod[B](index(B)^0)
             out v[] = select(any[i < 3](a > 0), a, 1) out w[B] = mean[C](x^0) }""",
        {"x": (5, 4), "a": ()},
    ),
    "int reductions": Case(
        """layer s { in k[B, C]: i64 in j[B, C]: i32 in x[B] out a[B] = x * max[C](k) + min[C](j)
             out b[C] = max[B](k) + sum[B](j) out c[] = prod[B, C](j) + sum[B,C](k*j) out d[B] = mean[C](k)
             out f[B, C] = k - max[C](k) + max[B](j) }""",
        {"k": (9, 7), "j": (9, 7), "x": (9,)},
        {"k": integers(-9, 9), "j": integers(1, 3)},
    ),
    "bool reductions": Case(
        """layer s { in m[B, C, D]: bool in x[B, C, D] out a[B, D] = select(any[C](m), 1, 0) * 2
             out b[C] = select(all[B, D](m), x[0,C,0], 1) out c[] = select(any[B, C, D](m), 1, 0)
             out d[B,C,D] = select(any[B](m) and all[D](m), x, 0) out f[B] = sum[C, D](select(m, 1, 0)) }""",
        {"m": (5, 4, 3), "x": (5, 4, 3)},
        {"m": booleans()},
    ),
    "rounded quotients": Case(
        """layer s { in x[B, C] param s[] = 1 out y[B, C] = floor(x / s) * s out z[B, C] = round(x / s)
             out c[B, C] = select(x / s >= 3, 1, 0)}""",
        {"x": (50, 20), "s": ()},
        {"x": lambda g, sh: g.integers(0, 60, sh) * 0.1 * 7, "s": lambda g, sh: numpy.asarray(0.7)},
        orders=0,
        dtypes=("f64",),
    ),
    "floor exact": Case(
        "layer s { in x[B, C] param s[B] = 1 out y[B, C] = floor(x / s) }",
        {"x": (60, 60), "s": (60,)},
        {"x": lambda g, sh: (numpy.arange(60)[:, None] + 1.0) * numpy.arange(60)[None], "s": lambda g, sh: numpy.arange(60) + 1.0},
        orders=0,
    ),
    "row kept inner": Case(
        """layer s { in x[B, C, D] out y[B, C, D] = x * mean[C](x) * mean[D](x) + max[C](x)
             out z[B, C] = max[D](x) out w[B, D] = min[C](x)}""",
        {"x": (3, 5, 7)},
        growth=4096,
    ),
    "many stats": Case(
        """layer s { in x[A,B,C] let u = x - mean[A](x) let v = u / (1+ mean[B](u*u)) let w = v - max[C](v)
             out y[A,B,C] = w * mean[A,B](w) out z[C,A] = sum[B](w*x) }""",
        {"x": (3, 5, 7)},
        growth=2**16,
    ),
    "mean of lacking": Case(
        "layer s { in x[B] param a[C] = 1 out y[B] = x * mean[C](a) + sum[C](a * x) + prod[C](a) }", {"x": (5,), "a": (4,)}
    ),
    "sum over scalar expr": Case(
        "layer s { in x[B, C] param a[] = 1 out y[] = sum[B](sum[C](x) * a) out z[] = max[B](sum[C](x) * a) }",
        {"x": (5, 4), "a": ()},
    ),
    "chain matmul norms": Case(
        """layer s { in x[B, I] param w[O, I] = 1 param v[P, O] = 1 let h = sum[I](x*w)
             let n = h * rsqrt(mean[O](h*h)+0.1) let r = sum[O](n*v)
             out y[B, P] = r * rsqrt(mean[P](r*r)+0.1) + mean[B](r) }""",
        {"x": (6, 5), "w": (7, 5), "v": (8, 7)},
        growth=2**16,
    ),
    "batchnorm of linear": Case(
        """layer s { in x[B, I] param w[O, I] = 1 let h = sum[I](x*w) let m = mean[B](h)
             out y[B, O] = relu((h - m) * rsqrt(mean[B]((h-m)^2)+0.1)) }""",
        {"x": (6, 5), "w": (7, 5)},
        growth=2**16,
    ),
    "two softmax": Case(
        "layer s { in x[B, C, D] let p = softmax[C](x) out y[B, C, D] = softmax[D](p * x) out z[B] = max[C, D](p) }",
        {"x": (3, 4, 5)},
        growth=2**14,
    ),
    "prod outer": Case(
        "layer s { in x[B, C] out y[C] = prod[B](sin(x)) out z[B, C] = x / prod[C](2 + sin(x)) }", {"x": (4, 5)}, growth=2**14
    ),
    "max abs norm": Case(
        "layer s { in x[B, C] out y[B, C] = x / max_norm[C](x) out z[B, C] = x * l2_norm[B](x) }", {"x": (6, 5)}, growth=2**14
    ),
    "linear attention": Case(
        """layer s { in q[B, L, D] in k[B, L, D] in v[B, L, E] let f = softplus(k) let s = sum[L](f * v)
             let n = sum[L](f) out y[B, L, E] = sum[D](softplus(q) * s) / sum[D](softplus(q) * n) }""",
        {"q": (2, 6, 4), "k": (2, 6, 4), "v": (2, 6, 5)},
        growth=2**14,
    ),
    "gated batched heads": Case(
        """layer s(H = 2) { in x[B, L, I] param w[H, D, I] = 1 param u[H, D, I] = 1 axis J = L
             let q[B, H, L, D] = sum[I](x * w) let k[B, H, L, D] = sum[I](x * u)
             let a = softmax[J](sum[D](q * k[B, H, J, D])) out y[B, L, H*D] = sum[J](a * k[B, H, J, D]) }""",
        {"x": (2, 5, 6), "w": (2, 4, 6), "u": (2, 4, 6)},
        growth=2**16,
    ),
    "mean of a product with itself": Case("layer s { in x[B, C] axis J = C out g[C, J] = mean[B](x * x[B, J]) }", {"x": (9, 5)}),
    "second order of max": Case("layer s { in x[B, C] out y[B] = max[C](x)^3 * sum[C](x * x) }", {"x": (9, 5)}, growth=2**14),
    "inf norm": Case(
        "layer s { in x[B, C] out y[B, C] = select(abs(x) > 1, sign(x), x) * clamp(x, -2, 2) + min(max(x, -1), 1) }", {"x": (9, 5)}
    ),
    "bf16 grads": Case(
        "layer s { in x[B, C] param w[O, C] = 1 param b[O] = 1 let h = silu(sum[C](x*w)+b) out y[B, O] = h out z[B] = sum[O](h) }",
        {"x": (9, 5), "w": (6, 5), "b": (6,)},
        dtypes=("bf16", "f16"),
        orders=1,
        growth=4096,
    ),
}
