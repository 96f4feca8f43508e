"""Recurrences that kernels are tried on: bodies of every kind, axes in every place, gradients to second order."""

from __future__ import annotations

import numpy
from kernel_harness import Case, integers, uniform

LTI = "layer lti { in x[B, L, D] in a[D] out h[B, L, D] = scan[L](s = 0 : a*s + x) }"
FACTOR = {"a": uniform(0.3, 0.95)}

SCANS: dict[str, Case] = {
    "lti": Case(LTI, {"x": (2, 7, 5), "a": (5,)}, FACTOR),
    "lti of many lanes": Case(LTI, {"x": (2, 3, 521), "a": (521,)}, FACTOR, orders=1),
    "lti without steps": Case(LTI, {"x": (2, 0, 5), "a": (5,)}, FACTOR),
    "lti of one step": Case(LTI, {"x": (1, 1, 3), "a": (3,)}, FACTOR),
    "lti without lanes": Case(LTI, {"x": (2, 3, 0), "a": (0,)}, FACTOR),
    "half": Case(LTI, {"x": (2, 9, 17), "a": (17,)}, FACTOR, dtypes=("bf16", "f16")),
    "initial value": Case(
        "layer start { in x[B, L, D] in a[B, L] in z[B, D] out h[B, L, D] = scan[L](s = 2*z : a*s + x) }",
        {"x": (2, 5, 3), "a": (2, 5), "z": (2, 3)},
        {"a": uniform(0.3, 0.95)},
    ),
    "gated": Case(
        """layer gated { in x[B, L, D] in g[B, L, D] in w[D] param b[D] = 0
           let z = sigmoid(g*w + b) out y[B, L, D] = scan[L](h = 0 : (1 - z)*h + z*x) }""",
        {"x": (2, 5, 7), "g": (2, 5, 7), "w": (7,), "b": (7,)},
    ),
    "normalised state": Case(  # the state's axis D is known only once the step is
        "layer normal { in x[B, L, D] in a[] out y[B, L, D] = scan[L](h = 0 : a*h / sqrt(1 + sum[D](h*h)) + x) }",
        {"x": (2, 5, 3), "a": ()},
    ),
    "moving average": Case(
        "layer average { in x[B, L] in k[] let a = sigmoid(k) out y[B, L] = scan[L](m = x[B, 0] : a*m + (1 - a)*x) }",
        {"x": (3, 5), "k": ()},
    ),
    "sum along the last axis": Case("layer total { in x[N, M, L] out y[N, M, L] = scan[L](s = 0 : s + x) }", {"x": (3, 7, 11)}),
    "sum along the first axis": Case("layer total { in x[L, N] out y[L, N] = scan[L](s = 0 : s + x) }", {"x": (11, 19)}),
    "sum along the only axis": Case("layer total { in x[L] out y[L] = scan[L](s = 0 : s + x) }", {"x": (31,)}),
    "sum of integers": Case(
        """layer total { in x[L, N]: i64 in w[L, N]
           out y[L, N] = scan[L](s = 0 : s + x) out z[L, N] = w * scan[L](s = 1 : max(s, x)) }""",
        {"x": (7, 5), "w": (7, 5)},
        {"x": integers(-9, 9)},
    ),
    "product": Case("layer product { in x[B, L] out y[B, L] = scan[L](p = 1 : p * x) }", {"x": (3, 6)}, {"x": uniform(0.5, 1.5)}),
    "maximum": Case("layer peak { in x[B, L] out y[B, L] = scan[L](m = x[B, 0] : max(m, x)) }", {"x": (3, 9)}),
    "logarithm of a sum": Case(
        """layer logcumsumexp { in x[B, L]
           out y[B, L] = scan[L](m = -30 : max(m, x) + log1p(exp(-abs(m - x)))) }""",
        {"x": (3, 6)},
    ),
    "nonlinear": Case(
        "layer recurrent { in x[B, L, D] in a[D] in b[L, D] out y[B, L, D] = scan[L](h = 0.5 : tanh(a*h + x) + b) }",
        {"x": (2, 5, 3), "a": (3,), "b": (5, 3)},
    ),
    "several axes": Case(
        """layer state { in x[B, L, D] in b[B, L, N] in c[B, L, N] in a[D, N] in s[D]
           let h = scan[L](h = 0 : exp(-softplus(a)) * h + b * x) out y[B, L, D] = sum[N](c * h) + s * x }""",
        {"x": (2, 5, 3), "b": (2, 5, 4), "c": (2, 5, 4), "a": (3, 4), "s": (3,)},
    ),
    "index and length": Case(
        "layer counted { in x[L, D] out y[L, D] = scan[L](h = index(D) : h * x / (1 + index(L)) + len(L)) }", {"x": (5, 3)}
    ),
    "reduced": Case(
        "layer averaged { in x[B, L, D] in a[D] out y[B, D] = mean[L](scan[L](h = 0 : a*h + x)) }",
        {"x": (2, 6, 3), "a": (3,)},
        FACTOR,
    ),
    "normalised": Case(
        "layer normal { in x[B, L, D] in a[D] let h = scan[L](s = 0 : a*s + x) out y[B, L, D] = h * rsqrt(mean[D](h*h) + 0.1) }",
        {"x": (2, 4, 5), "a": (5,)},
        FACTOR,
    ),
    "product of matrices before and after": Case(
        """layer projected { in x[B, L, I] in w[D, I] in v[O, D] in a[D]
           let u[B, L, D] = sum[I](x*w) let h[B, L, D] = scan[L](s = 0 : a*s + u) out y[B, L, O] = sum[D](h*v) }""",
        {"x": (2, 5, 6), "w": (7, 6), "v": (5, 7), "a": (7,)},
        {"a": uniform(0.3, 0.95)},
    ),
    "sum before": Case(
        "layer scaled { in x[B, L, D] in a[D] out y[B, L, D] = scan[L](s = mean[L](x) : a*s + x / sqrt(1 + sum[D](x*x))) }",
        {"x": (2, 4, 5), "a": (5,)},
        FACTOR,
    ),
    "sum within a step": Case(
        "layer bounded { in x[B, L, D] in z[D] out y[B, L, D] = scan[L](h = z : (z*h + x) / sqrt(mean[D](h*h) + 1)) }",
        {"x": (2, 4, 5), "z": (5,)},
    ),
    "extremum within a step": Case(
        "layer peaks { in x[L, D, E] out y[L, D, E] = scan[L](h = x[0, D, E] : h - max[D](h) + min[D, E](h) + x) }",
        {"x": (4, 3, 5)},
    ),
    "sum over an axis of its own": Case(
        "layer waves { in x[L, D] in w[K] out y[L, D] = scan[L](h = 0 : x + 0.1 * sum[K](sin(w * h))) }",
        {"x": (4, 3), "w": (5,)},
    ),
    "written out within a step": Case(
        "layer polynomial { in x[L, D] in w[4] out y[L, D] = scan[L](h = 0 : x + 0.1 * sum[k < 4](w[k] * h^k)) }",
        {"x": (4, 3), "w": (4,)},
    ),
    "of a scan": Case(
        "layer twice { in x[B, L, D] in a[D] let s = scan[L](s = 0 : a*s + x) out y[B, L, D] = scan[L](t = 0 : 0.5*t + s*s) }",
        {"x": (2, 4, 3), "a": (3,)},
        FACTOR,
    ),
    "along two axes": Case(
        "layer table { in x[B, H, W] let s = scan[W](s = 0 : s + x) out y[B, H, W] = scan[H](t = 0 : t + s) }", {"x": (2, 5, 7)}
    ),
    "within a scan": Case(
        "layer nested { in x[L, K] in a[] out y[L] = scan[L](h = 1 : a*h + mean[K](scan[K](s = h : s*x + h*a))) }",
        {"x": (3, 4), "a": ()},
        {"a": uniform(0.1, 0.4)},
    ),
    "read at other indices": Case(
        """layer shifted { in x[B, L, D] let s[B, L, D] = scan[L](s = 0 : 0.5*s + x)
           out y[B, L, D] = zero(s)[B, L - 2, D] * x + s[B, 0, D] }""",
        {"x": (2, 5, 3)},
    ),
    "iterated": Case("layer iterated { in x[B, L] out y[B, L] = iterate[3](z = x : scan[L](s = 0 : 0.5*s + z)) }", {"x": (2, 5)}),
    "two results": Case(
        """layer both { in x[B, L, D] let s = scan[L](s = 0 : 0.5*s + x)
           out y[B, L, D] = s out z[B, L, D] = exp(-s) out w[B, D, L] = s }""",
        {"x": (2, 5, 3)},
    ),
    "strided": Case(LTI, {"x": (2, 7, 5), "a": (5,)}, FACTOR, strided={"x": "transposed", "grad_h": "sliced"}),
    "iterated as a loop": Case(
        "layer newton { in x[N] in c[] out y[N] = iterate[300](z = x : z - 0.1 * (z*z - c*x) / (z + 2)) }",
        {"x": (7,), "c": ()},
        {"x": uniform(0.2, 2), "c": uniform(0.3, 0.9)},
        growth=4096.0,
    ),
    "two values iterated as a loop": Case(
        """layer turned { in x[N, M] in w[M] let s = 0.01 * sum[M](w * x)
           out y[N, M] = iterate[120](a = x, b = w : a - s*b, b + s*a + 0.001*tanh(a*b)) }""",
        {"x": (3, 5), "w": (5,)},
        growth=4096.0,
    ),
    "iterated within a scan": Case(
        """layer solved { in x[L, N] out y[L, N] = scan[L](h = 0 :
             iterate[150](z = h : z - 0.1 * (z + 0.2*tanh(z) - 0.5*h - x + 0.1*z*z*z - 0.1*h*z*z))) }""",
        {"x": (3, 2)},
        growth=4096.0,
    ),
    "one long row": Case(
        "layer one { in x[L] in g[L] out y[L] = scan[L](h = 0.5 : sigmoid(g)*h + x) }", {"x": (2309,), "g": (2309,)}, orders=1
    ),
    "few long rows": Case(
        """layer few { in x[B, L, D] in w[D] in z[B]
           out y[B, L, D] = scan[L](h = z : select(x > 0, x - w*h, h/(1 + x*x) + sin(h*0 + index(L)) - h*0.5 - h*0)) }""",
        {"x": (2, 2048, 2), "w": (2,), "z": (2,)},
        {"w": uniform(0.3, 0.9)},
        orders=0,
    ),
    "linear by choices": Case(
        """layer chosen { in x[L, D] in w[D]
           out y[L, D] = scan[L](h = 1 : select(x > 0, x - w*h, -(h/(1 + x*x)) + sin(index(L))) - (0.1 - h*0.05)) }""",
        {"x": (2500, 3), "w": (3,)},
        {"w": uniform(0.3, 0.9)},
        orders=1,
    ),
    "sum of a long row": Case("layer total { in x[B, L] out y[B, L] = scan[L](s = 0 : s + x) }", {"x": (2, 2111)}, orders=1),
    "extrema of long rows": Case(
        "layer peaks { in x[B, L] out y[B, L] = scan[L](m = x[B, 0] : max(m, x)) out z[B, L] = scan[L](m = 1 : min(x, m)) }",
        {"x": (2, 2111)},
        orders=1,
    ),
    "products that leave the range": Case(
        "layer grown { in x[L] in b[L] out y[L] = scan[L](p = 0 : x * p + b) }",
        {"x": (2100,), "b": (2100,)},
        {"x": uniform(1.5, 2.5), "b": lambda generator, shape: (numpy.arange(shape[0]) > 2000) * generator.standard_normal(shape)},
        orders=0,
        growth=4096.0,
    ),
    "names that the text of a kernel uses": Case(
        """layer named { in value[L] in factor[L] in chunk_value[L] in lane[L] in begin[L] in now[L]
           let step = value * factor let row = exp(-lane * lane)
           out y[L] = scan[L](point = 0 : sigmoid(chunk_value) * point + step * row + begin * now) }""",
        dict.fromkeys(("value", "factor", "chunk_value", "lane", "begin", "now"), (2100,)),
        orders=1,
    ),
    "read beyond the end": Case(
        """layer ahead { in x[L] in w[L] in v[C, L] let s[L] = scan[L](s = 0 : s * tanh(w) * 0.7 + x/3)
           out y[C, L] = v / (1.2 + sqrt(0.5 + clamp(s)[L + 2]^2)) }""",
        {"x": (5,), "w": (5,), "v": (3, 5)},
    ),
}
