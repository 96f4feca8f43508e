"""Layers saved to a folder and loaded in another process, where nothing is compiled."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import lamina
import pytest
import torch
from specs import EXAMPLES, TARGETS, arguments, assert_same, gradients, layer_of

needs_generator = pytest.mark.skipif("cpp" not in TARGETS, reason="needs the C++ generator")

IN_ANOTHER_PROCESS = """
import os, sys
os.environ["PATH"] = "/nonexistent"
os.environ["LAMINA_CACHE"] = "/nonexistent/cache"
sys.modules["lamina.codegen"] = sys.modules["lamina.lang.check"] = sys.modules["lamina.pipeline"] = None
import torch, lamina
layer = lamina.load({folder!r})
tensors, expected = torch.load({tensors!r})
leaves = [tensor.requires_grad_() for tensor in tensors]
y = layer(*leaves)
found = [y, *torch.autograd.grad(y.sum(), leaves, retain_graph=True)]
found += torch.autograd.grad(layer(*leaves).sum(), leaves[1:2])
for one, other in zip(found, expected, strict=True):
    assert torch.equal(one, other), (one, other)
assert "no program" not in layer.report()
print(sum(p.numel() for p in layer.module(**{lengths!r}).parameters()))
"""


def own_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@needs_generator
@pytest.mark.parametrize(("name", "lengths", "count"), [("row norm", {"C": 5}, 5), ("matrix product", {"I": 5, "O": 4}, 24)])
def test_runs_without_compiler_and_toolchain(name: str, lengths: dict[str, int], count: int, tmp_path: Path) -> None:
    layer = layer_of(name, "cpp")
    sizes = {size: lengths[size] for size in layer.sizes if size in lengths}
    layer = lamina.compile(EXAMPLES[name].text, sizes=sizes)
    tensors = [tensor.requires_grad_() for tensor in arguments(name, torch.float32)]
    y = layer(*tensors)
    expected = [y, *torch.autograd.grad(y.sum(), tensors), *torch.autograd.grad(layer(*tensors).sum(), tensors[1:2])]
    layer.save(tmp_path / "saved")
    torch.save(([t.detach() for t in tensors], [t.detach() for t in expected]), tmp_path / "tensors.pt")
    code = IN_ANOTHER_PROCESS.replace("{folder!r}", repr(str(tmp_path / "saved")))
    code = code.replace("{tensors!r}", repr(str(tmp_path / "tensors.pt"))).replace("{lengths!r}", repr(lengths))
    assert own_process(code) == str(count)


@needs_generator
def test_what_was_not_saved_is_named(tmp_path: Path) -> None:
    layer = layer_of("pointwise", "cpp")
    layer.save(tmp_path / "saved")
    loaded = lamina.load(tmp_path / "saved")
    x, b = arguments("pointwise", torch.float32)
    assert_same(gradients(loaded, (x, b)), gradients(layer, (x, b)))
    assert torch.equal(loaded(x.t().contiguous().t(), b), layer(x, b))
    with pytest.raises(lamina.TargetError, match="no program was saved for forward of x bf16, b bf16"):
        loaded(x.bfloat16(), b.bfloat16())
    assert loaded.source() == layer.source()
    assert torch.equal(pickle.loads(pickle.dumps(loaded))(x, b), layer(x, b))
    with pytest.raises(lamina.ArgumentError, match="b: dimension 0 must be C = 4"):
        loaded(x, b[:3])


@needs_generator
def test_fitted_values_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "layer cubic { in x[...]  param c[4] = fit(tanh, -1, 1)  out y[...] = sum[k < 4](c[k] * x^k) }"
    layer = lamina.compile(text)
    layer.save(tmp_path / "saved")
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "empty"))
    assert torch.equal(lamina.load(tmp_path / "saved").module().c, layer.module().c)


@needs_generator
def test_saving_again_replaces(tmp_path: Path) -> None:
    first, second = (lamina.compile(f"layer f {{ in x[N]  out y[N] = x * {factor} }}") for factor in (2, 3))
    first.save(tmp_path)
    assert lamina.load(tmp_path)(torch.ones(2)).tolist() == [2.0, 2.0]
    count = len(list(tmp_path.iterdir()))
    second.save(tmp_path)
    assert lamina.load(tmp_path)(torch.ones(2)).tolist() == [3.0, 3.0]
    assert len(list(tmp_path.iterdir())) == count


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(lamina.ArgumentError, match="expected a folder written by"):
        lamina.load(tmp_path)


@needs_generator
def test_another_processor_is_refused(tmp_path: Path) -> None:
    layer_of("pointwise", "cpp").save(tmp_path)
    described = json.loads((tmp_path / "layer.json").read_text())
    (tmp_path / "layer.json").write_text(json.dumps({**described, "processor": "other"}))
    with pytest.raises(lamina.TargetError, match="saved on a processor with other features"):
        lamina.load(tmp_path)


def test_the_reference_target_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(lamina.TargetError, match="only a layer compiled for the target cpp"):
        layer_of("pointwise").save(tmp_path)
