"""Layers that sum products over windows: convolutions of all kinds, written as index maps."""

from __future__ import annotations

from kernel_harness import Case

WINDOWS = {
    "convolution": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, I, J] = 1 axis P = H - I + 1 axis Q = W - J + 1
             out y[B, O, P, Q] = sum[C, I, J](w * x[B, C, P + I, Q + J]) }""",
        {"x": (2, 5, 9, 8), "w": (6, 5, 3, 2)},
    ),
    "grouped": Case(
        """layer conv { in x[B, G*C, H, W] param w[G*O, C, I, J] = 1 axis P = H - I + 1 axis Q = W - J + 1
             out y[B, G*O, P, Q] = sum[C, I, J](w * x[B, G*C, P + I, Q + J]) }""",
        {"x": (2, 8, 7, 9), "w": (10, 4, 2, 3)},
    ),
    "strided and dilated": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, I, J] = 1 axis P = (H - 2*I + 1) / 2 axis Q = (W - 3*J + 2) / 3
             out y[B, O, P, Q] = sum[C, I, J](w * x[B, C, 2*P + 2*I, 3*Q + 3*J]) }""",
        {"x": (2, 5, 11, 13), "w": (6, 5, 3, 2)},
    ),
    "one dimension, backwards": Case(
        """layer conv { in x[B, L, C] param w[K, C, O] = 1 axis P = L - K + 1
             out y[B, P, O] = sum[C, K](w * x[B, P + len(K) - 1 - K, C]) }""",
        {"x": (3, 9, 5), "w": (4, 5, 7)},
    ),
    "three dimensions": Case(
        """layer conv { in x[B, C, D, H, W] param w[O, C, I, J, K] = 1
             axis P = D - I + 1 axis Q = H - J + 1 axis R = W - K + 1
             out y[B, O, P, Q, R] = sum[C, I, J, K](w * x[B, C, P + I, Q + J, R + K]) }""",
        {"x": (2, 4, 4, 5, 6), "w": (5, 4, 2, 3, 2)},
    ),
    "of a computed value": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1 axis P = L - K + 1 let s[B, C, L] = tanh(x)
             out y[B, O, P] = sum[C, K](w * s[B, C, P + K]) }""",
        {"x": (3, 5, 11), "w": (6, 5, 4)},
    ),
    "no window": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1 axis P = L - K + 1
             out y[B, O, P] = sum[C, K](w * x[B, C, P + K]) }""",
        {"x": (3, 5, 4), "w": (6, 5, 5)},
    ),
    "padded": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, 3, 5] = 1
             out y[B, O, H, W] = sum[C, i < 3, j < 5](w[O, C, i, j] * zero(x)[B, C, H + i - 1, W + j - 2]) }""",
        {"x": (2, 5, 7, 6), "w": (6, 5, 3, 5)},
    ),
    "padded, strided, dilated": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, I, J] = 1 axis P = (H + 1) / 2 axis Q = (W + 2) / 3
             out y[B, O, P, Q] = sum[C, I, J](w * zero(x)[B, C, 2*P + 2*I - 3, 3*Q + J - 1]) }""",
        {"x": (2, 5, 7, 8), "w": (6, 5, 3, 2)},
    ),
    "around": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1
             out y[B, O, L] = sum[C, K](w * wrap(x)[B, C, L - K]) }""",
        {"x": (2, 5, 7), "w": (6, 5, 4)},
    ),
    "clamped": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1
             out y[B, O, L] = sum[C, K](w * clamp(x)[B, C, L + 2*K - 3]) }""",
        {"x": (2, 5, 7), "w": (6, 5, 4)},
    ),
    "reflected, of a computed value": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1 let s[B, C, L] = x * x
             out y[B, O, L] = sum[C, K](w * reflect(s)[B, C, L + K - 2]) }""",
        {"x": (2, 5, 7), "w": (6, 5, 4)},
    ),
    "nothing to pad": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1
             out y[B, O, L] = sum[C, K](w * wrap(x)[B, C, L - K]) }""",
        {"x": (2, 5, 0), "w": (6, 5, 4)},
    ),
}

DEPTHWISE = {
    "in range": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1 axis P = H - I + 1 axis Q = W - J + 1
             out y[B, C, P, Q] = sum[I, J](w * x[B, C, P + I, Q + J]) }""",
        {"x": (2, 3, 9, 23), "w": (3, 3, 5)},
    ),
    "padded": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, 5, 7] = 1
             out y[B, C, H, W] = sum[i < 5, j < 7](w[C, i, j] * zero(x)[B, C, H + i - 2, W + j - 3]) }""",
        {"x": (2, 3, 6, 70), "w": (3, 5, 7)},
        orders=1,
    ),
    "small image": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1
             out y[B, C, H, W] = sum[I, J](w * zero(x)[B, C, H + I - 1, W + J - 1]) }""",
        {"x": (2, 3, 1, 5), "w": (3, 3, 3)},
    ),
    "dilated": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1
             out y[B, C, H, W] = sum[I, J](w * zero(x)[B, C, H + 3*I - 3, W + 2*J - 2]) }""",
        {"x": (2, 3, 11, 19), "w": (3, 3, 3)},
        orders=1,
    ),
    "strided": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1 axis P = (H + 1) / 2 axis Q = (W + 1) / 2
             out y[B, C, P, Q] = sum[I, J](w * zero(x)[B, C, 2*P + I - 1, 2*Q + J - 1]) }""",
        {"x": (2, 3, 7, 20), "w": (3, 3, 3)},
        orders=1,
    ),
    "with a multiplier": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, M, I, J] = 1
             out y[B, C, M, H, W] = sum[I, J](w * zero(x)[B, C, H + I - 1, W + J - 1]) }""",
        {"x": (2, 3, 6, 17), "w": (3, 2, 3, 3)},
        orders=1,
    ),
    "long and causal": Case(
        """layer long { in u[B, H, L] param k[H, K] = 1
             out y[B, H, L] = sum[K](k * zero(u)[B, H, L - K]) }""",
        {"u": (2, 3, 150), "k": (3, 40)},
    ),
    "three dimensions": Case(
        """layer depthwise { in x[B, C, D, H, W] param w[C, I, J, K] = 1
             out y[B, C, D, H, W] = sum[I, J, K](w * zero(x)[B, C, D + I - 1, H + J - 1, W + K - 1]) }""",
        {"x": (2, 3, 4, 5, 18), "w": (3, 3, 3, 3)},
        orders=1,
    ),
    "of a product, channels last in the weight": Case(
        """layer gated { in u[B, H, L] in v[B, H, L] param k[K, H] = 1 let s[B, H, L] = u * v
             out y[B, H, L] = v * sum[K](k * zero(s)[B, H, L - K]) }""",
        {"u": (2, 3, 37), "v": (2, 3, 37), "k": (9, 3)},
        orders=1,
    ),
    "strided layout": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1
             out y[B, C, H, W] = sum[I, J](w * zero(x)[B, C, H + I - 1, W + J - 1]) }""",
        {"x": (2, 3, 6, 17), "w": (3, 3, 3)},
        orders=1,
        strided={"x": "transposed"},
    ),
    "in steps": Case(
        """layer depthwise(I = 3, J = 4) { in x[B, C, H, W] param w[C, I, J] = 1 axis P = (H + 1)/2 axis Q = (W + 1)/2
             out y[B, C, P, Q] = sum[I, J](w * zero(x)[B, C, 2*P + I - 1, 2*Q + J - 1]) }""",
        {"x": (2, 3, 7, 43), "w": (3, 3, 4)},
    ),
    "strided layout, in range": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1 axis P = H - I + 1 axis Q = W - J + 1
             out y[B, C, P, Q] = sum[I, J](w * x[B, C, P + I, Q + J]) }""",
        {"x": (2, 3, 9, 23), "w": (3, 3, 5)},
        orders=1,
        dtypes=("f64", "f32", "bf16"),
        strided={"x": "transposed"},
    ),
    "nothing in it": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1
             out y[B, C, H, W] = sum[I, J](w * zero(x)[B, C, H + I - 1, W + J - 1]) }""",
        {"x": (2, 3, 0, 17), "w": (3, 3, 3)},
        orders=1,
    ),
    "no window": Case(
        """layer depthwise { in x[B, C, H, W] param w[C, I, J] = 1
             out y[B, C, H, W] = sum[I, J](w * zero(x)[B, C, H + I - 1, W + J - 1]) }""",
        {"x": (2, 3, 4, 17), "w": (3, 0, 3)},
        orders=1,
    ),
}

# maxima over windows: the gradient goes back phase by phase, and what lies beyond the ends is stored nowhere
POOLING = {
    f"pooling {boundary} {height}x{width} by {step}": Case(
        f"""layer pool {{ in x[B, C, H, W] axis P = (H + {step} - 1)/{step} axis Q = (W + {step} - 1)/{step}
              out y[B, C, P, Q] = max[i < 3, j < 3]({boundary}(x)[B, C, {step}*P + i - 1, {step}*Q + j - 1]) }}""",
        {"x": (2, 3, height, width)},
    )
    for boundary, height, width, step in (
        ("zero", 7, 40, 2),
        ("clamp", 8, 37, 2),
        ("clamp", 5, 6, 1),
        ("reflect", 4, 38, 3),
        ("wrap", 7, 9, 2),
    )
}
POOLING |= {
    "pooling inside": Case(
        """layer pool { in x[B, C, H, W] axis P = (H - 3)/2 + 1 axis Q = (W - 3)/2 + 1
             out y[B, C, P, Q] = max[i < 3, j < 3](x[B, C, 2*P + i, 2*Q + j]) }""",
        {"x": (2, 3, 8, 39)},
    ),
    "pooling blocks": Case(
        "layer pool { in x[B, C, 2*P, 2*Q] out y[B, C, P, Q] = max[i < 2, j < 2](x[B, C, 2*P + i, 2*Q + j]) }",
        {"x": (2, 3, 8, 42)},
    ),
    "pooling columns": Case(
        "layer pool { in x[L, C] axis P = (L - 3)/2 + 1 out y[P, C] = min[i < 3](x[2*P + i, C]) }", {"x": (12, 21)}
    ),
}
