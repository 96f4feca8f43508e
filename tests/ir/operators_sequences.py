"""Scans, recurrences and filters along a sequence. See `operators`."""

from __future__ import annotations

import torch
from operators import Operator, uniform
from torch import Tensor
from torch.nn import functional


def _recurrence(a: Tensor, x: Tensor, start: Tensor | None = None) -> Tensor:
    """h_t = a_t h_{t-1} + x_t along dimension 1."""
    h = torch.zeros_like(x[:, 0]) if start is None else start
    steps = []
    for t in range(x.shape[1]):
        h = a[:, t] * h + x[:, t]
        steps.append(h)
    return torch.stack(steps, 1)


def _lru(x: Tensor, r: Tensor, t: Tensor, c: Tensor) -> Tensor:
    """A linear recurrent unit (arXiv:2303.06349): h = r e^(it) h + x, y = Re(c h)."""
    a = torch.polar(r, t).expand(x.shape[0], x.shape[1], -1)
    return (c * _recurrence(a, x.to(a.dtype))).real


def _linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("bld,blde->ble", q, torch.einsum("bld,ble->blde", k, v).cumsum(1))


def _tanh_recurrence(x: Tensor, w: Tensor) -> Tensor:
    h = torch.zeros_like(x[:, 0])
    steps = []
    for t in range(x.shape[1]):
        h = torch.tanh(w * h + x[:, t])
        steps.append(h)
    return torch.stack(steps, 1)


_SCAN = "layer f {{ in x[B, L, D]  out y[B, L, D] = scan[L](h = {} : {}) }}"

TABLE = {
    "cumsum": Operator(_SCAN.format("0", "h + x"), {"x": (2, 7, 3)}, lambda x: x.cumsum(1)),
    "cumprod": Operator(_SCAN.format("1", "h * x"), {"x": (2, 7, 3)}, lambda x: x.cumprod(1)),
    "cummax": Operator(_SCAN.format("-1e30", "max(h, x)"), {"x": (2, 7, 3)}, lambda x: x.cummax(1).values),
    "cummin": Operator(_SCAN.format("1e30", "min(h, x)"), {"x": (2, 7, 3)}, lambda x: x.cummin(1).values),
    "logcumsumexp": Operator(
        _SCAN.format("-1e30", "max(h, x) + log1p(exp(-abs(h - x)))"), {"x": (2, 7, 3)}, lambda x: x.logcumsumexp(1)
    ),
    "cumsum from the end": Operator(
        """layer f { in x[B, L]  let s[B, L] = scan[L](h = 0 : h + x[B, len(L) - 1 - L])  out y[B, L] = s[B, len(L) - 1 - L] }""",
        {"x": (2, 7)},
        lambda x: x.flip(1).cumsum(1).flip(1),
    ),
    "exclusive cumsum": Operator(
        "layer f { in x[B, L]  let s[B, L] = scan[L](h = 0 : h + x)  out y[B, L] = zero(s)[B, L - 1] }",
        {"x": (2, 7)},
        lambda x: x.cumsum(1) - x,
    ),
    "cumsum in two dimensions": Operator(
        "layer f { in x[H, W]  let r = scan[H](h = 0 : h + x)  out y[H, W] = scan[W](h = 0 : h + r) }",
        {"x": (4, 5)},
        lambda x: x.cumsum(0).cumsum(1),
    ),
    "running mean": Operator(
        "layer f { in x[B, L]  out y[B, L] = scan[L](h = 0 : h + x) / (1 + index(L)) }",
        {"x": (2, 7)},
        lambda x: x.cumsum(1) / torch.arange(1, 8),
    ),
    "exponential moving average": Operator(
        "layer f { in x[B, L, D]  param a[D] = 0.5  out y[B, L, D] = scan[L](h = x[B, 0, D] : a*h + (1 - a)*x) }",
        {"x": (2, 7, 3), "a": (3,)},
        lambda x, a: _recurrence(a.expand_as(x), (1 - a) * x, x[:, 0]),
        {"a": uniform(0.1, 0.9)},
    ),
    "diagonal recurrence": Operator(
        "layer f { in x[B, L, D]  param a[D] = 0.9  out y[B, L, D] = scan[L](s = 0 : a*s + x) }",
        {"x": (2, 7, 3), "a": (3,)},
        lambda x, a: _recurrence(a.expand_as(x), x),
        {"a": uniform(0.5, 0.99)},
    ),
    "gated recurrence": Operator(
        """layer f { in x[B, L, D]  in g[B, L, D]
          let z = sigmoid(g)  out y[B, L, D] = scan[L](h = 0 : (1 - z)*h + z*x) }""",
        {"x": (2, 7, 3), "g": (2, 7, 3)},
        lambda x, g: _recurrence(1 - torch.sigmoid(g), torch.sigmoid(g) * x),
    ),
    "selective state space": Operator(
        """layer f { in x[B, L, D]  in t[B, L, D]  in b[B, L, N]  in c[B, L, N]  param a[D, N] = -1
          let d = softplus(t)  let h = scan[L](s = 0 : exp(d*a)*s + d*b*x)  out y[B, L, D] = sum[N](h * c) }""",
        {"x": (2, 5, 3), "t": (2, 5, 3), "b": (2, 5, 4), "c": (2, 5, 4), "a": (3, 4)},
        lambda x, t, b, c, a: (
            _recurrence(
                torch.exp(functional.softplus(t)[..., None] * a),
                functional.softplus(t)[..., None] * b[:, :, None] * x[..., None],
            )
            * c[:, :, None]
        ).sum(-1),
        {"a": uniform(-2.0, -0.2)},
    ),
    "linear recurrent unit": Operator(
        """layer f { in x[B, L, D]  param r[D] = 0.9  param t[D] = 1  param c[D]: complex = 1
          out y[B, L, D] = re(c * scan[L](h = 0 : r * cis(t) * h + x)) }""",
        {"x": (2, 6, 3), "r": (3,), "t": (3,), "c": (3,)},
        _lru,
        {"r": uniform(0.5, 0.95)},
        complex=("c",),
    ),
    "causal linear attention": Operator(
        """layer f { in q[B, L, D]  in k[B, L, D]  in v[B, L, E]
          let s = scan[L](h = 0 : h + k*v)  out y[B, L, E] = sum[D](q * s) }""",
        {"q": (2, 5, 3), "k": (2, 5, 3), "v": (2, 5, 4)},
        _linear_attention,
    ),
    "elementwise tanh recurrence": Operator(
        "layer f { in x[B, L, D]  param w[D] = 1  out y[B, L, D] = scan[L](h = 0 : tanh(w*h + x)) }",
        {"x": (2, 6, 3), "w": (3,)},
        _tanh_recurrence,
    ),
    "difference": Operator(
        "layer f { in x[B, L]  axis T = L - 1  out y[B, T] = x[B, T + 1] - x[B, T] }", {"x": (2, 7)}, lambda x: x.diff(dim=1)
    ),
    "moving average": Operator(
        "layer f(K = 3) { in x[B, L]  axis T = L - K + 1  out y[B, T] = mean[k < K](x[B, T + k]) }",
        {"x": (2, 7)},
        lambda x: functional.avg_pool1d(x, 3, 1),
    ),
    "trapezoid": Operator(
        "layer f { in x[B, L]  out y[B] = sum[k in 1..L](x[B, k] + x[B, k - 1]) / 2 }",
        {"x": (2, 7)},
        lambda x: torch.trapezoid(x, dim=1),
    ),
    "cumulative trapezoid": Operator(
        "layer f { in x[B, L]  axis T = L - 1  out y[B, T] = scan[T](h = 0 : h + (x[B, T + 1] + x[B, T]) / 2) }",
        {"x": (2, 7)},
        lambda x: torch.cumulative_trapezoid(x, dim=1),
    ),
    "token shift": Operator(
        "layer f { in x[B, L, D]  param m[D] = 0.5  out y[B, L, D] = m*x + (1 - m)*zero(x)[B, L - 1, D] }",
        {"x": (2, 5, 3), "m": (3,)},
        lambda x, m: m * x + (1 - m) * functional.pad(x, (0, 0, 1, 0))[:, :-1],
    ),
    "Newton's square root": Operator(
        "layer f { in x[B]  out y[B] = iterate[8](z = 1 + x/2 : (z + x/z) / 2) }",
        {"x": (6,)},
        torch.sqrt,
        {"x": uniform(0.3, 3.0)},
    ),
    "logistic map": Operator(
        "layer f { in x[B]  in r[B]  out y[B] = iterate[4](z = x : r*z*(1 - z)) }",
        {"x": (6,), "r": (6,)},
        lambda x, r: _logistic(x, r, 4),
        {"x": uniform(0.1, 0.9), "r": uniform(1.0, 3.5)},
    ),
    "polynomial by Horner's rule": Operator(
        "layer f(M = 4) { in x[B]  param c[M+1] = 1  out y[B] = sum[i < M+1](c[i] * x^i) }",
        {"x": (6,), "c": (5,)},
        lambda x, c: sum(c[i] * x**i for i in range(5)),
    ),
}


def _logistic(x: Tensor, r: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        x = r * x * (1 - x)
    return x
