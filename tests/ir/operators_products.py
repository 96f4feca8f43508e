"""Matrix products, attention and gathers. See `operators`."""

from __future__ import annotations

import torch
from operators import Operator, booleans, integers
from torch import Tensor
from torch.nn import functional

_ATTENTION = functional.scaled_dot_product_attention


def _einsum(equation: str):  # type: ignore[no-untyped-def]
    return lambda *tensors: torch.einsum(equation, *tensors)


def _rotated(x: Tensor) -> Tensor:
    """Rotary embedding of adjacent pairs (arXiv:2104.09864)."""
    length, width = x.shape[1], x.shape[2] // 2
    angle = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(width, dtype=torch.float64) / width)
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], width, 2)) * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2)


def _heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (2, -1)).transpose(1, 2)

    return _ATTENTION(split(q), split(k), split(v)).transpose(1, 2).flatten(-2)


_SOFTMAX = "let p = softmax[J](s)"

TABLE = {
    "linear": Operator(
        "layer f { in x[..., I]  param w[O, I] = 1  param b[O] = 0  out y[..., O] = sum[I](x * w) + b }",
        {"x": (2, 3, 5), "w": (4, 5), "b": (4,)},
        functional.linear,
    ),
    "bilinear": Operator(
        """layer f { in x[B, I]  in u[B, J]  param w[O, I, J] = 1  param b[O] = 0
          out y[B, O] = sum[I, J](x * w * u) + b }""",
        {"x": (3, 4), "u": (3, 5), "w": (6, 4, 5), "b": (6,)},
        functional.bilinear,
    ),
    "einsum: batched product": Operator(
        "layer f { in a[B, M, K]  in b[B, K, N]  out y[B, M, N] = sum[K](a * b) }", {"a": (2, 3, 4), "b": (2, 4, 5)}, torch.bmm
    ),
    "einsum: transposed batched product": Operator(
        "layer f { in a[K, B, M]  in b[N, B, K]  out y[N, B, M] = sum[K](a * b) }",
        {"a": (4, 2, 3), "b": (5, 2, 4)},
        _einsum("kbm,nbk->nbm"),
    ),
    "einsum: a chain of three": Operator(
        "layer f { in a[I, J]  in b[J, K]  in c[K, L]  out y[L, I] = sum[J, K](a * b * c) }",
        {"a": (3, 4), "b": (4, 5), "c": (5, 2)},
        _einsum("ij,jk,kl->li"),
    ),
    "einsum: trace of a product": Operator(
        "layer f { in a[I, J]  in b[J, I]  out y[] = sum[I, J](a * b) }", {"a": (3, 4), "b": (4, 3)}, _einsum("ij,ji->")
    ),
    "einsum: sums of one operand": Operator(
        "layer f { in a[B, I, J]  in b[I, K]  out y[B, K] = sum[I, J](a * b) }",
        {"a": (2, 3, 4), "b": (3, 5)},
        _einsum("bij,ik->bk"),
    ),
    "einsum: two axes contracted": Operator(
        "layer f { in a[B, I, J]  in w[O, I, J]  out y[B, O] = sum[I, J](a * w) }",
        {"a": (2, 3, 4), "w": (5, 3, 4)},
        _einsum("bij,oij->bo"),
    ),
    "einsum: elementwise factors": Operator(
        "layer f { in a[B, I]  in g[B]  in w[O, I]  out y[B, O] = sum[I](a * g * w) }",
        {"a": (4, 3), "g": (4,), "w": (5, 3)},
        _einsum("bi,b,oi->bo"),
    ),
    "einsum: tensor network": Operator(
        "layer f { in a[I, P]  in b[P, J, Q]  in c[Q, K]  out y[I, J, K] = sum[P, Q](a * b * c) }",
        {"a": (3, 2), "b": (2, 4, 3), "c": (3, 5)},
        _einsum("ip,pjq,qk->ijk"),
    ),
    "outer": Operator("layer f { in a[M]  in b[N]  out y[M, N] = a * b }", {"a": (3,), "b": (4,)}, torch.outer),
    "kron": Operator("layer f { in a[M, N]  in b[P, Q]  out y[M*P, N*Q] = a * b }", {"a": (3, 2), "b": (2, 4)}, torch.kron),
    "matrix and its transpose": Operator(
        "layer f { in x[B, I, J]  axis R = I  out y[B, I, R] = sum[J](x * x[B, R, J]) }", {"x": (2, 3, 4)}, lambda x: x @ x.mT
    ),
    "cross product": Operator(
        """layer f { in a[B, 3]  in b[B, 3]  axis I = 3
          out y[B, I] = wrap(a)[B, I+1] * wrap(b)[B, I+2] - wrap(a)[B, I+2] * wrap(b)[B, I+1] }""",
        {"a": (4, 3), "b": (4, 3)},
        lambda a, b: torch.linalg.cross(a, b),
    ),
    "vander": Operator(
        "layer f(N = 4) { in x[B]  axis M = N  out y[B, M] = x^index(M) }",
        {"x": (5,)},
        lambda x: torch.vander(x, 4, increasing=True) if not x.requires_grad else torch.stack([x**n for n in range(4)], 1),
    ),
    "cdist": Operator(
        "layer f { in a[B, M, D]  in b[B, N, D]  out y[B, M, N] = sqrt(sum[D]((a - b)^2)) }",
        {"a": (2, 3, 4), "b": (2, 5, 4)},
        torch.cdist,
    ),
    "cosine_similarity": Operator(
        "layer f { in a[..., D]  in b[..., D]  out y[...] = dot[D](a, b) / (l2_norm[D](a) * l2_norm[D](b)) }",
        {"a": (2, 3, 4), "b": (2, 3, 4)},
        lambda a, b: functional.cosine_similarity(a, b, dim=-1),
    ),
    "pairwise_distance": Operator(
        "layer f { in a[B, D]  in b[B, D]  out y[B] = sqrt(sum[D]((a - b + 1e-6)^2)) }",
        {"a": (3, 4), "b": (3, 4)},
        functional.pairwise_distance,
    ),
    "attention": Operator(
        f"""layer f {{ in q[B, H, I, D]  in k[B, H, J, D]  in v[B, H, J, E]
          let s = sum[D](q * k) / sqrt(D)  {_SOFTMAX}  out y[B, H, I, E] = sum[J](p * v) }}""",
        {"q": (2, 2, 4, 3), "k": (2, 2, 5, 3), "v": (2, 2, 5, 6)},
        _ATTENTION,
    ),
    "causal attention": Operator(
        f"""layer f {{ in q[B, I, D]  in k[B, J, D]  in v[B, J, D]
          let s = select(index(J) <= index(I), sum[D](q * k) / sqrt(D), -1e30)  {_SOFTMAX}  out y[B, I, D] = sum[J](p * v) }}""",
        {"q": (2, 5, 3), "k": (2, 5, 3), "v": (2, 5, 3)},
        lambda q, k, v: _ATTENTION(q, k, v, is_causal=True),
    ),
    "masked attention": Operator(
        f"""layer f {{ in q[B, I, D]  in k[B, J, D]  in v[B, J, D]  in m[I, J]: bool
          let s = select(m, sum[D](q * k) / sqrt(D), -1e30)  {_SOFTMAX}  out y[B, I, D] = sum[J](p * v) }}""",
        {"q": (2, 5, 3), "k": (2, 4, 3), "v": (2, 4, 3), "m": (5, 4)},
        lambda q, k, v, m: _ATTENTION(q, k, v, attn_mask=m),
        {"m": lambda generator, shape: booleans()(generator, shape) | (generator.permutation(20).reshape(shape) % 4 == 0)},
    ),
    "attention with linear biases": Operator(
        f"""layer f {{ in q[B, H, I, D]  in k[B, H, J, D]  in v[B, H, J, D]
          let s = sum[D](q * k) / sqrt(D) - 2^(-index(H)) * abs(index(I) - index(J))  {_SOFTMAX}
          out y[B, H, I, D] = sum[J](p * v) }}""",
        {"q": (2, 3, 5, 4), "k": (2, 3, 5, 4), "v": (2, 3, 5, 4)},
        lambda q, k, v: _ATTENTION(
            q,
            k,
            v,
            attn_mask=-(2.0 ** -torch.arange(3.0)[:, None, None]).double() * (torch.arange(5)[:, None] - torch.arange(5)).abs(),
        ),
    ),
    "multi-head attention": Operator(
        f"""layer f(H = 2) {{ in q[B, I, H*D]  in k[B, J, H*D]  in v[B, J, H*D]
          let s = sum[D](q * k) / sqrt(D)  {_SOFTMAX}  out y[B, I, H*D] = sum[J](p * v) }}""",
        {"q": (2, 4, 6), "k": (2, 5, 6), "v": (2, 5, 6)},
        _heads,
    ),
    "grouped-query attention": Operator(
        f"""layer f {{ in q[B, G*H, I, D]  in k[B, G, J, D]  in v[B, G, J, D]
          let s = sum[D](q * k) / sqrt(D)  {_SOFTMAX}  out y[B, G*H, I, D] = sum[J](p * v) }}""",
        {"q": (2, 6, 4, 3), "k": (2, 2, 5, 3), "v": (2, 2, 5, 3)},
        lambda q, k, v: _ATTENTION(q, k.repeat_interleave(3, 1), v.repeat_interleave(3, 1)),
    ),
    "sliding-window attention": Operator(
        f"""layer f {{ in q[B, I, D]  in k[B, J, D]  in v[B, J, D]
          let s = select(index(J) <= index(I) and index(J) > index(I) - 3, sum[D](q * k) / sqrt(D), -1e30)  {_SOFTMAX}
          out y[B, I, D] = sum[J](p * v) }}""",
        {"q": (2, 6, 3), "k": (2, 6, 3), "v": (2, 6, 3)},
        lambda q, k, v: _ATTENTION(q, k, v, attn_mask=torch.ones(6, 6).tril().triu(-2).bool()),
    ),
    "linear attention": Operator(
        """layer f { in q[B, I, D]  in k[B, J, D]  in v[B, J, E]
          let a = elu(q) + 1  let c = elu(k) + 1
          out y[B, I, E] = sum[J, D](a * c * v) / sum[J, D](a * c) }""",
        {"q": (2, 4, 3), "k": (2, 5, 3), "v": (2, 5, 6)},
        lambda q, k, v: (
            torch.einsum("bid,bjd,bje->bie", *_elu_pair(q, k), v) / torch.einsum("bid,bjd->bi", *_elu_pair(q, k))[..., None]
        ),
    ),
    "rotary embedding": Operator(
        """layer f { in x[B, L, 2*D]  axis R = 2
          let t = index(L) * 10000^(-index(D) / D)
          out y[B, L, D*R] = x[B, L, 2*D + R] * cos(t) - (1 - 2*index(R)) * x[B, L, 2*D + 1 - R] * sin(t) }""",
        {"x": (2, 5, 6)},
        _rotated,
    ),
    "embedding": Operator(
        "layer f { in i[B, T]: i64  param t[V, D] = 1  out y[B, T, D] = t[i, D] }",
        {"i": (2, 3), "t": (7, 4)},
        functional.embedding,
        {"i": integers(0, 7)},
    ),
    "gather": Operator(
        "layer f { in x[B, V]  in i[B, K]: i64  out y[B, K] = x[B, i] }",
        {"x": (3, 7), "i": (3, 4)},
        lambda x, i: x.gather(1, i),
        {"i": integers(0, 7)},
    ),
    "index_select": Operator(
        "layer f { in x[B, V, C]  in i[K]: i64  out y[B, K, C] = x[B, i, C] }",
        {"x": (2, 7, 3), "i": (5,)},
        lambda x, i: x.index_select(1, i),
        {"i": integers(0, 7)},
    ),
    "index by two tensors": Operator(
        "layer f { in x[H, W, C]  in i[K]: i64  in j[K]: i64  out y[K, C] = x[i, j, C] }",
        {"x": (4, 5, 2), "i": (6,), "j": (6,)},
        lambda x, i, j: x[i, j],
        {"i": integers(0, 4), "j": integers(0, 5)},
    ),
    "scatter_add": Operator(
        "layer f(V = 6) { in x[B, K]  in i[B, K]: i64  axis U = V  out y[B, U] = sum[K](select(i == index(U), x, 0)) }",
        {"x": (3, 9), "i": (3, 9)},
        lambda x, i: torch.zeros(3, 6, dtype=x.dtype).scatter_add(1, i, x),
        {"i": integers(0, 6)},
    ),
    "one_hot": Operator(
        "layer f(V = 5) { in i[B]: i64  axis U = V  out y[B, U] = select(i == index(U), 1.0, 0.0) }",
        {"i": (6,)},
        lambda i: functional.one_hot(i, 5).double(),
        {"i": integers(0, 5)},
        has_gradient=False,
    ),
    "graph convolution over neighbours": Operator(
        """layer f { in x[N, C]  in e[N, K]: i64  param w[O, C] = 1
          let m = mean[K](x[e, C])  out y[N, O] = relu(sum[C](w * (x + m))) }""",
        {"x": (6, 3), "e": (6, 4), "w": (5, 3)},
        lambda x, e, w: torch.relu((x + x[e].mean(1)) @ w.T),
        {"e": integers(0, 6)},
    ),
}


def _elu_pair(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    return functional.elu(q) + 1, functional.elu(k) + 1
