"""Layers from the cache: the same as compiled, without the compiler; whatever is wrong with an entry is worked out again."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import lamina
import pytest
import torch
from lamina.binding.store import Store, store_of
from lamina.runtime import cache

TEXT = """layer scaled(K = 3) { in x[..., C] param w[C, K] = normal(0.1) require C > 0, "no channels"
  out y[..., C] = sin(x) * sum[k < K](w[C, k] * x^k) }"""
# What compiling any layer imports; networkx only where there is a choice of what to save.
COMPILER = ("lark", "jinja2", "lamina.ir.graph", "lamina.lang.check", "lamina.passes.simplify", "lamina.codegen.cpp.program")
NOT_LOADED = (*COMPILER, "networkx")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))


def in_a_fresh_process(code: str) -> Any:
    """What `code` leaves in `answer`; `text`, `x`, `w`, `layer` and a training step's results are there before it runs."""
    program = f"""
import json, sys
import torch, lamina
text = {TEXT!r}
torch.manual_seed(0)
x, w = torch.randn(4, 5, requires_grad=True), torch.randn(5, 3, requires_grad=True)
layer = lamina.compile(text)
y = layer(x, w)
y.backward(torch.ones_like(y))
loaded = [name for name in {NOT_LOADED!r} if name in sys.modules]
results = [tensor.tolist() for tensor in (y, x.grad, w.grad)]
{textwrap.dedent(code)}
print(json.dumps(answer))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def values() -> list[Path]:
    return sorted((cache.root() / cache.FORMAT / "layers").iterdir())


SOURCES = "answer = [loaded, results, [[made.path, made.program.to_json()] for made in layer._functions.source.made]]"


def test_the_second_process_runs_the_same_programs_without_the_compiler() -> None:
    first_loaded, *first = in_a_fresh_process(SOURCES)
    second_loaded, *second = in_a_fresh_process(SOURCES)
    assert set(COMPILER) <= set(first_loaded)
    assert second_loaded == []
    assert second == first


def test_what_is_not_kept_is_compiled() -> None:
    code = """
    more = x.detach().double().requires_grad_()
    (first,) = torch.autograd.grad(layer(more, w.double()).sum(), more, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), more)
    torch.manual_seed(1)
    answer = [
        loaded, second.tolist(), str(layer.graph()), layer.report().splitlines()[:3], layer.source(direction="double_backward"),
        layer.reference(x, w).tolist(), layer.module(C=2, K=4).w.tolist(), layer._operators.name,
    ]
    """
    first_loaded, *first = in_a_fresh_process(code)
    second_loaded, *second = in_a_fresh_process(code)
    assert set(COMPILER) <= set(first_loaded)
    assert second_loaded == []
    assert second == first


def test_errors_are_the_same() -> None:
    code = """
    found = []
    for given in ((x, w[:4]), (x[:, :0], w[:0]), (x,), (x, w.int())):
        try:
            layer(*given)
        except lamina.ArgumentError as error:
            found.append(str(error))
    answer = found
    """
    first = in_a_fresh_process(code)
    assert len(first) == 4
    assert in_a_fresh_process(code) == first


def test_operators_are_whole_under_torch_compile() -> None:
    code = """
    torch.library.opcheck(layer._forward, (x.detach(), w.detach()))
    traced = torch.export.export(layer.module(C=5), (x,))
    answer = [loaded, [str(node.target) for node in traced.graph.nodes if "lamina" in str(node.target)]]
    """
    in_a_fresh_process("answer = 0")
    loaded, targets = in_a_fresh_process(code)
    assert loaded == []
    assert len(targets) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '["0", "{}"]', "null", '{"interface": 1}'])
def test_a_damaged_value_is_worked_out_again(content: str) -> None:
    _, *first = in_a_fresh_process(SOURCES)
    good = {path: path.read_bytes() for path in values()}
    for path in good:
        path.write_text(content)
    loaded, *second = in_a_fresh_process(SOURCES)
    assert set(COMPILER) <= set(loaded)
    assert second == first
    assert {path: path.read_bytes() for path in values()} == good


def test_a_value_changed_by_hand_is_not_believed() -> None:
    store = Store("key")
    store.put({"a": 1}, "layer")
    assert store.get("layer") == {"a": 1}
    (path,) = values()
    path.write_text(path.read_text().replace("1}", "2}"))
    assert store.get("layer") is None


def test_the_key_covers_what_decides_the_layer(tmp_path: Path) -> None:
    def key(spec: str | Path, layer: str | None = None, **sizes: int) -> str:
        store = store_of(spec, layer, sizes)
        assert store is not None
        return store.key

    path = tmp_path / "scaled.lam"
    path.write_text(TEXT)
    keys = [key(TEXT), key(TEXT + " "), key(TEXT, "scaled"), key(TEXT, K=3), key(TEXT, K=4), key(path), key(str(path)), key("silu")]
    assert len(set(keys)) == len(keys)
    before = key(path)
    path.write_text(TEXT.replace("sin", "cos"))
    assert key(path) != before


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('use f from "other.lam" layer a { in x[C] out y[C] = f(x) }', False),
        ('use f from # where\n "other.lam" layer a { in x[C] out y[C] = f(x) }', False),
        ("use silu layer a { in x[C] out y[C] = silu(x) }", True),
        ("# taken from a paper\nlayer a { in x[C] out y[C] = x }", True),
        ('layer a { in x[C] require C > 1, "from two on #" out y[C] = x }', True),
    ],
)
def test_layers_of_several_files_are_not_kept(text: str, kept: bool) -> None:
    assert (store_of(text, None, {}) is not None) is kept


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "scaled.lam"
    x, w = torch.randn(2, 5), torch.randn(5, 3)
    for function in (torch.sin, torch.cos, torch.sin):
        path.write_text(TEXT.replace("sin", function.__name__))
        torch.testing.assert_close(lamina.compile(path)(x, w), function(x) * (w * x[..., None] ** torch.arange(3)).sum(-1))


def test_a_file_that_changes_after_compiling_is_told(tmp_path: Path) -> None:
    path = tmp_path / "scaled.lam"
    path.write_text(TEXT)
    lamina.compile(path)
    layer = lamina.compile(path)
    path.write_text(TEXT.replace("sin", "cos"))
    with pytest.raises(lamina.ArgumentError, match="another layer than when it was compiled"):
        layer.module(C=5)


def test_a_cache_that_cannot_be_written_to_is_no_error_before_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("LAMINA_CACHE", str(file / "cache"))
    layer = lamina.compile(TEXT)
    assert "lamina_run" in layer.source()
