"""Indices that leave their dimension are refused by every road to a kernel, in the words of the interpreter."""

from __future__ import annotations

import re
from pathlib import Path

import lamina
import pytest
import torch
from specs import TARGETS

pytestmark = pytest.mark.skipif("cpp" not in TARGETS, reason="needs the C++ generator")

EMBED = "layer embed { in i[B]: i64 param t[N, D] = 1 out y[B, D] = t[i, D] }"
TABLE = torch.arange(15.0).reshape(5, 3)
INSIDE = torch.tensor([0, 4, 4, 2])
OUTSIDE = {"above": (torch.tensor([0, 5, 1, 1]), "runs from 0 to 5"), "below": (torch.tensor([3, -1, 1, 1]), "runs from -1 to 3")}


def refused(words: str, call: object, *arguments: object, error: type[Exception] = lamina.ArgumentError) -> str:
    with pytest.raises(error, match=re.escape(words)) as caught:
        call(*arguments)  # type: ignore[operator]
    return str(caught.value)


@pytest.mark.parametrize("side", OUTSIDE)
def test_gathered_index(side: str, tmp_path: Path) -> None:
    indices, words = OUTSIDE[side]
    layer = lamina.compile(EMBED)
    table = TABLE.clone().requires_grad_()
    assert torch.equal(layer(INSIDE, TABLE), TABLE[INSIDE])
    message = refused(words, layer, indices, table)
    assert "expected 0..4" in message and "t[(a tensor), D]" in message
    assert refused(words, layer.reference, indices, TABLE) == message
    assert refused(words, layer, indices, TABLE) == message
    assert refused(words, layer._operators.forward, indices, table) == message
    assert refused(words, torch.compile(layer, backend="eager"), indices, TABLE) == message
    refused(words, layer.launcher("forward", (indices, TABLE))[0])
    layer.save(tmp_path / "saved")
    loaded = lamina.load(tmp_path / "saved")
    assert torch.equal(loaded(INSIDE, TABLE), TABLE[INSIDE])
    assert refused(words, loaded, indices, TABLE) == message
    # and after all that the layer still serves what is right
    assert torch.equal(layer(INSIDE, TABLE), TABLE[INSIDE])


def test_index_computed_in_the_layer() -> None:
    layer = lamina.compile("layer f { in i[B]: i64 in x[N] let s[N] = sin(x) let k[B] = 2 * i - 1 out y[B] = s[max(k[B], 0)] }")
    x = torch.randn(6)
    assert torch.allclose(layer(torch.tensor([0, 1, 3]), x), torch.sin(x)[[0, 1, 5]])
    refused("runs from 0 to 7; expected 0..5", layer, torch.tensor([0, 4, 3]), x)


def test_empty_dimension() -> None:
    layer = lamina.compile("layer f { in x[B, L] out y[B] = clamp(x)[B, 3] }")
    assert layer(torch.ones(2, 1)).shape == (2,)
    assert refused("dimension of length 0", layer, torch.ones(2, 0)) == refused("length 0", layer.reference, torch.ones(2, 0))


def test_no_indices_into_nothing() -> None:
    assert lamina.compile(EMBED)(torch.zeros(0, dtype=torch.int64), torch.ones(0, 3)).shape == (0, 3)


def test_lengths_that_put_an_index_outside(tmp_path: Path) -> None:
    layer = lamina.compile("layer f { in x[B, L] out y[B] = x[B, 4] }")
    x = torch.randn(2, 5)
    assert torch.equal(layer(x), x[:, 4])
    words = "index `4` of `x[B, L]` leaves its axis"
    refused(words, layer, x[:, :4])
    refused(words, layer.reference, x[:, :4])
    refused(words, layer._operators.forward, x[:, :4])
    layer.save(tmp_path / "saved")
    refused(words, lamina.load(tmp_path / "saved"), x[:, :4])
