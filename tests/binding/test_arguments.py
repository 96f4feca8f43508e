"""What a call says when an argument does not fit: exact messages."""

from __future__ import annotations

import lamina
import pytest
import torch
from specs import arguments, layer_of


def refused(layer, *tensors, **named) -> str:
    with pytest.raises(lamina.ArgumentError) as caught:
        layer(*tensors, **named)
    return str(caught.value)


def test_count() -> None:
    layer = layer_of("matrix product")
    x, w, b = arguments("matrix product")
    assert refused(layer) == "affine: expected 3 tensors (x, w, b), found 0; missing: x, w, b"
    assert refused(layer, x, w) == "affine: expected 3 tensors (x, w, b), found 2; missing: b"
    assert refused(layer, x, w, b, b) == "affine: expected 3 tensors (x, w, b), found 4"


def test_names() -> None:
    layer = layer_of("matrix product")
    x, w, b = arguments("matrix product")
    torch.testing.assert_close(layer(x, b=b, w=w), layer(x, w, b))
    torch.testing.assert_close(layer(b=b, w=w, x=x), layer(x, w, b))
    assert refused(layer, x, w, bias=b) == "affine: no tensor is called bias; expected 3 tensors (x, w, b)"
    assert refused(layer, x, w, b, w=w) == "affine: w is given twice, by position and by name"


def test_kind_and_dtype() -> None:
    layer = layer_of("matrix product")
    x, w, b = arguments("matrix product")
    assert refused(layer, x, 2.0, b) == "w: expected a torch.Tensor, found float"
    assert refused(layer, x.long(), w, b) == (
        "x: expected dtype torch.float64, torch.float32, torch.float16 or torch.bfloat16, found torch.int64"
    )
    pick = lamina.compile("layer pick { in i[N]: i64  param t[V, D] = 0  out y[N, D] = t[i, D] }", target="reference")
    table = torch.randn(5, 3)
    rows = torch.tensor([4, 0])
    torch.testing.assert_close(pick(rows, table), table[rows])
    assert refused(pick, rows.int(), table) == "i: expected dtype torch.int64, found torch.int32"


def test_device_and_layout() -> None:
    layer = layer_of("matrix product")
    x, w, b = arguments("matrix product")
    assert refused(layer, x, w.to("meta"), b) == "w: expected device cpu, that of x, found meta"
    assert refused(layer, x, w.to_sparse(), b) == "w: expected a dense tensor, found layout torch.sparse_coo; use w.to_dense()"


def test_shape() -> None:
    layer = layer_of("matrix product")
    x, w, b = arguments("matrix product")
    assert refused(layer, x, w.t(), b).startswith("w: dimension 1 must be I = 5")
    assert "b: expected 1 dimension" in refused(layer, x, w, b[None])
    both = layer_of("several outs")
    assert refused(both, x[0], x[1, :2], torch.ones(())).startswith("u: the dimensions of ... must be (3,), as in x")


def test_the_first_call_and_the_gradient_call_say_the_same() -> None:
    layer = layer_of("matrix product")
    x, w, b = arguments("matrix product", grad=True)
    assert refused(layer, x, w, b[:3]) == refused(layer, x.detach(), w.detach(), b.detach()[:3])


@pytest.mark.parametrize("target", ["cpp", "reference"])
def test_lengths_that_come_out_negative_are_refused(target: str) -> None:
    layer = lamina.compile("layer frames { in x[L]  axis T = (L - 8)/4 + 1  out y[T] = x[4*T] }", target=target)
    assert layer(torch.ones(12)).shape == (2,)
    message = refused(layer, torch.ones(3))
    assert message.startswith(
        "the length `(L - 8)/4 + 1` is negative\n  expected: 0 <= L/4 - 1\n  found: L = 3\n  required at <text>:1:"
    )


def test_requirements_are_checked_before_anything_runs() -> None:
    layer = lamina.compile(
        'layer halves { in x[..., C]  require C > 2, "rows need three entries"  out y[..., C] = x / 2 }', target="reference"
    )
    torch.testing.assert_close(layer(torch.ones(4)), torch.full((4,), 0.5))
    message = refused(layer, torch.ones(2))
    assert message.startswith("rows need three entries\n  expected: C > 2\n  found: C = 2\n  required at <text>:1:")


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(lamina.ArgumentError, match="no size `Q`"):
        lamina.compile("layer f(M) { in x[M]  out y[M] = x }", sizes={"Q": 3})
    layer = lamina.compile("layer f(M) { in x[M]  out y[M] = x }", sizes={"M": 3}, target="reference")
    assert refused(layer, torch.ones(4)).startswith("x: dimension 0 must be")


def test_split_dimensions_are_solved() -> None:
    text = "layer shared { in x[..., G*C]  param a[G] = 1  out y[..., G*C] = x * a }"
    layer = lamina.compile(text, target="reference")
    x, a = torch.randn(3, 12), torch.randn(4)
    torch.testing.assert_close(layer(x, a), x * a.repeat_interleave(3))
    assert refused(layer, torch.randn(3, 10), a).startswith("x: dimension 1 must be G*C, a multiple of 4")


def test_target_names() -> None:
    with pytest.raises(lamina.ArgumentError, match="target: expected one of auto, cpp, triton, cuda, reference, found 'fpga'"):
        lamina.compile("layer f { in x[N]  out y[N] = x }", target="fpga")


@pytest.mark.parametrize("name", ["triton", "cuda"])
def test_targets_for_a_gpu_refuse_tensors_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMINA_EMULATE", raising=False)
    monkeypatch.setattr("lamina.runtime.triton_kernels.interpreting", lambda: False)
    layer = lamina.compile("layer f { in x[N]  out y[N] = 2 * x }", target=name)
    with pytest.raises(lamina.TargetError, match="expected tensors on a GPU, found device cpu"):
        layer(torch.ones(3))


def test_emulated_kernels_have_gradients_of_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_EMULATE", "1")
    layer = lamina.compile("layer f { in x[B, C]  param w[C] = 1  out y[B] = sum[C](w * x^3) }", target="cuda")
    x, w = torch.randn(3, 5, dtype=torch.float64, requires_grad=True), torch.randn(5, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(layer, (x, w))
    torch.autograd.gradgradcheck(layer, (x, w))


def test_a_specification_error_is_a_spec_error() -> None:
    with pytest.raises(lamina.SpecError):
        lamina.compile("layer f { in x[N]  out y[N] = z }")


def test_the_same_layer_has_the_same_operators_everywhere() -> None:
    text = "layer f { in x[N]  out y[N] = x * 3 }"
    one, other = lamina.compile(text, target="reference"), lamina.compile(text, target="reference")
    assert one._operators is other._operators
    assert lamina.compile(text.replace("3", "4"), target="reference")._operators is not one._operators


def test_a_specification_is_text_or_a_path() -> None:
    with pytest.raises(lamina.ArgumentError, match="found int"):
        lamina.compile(3)  # type: ignore[arg-type]
