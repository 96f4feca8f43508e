"""What checked layers compute, through the graph and its interpreter, against numpy: calls, recurrences, ranges and reads."""

from __future__ import annotations

import numpy as np
import pytest
from lamina.ir.build import build
from lamina.ir.interpret import interpret
from lamina.lang.check import load

LINEAR = "layer linear(O) { in x[..., I]  param w[O, I] = 0  param b[O] = 0  out y[..., O] = sum[I](x * w) + b }\n"
random = np.random.default_rng(20241)


def run(text: str, layer: str, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    """The outs of a layer. `h_w` stands for the parameter `h.w`."""
    return interpret(build(load(text, layer)), {name.replace("_", "."): array for name, array in arrays.items()})


def test_a_call_of_a_call() -> None:
    text = (
        LINEAR
        + "layer f { in x[B, L, D]  let h[B, L, F] = linear(x, O = 4*D)  let z[B, L, D] = linear(h)  out y[B, L, D] = z + x }"
    )
    x, w, b = random.normal(size=(2, 3, 5)), random.normal(size=(20, 5)), random.normal(size=20)
    v, c = random.normal(size=(5, 20)), random.normal(size=5)
    y = run(text, "f", x=x, h_w=w, h_b=b, z_w=v, z_b=c)["y"]
    np.testing.assert_allclose(y, (x @ w.T + b) @ v.T + c + x)


def test_one_tensor_for_two_inputs() -> None:
    text = "layer scores { in q[B, M, D]  in k[B, N, D]  out y[B, M, N] = sum[D](q * k) }"
    x = random.normal(size=(2, 4, 3))
    y = run(f"{text} layer f {{ in x[B, T, D]  axis S = T  let a[B, T, S] = scores(x, x)  out y[B, T, S] = a }}", "f", x=x)["y"]
    np.testing.assert_allclose(y, np.einsum("btd,bsd->bts", x, x))


def test_lengths_solved_through_calls() -> None:
    text = "layer half { in x[B, 2*P]  out y[B, P] = x[B, 2*P] + 2*x[B, 2*P + 1] }"
    x = random.normal(size=(2, 12))
    y = run(f"{text} layer f {{ in x[B, T]  let a[B, Q] = half(x)  let b[B, R] = half(a)  out y[B, R] = b }}", "f", x=x)["y"]
    a = x[:, ::2] + 2 * x[:, 1::2]
    np.testing.assert_allclose(y, a[:, ::2] + 2 * a[:, 1::2])


@pytest.mark.parametrize(("entry", "shown"), [("D", "D"), ("H*C", "H*C")])
def test_groups_through_calls(entry: str, shown: str) -> None:
    """The caller's axis is split by the callee, whether or not the caller splits it too, and otherwise."""
    text = "layer scaled(G = 4) { in x[..., G*C]  param a[G] = 1  out y[..., G*C] = a * x }"
    x, a = random.normal(size=(2, 3, 8)), random.normal(size=4)
    size = "(H = 2)" if "H" in entry else ""
    y = run(
        f"{text} layer f{size} {{ in x[B, L, {entry}]  let h[B, L, {entry}] = scaled(x)  out y[B, L, {shown}] = h }}",
        "f",
        x=x,
        h_a=a,
    )
    np.testing.assert_allclose(y["y"], x * np.repeat(a, 2))


def test_a_split_axis_is_one_axis_to_the_callee() -> None:
    text = LINEAR + "layer f(G = 2) { in x[..., G*C]  let h[..., G*C] = linear(x, O = G*C)  out y[..., G*C] = h * index(G) + x }"
    x, w, b = random.normal(size=(2, 3, 8)), random.normal(size=(8, 8)), random.normal(size=8)
    y = run(text, "f", x=x, h_w=w, h_b=b)["y"]
    np.testing.assert_allclose(y, (x @ w.T + b) * np.repeat([0, 1], 4) + x)


def test_recurrences() -> None:
    text = "layer f { in x[B, L]  out y[B, L] = scan[L](h = 0 : 0.5*h + x)  out z[B, L] = iterate[5](a = x, b = 1 : b, a*0.5 + b) }"
    x = random.normal(size=(2, 6))
    outs = run(text, "f", x=x)
    h, steps = np.zeros(2), []
    for t in range(6):
        h = 0.5 * h + x[:, t]
        steps.append(h)
    np.testing.assert_allclose(outs["y"], np.stack(steps, 1))
    a, b = x, np.ones_like(x)
    for _ in range(5):
        a, b = b, a * 0.5 + b
    np.testing.assert_allclose(outs["z"], a)


def test_ranges_and_reads() -> None:
    text = """layer f { in x[B, L]
      out s[B, L] = sum[i in 2..5](x * i)
      out w[B] = sum[i < 3](2.5) + 0 * x[B, 0]
      out g[B, L] = wrap(x)[B, L - 1]
      out q[B] = x[B, len(L) - 1]
      out r[B, L] = x[B, len(L) - 1 - L] }"""
    x = random.normal(size=(2, 6))
    outs = run(text, "f", x=x)
    np.testing.assert_allclose(outs["s"], x * 9)
    np.testing.assert_allclose(outs["w"], [7.5, 7.5])
    np.testing.assert_allclose(outs["g"], np.roll(x, 1, 1))
    np.testing.assert_allclose(outs["q"], x[:, -1])
    np.testing.assert_allclose(outs["r"], x[:, ::-1])


def test_arguments_of_defs_keep_their_own_indices() -> None:
    """The def's running index and the one in its argument have the same name and stay apart."""
    text = "def powers(t) = sum[i < 3](t^i)\nlayer f { in x[B]  out y[B] = sum[i < 2](powers(x + i)) }"
    x = random.normal(size=4)
    expected = sum((x + i) ** k for i in range(2) for k in range(3))
    np.testing.assert_allclose(run(text, "f", x=x)["y"], expected)
