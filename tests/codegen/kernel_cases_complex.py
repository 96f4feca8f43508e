"""Small layers of complex values, for the tests of generated kernels: arithmetic, functions, products, storage."""

from __future__ import annotations

from kernel_harness import Case, integers, uniform
from numpy.random import Generator


def near(center: complex, reach: float):
    """Complex numbers in a square about a point."""

    def draw(generator: Generator, shape: tuple[int, ...]):
        return center + generator.uniform(-reach, reach, shape) + 1j * generator.uniform(-reach, reach, shape)

    return draw


def _functions(names: str) -> str:
    outs = " ".join(f"out {name}_z[N] = {name}(z)" for name in names.split())
    return f"layer f {{ in z[N]: complex {outs} }}"


COMPLEX = {
    "arithmetic": Case(
        """layer f { in z[N]: complex in w[N]: complex in x[N]
             out y[N] = z*w*x + conj(z) - w/x + x - 2*z out d[N] = z/w - 1/z + x/w }""",
        {"z": (37,), "w": (37,), "x": (37,)},
        {"w": near(2 + 2j, 1.0), "z": near(-2 - 2j, 1.0), "x": uniform(0.5, 2.0)},
        growth=4096,
    ),
    "parts": Case(
        "layer f { in z[N]: complex out a[N] = abs(z) out b[N] = arg(z) out c[N] = re(z) * im(z) out d[N] = re(z * conj(z)) }",
        {"z": (37,)},
    ),
    "angles": Case("layer f { in x[N] out y[N] = cis(x) * cis(2 * x) out s[N] = re(cis(x) * cis(x)) }", {"x": (19,)}),
    "powers": Case(
        """layer f { in z[N]: complex in w[N]: complex out a[N] = z^3 + z^(-2) out b[N] = z^0.5 + z^w + 2^w + z^70
             out c[N] = z^index(N) }""",
        {"z": (9,), "w": (9,)},
        {"z": near(0.7 + 0.7j, 0.2)},
        growth=2**15,
    ),
    "polynomial": Case(
        "layer f { in z[N]: complex param c[5]: complex = 1 out y[N] = sum[i < 5](c[i] * z^i) }",
        {"z": (11,), "c": (5,)},
        growth=4096,
    ),
    "comparison and choice": Case(
        """layer f { in z[N]: complex in w[N]: complex in x[N] out y[N] = select(x > 0, z, w) + select(x > 1, x, z)
             out e[N] = z == w out d[N] = z != x }""",
        {"z": (13,), "w": (13,), "x": (13,)},
    ),
    "matrix product": Case(
        "layer f { in x[B, I]: complex param w[O, I]: complex = 1 out y[B, O] = sum[I](x * w) }", {"x": (7, 9), "w": (6, 9)}
    ),
    "matrix product with a real factor": Case(
        "layer f { in x[B, I] param w[O, I]: complex = 1 out y[B, O] = exp(sum[I](x * conj(w)) / I) }", {"x": (7, 9), "w": (6, 9)}
    ),
    "sums": Case("layer f { in z[B, N]: complex out y[B] = sum[N](z * z) out m[] = mean[B, N](z) }", {"z": (5, 7)}),
    "product along a short axis": Case(
        "layer f { in z[B, N]: complex axis M = 4 require N == M out y[B] = prod[M](z[B, M]) }", {"z": (5, 4)}
    ),
    "norm": Case(
        "layer f { in z[B, N]: complex param g[N] = 1 out y[B, N] = z * g / sqrt(mean[N](re(z)^2 + im(z)^2) + 0.1) }",
        {"z": (5, 7), "g": (7,)},
    ),
    "softmax of lengths": Case("layer f { in z[B, N]: complex out y[B, N] = softmax[N](abs(z)) * z }", {"z": (3, 5)}),
    "split and transposed": Case("layer f { axis P = 2 in z[P*Q]: complex out y[Q, P] = z * z }", {"z": (10,)}),
    "shifted reads": Case("layer f { in z[N]: complex axis M = N - 1 let w[N] = z * z out y[M] = w[M + 1] * z[M] }", {"z": (9,)}),
    "reads beyond the ends": Case(
        "layer f { in z[N]: complex in x[N] let w[N] = z * x out y[N] = zero(z)[N - 1] + clamp(w)[N + 2] }",
        {"z": (9,), "x": (9,)},
    ),
    "gather": Case(
        "layer f { in t[N, D]: complex in i[B]: i64 out y[B, D] = t[i, D] * t[i, D] }",
        {"t": (5, 3), "i": (7,)},
        {"i": integers(0, 5)},
    ),
    "strided": Case(
        "layer f { in z[B, N]: complex in w[B, N]: complex in v[B, N]: complex out y[B, N] = z * w + v }",
        {"z": (4, 6), "w": (4, 6), "v": (4, 6)},
        strided={"z": "transposed", "w": "sliced", "v": "column", "grad_y": "transposed"},
    ),
    "recurrence": Case(
        """layer f { in x[B, L] param a[D]: complex = 1 param c[D]: complex = 1 let h[B, L, D] = scan[L](s = 0 : a * s + x)
             out y[B, L] = re(sum[D](c * h)) }""",
        {"x": (2, 7), "a": (5,), "c": (5,)},
        {"a": near(0.3 + 0.3j, 0.5)},
        growth=4096,
    ),
    "product along an axis": Case("layer f { in z[B, N]: complex out y[B] = prod[N](z) }", {"z": (3, 5)}, growth=4096),
    "one value": Case("layer f { in z[]: complex out y[] = z * z }", {"z": ()}),
    "empty": Case("layer f { in z[N]: complex out y[N] = exp(z) out s[] = sum[N](z) }", {"z": (0,)}),
    "of stored dtypes": Case("layer f { in z[N]: c64 in w[N]: c128 out y[N] = z * w }", {"z": (6,), "w": (6,)}, dtypes=("f32",)),
    "in low precision": Case(
        "layer f { in x[N] in z[N]: complex out y[N] = re(z * x) out w[N] = z * x }", {"x": (9,), "z": (9,)}, dtypes=("bf16", "f16")
    ),
    "exponentials": Case(_functions("exp exp2 expm1 sigmoid sinh cosh tanh"), {"z": (23,)}, {"z": near(0j, 1.2)}, growth=2**13),
    "logarithms and roots": Case(_functions("log log2 log1p sqrt rsqrt"), {"z": (23,)}, {"z": near(0.9 + 0.9j, 0.6)}, growth=2**13),
    "trigonometric": Case(_functions("sin cos tan asin acos atan"), {"z": (23,)}, {"z": near(0.3 - 0.9j, 0.5)}, growth=2**13),
    "inverse hyperbolic": Case(_functions("asinh acosh atanh"), {"z": (23,)}, {"z": near(-0.6 + 0.9j, 0.5)}, growth=2**13),
    "left of the imaginary axis": Case(
        _functions("sqrt log sigmoid acosh asin tanh"), {"z": (23,)}, {"z": near(-2 + 0j, 1.5)}, growth=2**14, orders=1
    ),
}
