"""Losses, normalisations, norms and statistics. See `operators`."""

from __future__ import annotations

import torch
from operators import Operator, distributions, integers, uniform
from torch import Tensor
from torch.nn import functional

_CLASSES = {"t": integers(0, 5)}


def _labels(generator: object, shape: tuple[int, ...]) -> object:
    return generator.integers(0, 2, shape) * 2.0 - 1.0  # type: ignore[attr-defined]


def _entropy(x: Tensor) -> Tensor:
    return torch.distributions.Categorical(logits=x).entropy()


TABLE = {
    "softmax": Operator("layer f { in x[..., C]  out y[..., C] = softmax[C](x) }", {"x": (2, 3, 5)}, lambda x: x.softmax(-1)),
    "log_softmax": Operator(
        "layer f { in x[B, C, L]  out y[B, C, L] = log_softmax[C](x) }", {"x": (2, 5, 3)}, lambda x: x.log_softmax(1)
    ),
    "logsumexp": Operator(
        "layer f { in x[B, C, L]  out y[B] = logsumexp[C](logsumexp[L](x)) }", {"x": (2, 5, 3)}, lambda x: x.logsumexp((1, 2))
    ),
    "entropy": Operator(
        "layer f { in x[B, C]  let p = log_softmax[C](x)  out y[B] = -sum[C](exp(p) * p) }", {"x": (3, 5)}, _entropy
    ),
    "cross_entropy": Operator(
        "layer f { in x[B, C]  in t[B]: i64  out y[] = mean[B](logsumexp[C](x) - x[B, t]) }",
        {"x": (6, 5), "t": (6,)},
        functional.cross_entropy,
        _CLASSES,
    ),
    "cross_entropy with smoothed labels": Operator(
        """layer f { in x[B, C]  in t[B]: i64
          let p[B, C] = log_softmax[C](x)  out y[] = mean[B](-0.9*p[B, t] - 0.1*mean[C](p)) }""",
        {"x": (6, 5), "t": (6,)},
        lambda x, t: functional.cross_entropy(x, t, label_smoothing=0.1),
        _CLASSES,
    ),
    "nll_loss with weights": Operator(
        "layer f { in x[B, C]  in t[B]: i64  buffer w[C] = 1  out y[] = -sum[B](w[t] * x[B, t]) / sum[B](w[t]) }",
        {"x": (6, 5), "t": (6,), "w": (5,)},
        functional.nll_loss,
        {**_CLASSES, "w": uniform(0.5, 2.0)},
        has_gradient=False,
    ),
    "mse_loss": Operator(
        "layer f { in x[B, C]  in t[B, C]  out y[] = mean[B, C]((x - t)^2) }", {"x": (3, 4), "t": (3, 4)}, functional.mse_loss
    ),
    "l1_loss": Operator(
        "layer f { in x[B, C]  in t[B, C]  out y[] = mean[B, C](abs(x - t)) }", {"x": (3, 4), "t": (3, 4)}, functional.l1_loss
    ),
    "huber_loss": Operator(
        """layer f { in x[B]  in t[B]
          let d = abs(x - t)  out y[] = mean[B](select(d <= 0.7, d*d/2, 0.7*(d - 0.35))) }""",
        {"x": (9,), "t": (9,)},
        lambda x, t: functional.huber_loss(x, t, delta=0.7),
    ),
    "smooth_l1_loss": Operator(
        "layer f { in x[B]  in t[B]  let d = abs(x - t)  out y[] = mean[B](select(d < 0.5, d*d, d - 0.25)) }",
        {"x": (9,), "t": (9,)},
        lambda x, t: functional.smooth_l1_loss(x, t, beta=0.5),
    ),
    "kl_div": Operator(
        "layer f { in x[B, C]  in p[B, C]  out y[] = sum[B, C](p * (log(p) - x)) / B }",
        {"x": (3, 5), "p": (3, 5)},
        lambda x, p: functional.kl_div(x, p, reduction="batchmean"),
        {"p": distributions()},
    ),
    "binary_cross_entropy": Operator(
        "layer f { in x[B]  in t[B]  out y[] = -mean[B](t*log(x) + (1 - t)*log1p(-x)) }",
        {"x": (7,), "t": (7,)},
        functional.binary_cross_entropy,
        {"x": uniform(0.1, 0.9), "t": uniform(0.0, 1.0)},
    ),
    "binary_cross_entropy_with_logits": Operator(
        "layer f { in x[B]  in t[B]  out y[] = mean[B](max(x, 0) - x*t + log1p(exp(-abs(x)))) }",
        {"x": (7,), "t": (7,)},
        functional.binary_cross_entropy_with_logits,
        {"t": uniform(0.0, 1.0)},
    ),
    "hinge_embedding_loss": Operator(
        "layer f { in x[B]  in t[B]  out y[] = mean[B](select(t > 0, x, max(0, 1 - x))) }",
        {"x": (9,), "t": (9,)},
        functional.hinge_embedding_loss,
        {"t": _labels},
        has_gradient=False,
    ),
    "soft_margin_loss": Operator(
        "layer f { in x[B]  in t[B]  out y[] = mean[B](log1p(exp(-t*x))) }",
        {"x": (9,), "t": (9,)},
        functional.soft_margin_loss,
        {"t": _labels},
        has_gradient=False,
    ),
    "poisson_nll_loss": Operator(
        "layer f { in x[B]  in t[B]  out y[] = mean[B](exp(x) - t*x) }", {"x": (9,), "t": (9,)}, functional.poisson_nll_loss
    ),
    "gaussian_nll_loss": Operator(
        "layer f { in x[B]  in t[B]  in v[B]  out y[] = mean[B](log(v) + (x - t)^2 / v) / 2 }",
        {"x": (9,), "t": (9,), "v": (9,)},
        functional.gaussian_nll_loss,
        {"v": uniform(0.3, 2.0)},
    ),
    "triplet_margin_loss": Operator(
        """def distance[D](u, v) = sqrt(sum[D]((u - v + 1e-6)^2))
        layer f { in a[B, D]  in p[B, D]  in n[B, D]  out y[] = mean[B](max(distance[D](a, p) - distance[D](a, n) + 1, 0)) }""",
        {"a": (6, 4), "p": (6, 4), "n": (6, 4)},
        functional.triplet_margin_loss,
    ),
    "contrastive loss over a batch": Operator(
        """def unit[D](u) = u / l2_norm[D](u)
        layer f { in a[B, D]  in b[B, D]  axis R = B
          let u[B, D] = unit[D](a)  let v[B, D] = unit[D](b)  let s[B, R] = sum[D](u * v[R, D]) / 0.1
          let p[B, R] = log_softmax[R](s)  out y[] = -mean[B](p[B, B]) }""",
        {"a": (5, 4), "b": (5, 4)},
        lambda a, b: functional.cross_entropy(functional.normalize(a) @ functional.normalize(b).T / 0.1, torch.arange(5)),
    ),
    "layer_norm": Operator(
        "layer f { in x[..., C]  param g[C] = 1  param b[C] = 0  out y[..., C] = standardize[C](x, 1e-5) * g + b }",
        {"x": (2, 3, 5), "g": (5,), "b": (5,)},
        lambda x, g, b: functional.layer_norm(x, (5,), g, b),
    ),
    "rms_norm": Operator(
        "layer f { in x[..., C]  param g[C] = 1  out y[..., C] = x * rsqrt(mean[C](x*x) + 1e-5) * g }",
        {"x": (2, 3, 5), "g": (5,)},
        lambda x, g: functional.rms_norm(x, (5,), g, 1e-5),
    ),
    "group_norm": Operator(
        """layer f(G = 2) { in x[B, G*C, H, W]  param g[G*C] = 1  param b[G*C] = 0
          let d = x - mean[C, H, W](x)  out y[B, G*C, H, W] = d * rsqrt(mean[C, H, W](d*d) + 1e-5) * g + b }""",
        {"x": (2, 6, 3, 4), "g": (6,), "b": (6,)},
        lambda x, g, b: functional.group_norm(x, 2, g, b),
    ),
    "instance_norm": Operator(
        "layer f { in x[B, C, L]  out y[B, C, L] = standardize[L](x, 1e-5) }", {"x": (2, 3, 7)}, functional.instance_norm
    ),
    "batch_norm in training": Operator(
        """layer f { in x[B, C, L]  param g[C] = 1  param b[C] = 0
          let d = x - mean[B, L](x)  out y[B, C, L] = d * rsqrt(mean[B, L](d*d) + 1e-5) * g + b }""",
        {"x": (4, 3, 5), "g": (3,), "b": (3,)},
        lambda x, g, b: functional.batch_norm(x, None, None, g, b, training=True),
    ),
    "local_response_norm": Operator(
        """layer f { in x[B, C, L]
          let s = sum[k < 3](zero(x)[B, C + k - 1, L]^2) / 3  out y[B, C, L] = x / pow(1 + 1e-2 * s, 0.75) }""",
        {"x": (2, 5, 4)},
        lambda x: functional.local_response_norm(x, 3, alpha=1e-2),
    ),
    "normalize": Operator(
        "layer f { in x[B, C]  out y[B, C] = x / max(l2_norm[C](x), 1e-12) }", {"x": (3, 4)}, functional.normalize
    ),
    "variance of a sample": Operator(
        "layer f { in x[B, C]  out y[B] = var[C](x) * C / (C - 1) }", {"x": (3, 6)}, lambda x: x.var(1)
    ),
    "covariance": Operator(
        """layer f { in x[C, N]  axis D = C
          let d[C, N] = x - mean[N](x)  out y[C, D] = sum[N](d * d[D, N]) / (N - 1) }""",
        {"x": (3, 7)},
        torch.cov,
    ),
    "correlation": Operator(
        """layer f { in x[C, N]  axis D = C
          let d[C, N] = x - mean[N](x)  let s[C] = sqrt(sum[N](d*d))  out y[C, D] = sum[N](d * d[D, N]) / (s * s[D]) }""",
        {"x": (3, 7)},
        lambda x: torch.corrcoef(x),
    ),
    "vector norms": Operator(
        """layer f { in x[B, C]  out one[B] = l1_norm[C](x)  out two[B] = l2_norm[C](x)  out most[B] = max_norm[C](x)
          out three[B] = pow(sum[C](abs(x)^3), 1/3) }""",
        {"x": (3, 5)},
        lambda x: tuple(torch.linalg.vector_norm(x, p, dim=1) for p in (1, 2, float("inf"), 3)),
    ),
    "extrema, any and all": Operator(
        """layer f { in x[B, C]  out lo[B] = min[C](x)  out hi[B] = max[C](x)  out some[B] = any[C](x > 1)
          out each[B] = all[C](x > -1)  out count[B] = sum[C](select(x > 0, 1, 0)) }""",
        {"x": (6, 5)},
        lambda x: (x.amin(1), x.amax(1), (x > 1).any(1), (x > -1).all(1), (x > 0).sum(1)),
    ),
    "scaling to an interval": Operator(
        "layer f { in x[B, C]  let a = min[C](x)  out y[B, C] = (x - a) / (max[C](x) - a) }",
        {"x": (3, 5)},
        lambda x: (x - x.amin(1, True)) / (x.amax(1, True) - x.amin(1, True)),
    ),
    "product along an axis": Operator("layer f { in x[B, C]  out y[B] = prod[C](x) }", {"x": (3, 5)}, lambda x: x.prod(1)),
}
