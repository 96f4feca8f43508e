"""The public face: what importing does, what a layer shows, launchers, and what a call costs."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import timeit

import lamina
import pytest
import torch
from specs import EXAMPLES, TARGETS, arguments, assert_same, gradients, layer_of, listed

needs_generator = pytest.mark.skipif("cpp" not in TARGETS, reason="needs the C++ generator")


def test_importing_brings_in_neither_torch_nor_the_compiler() -> None:
    code = "import lamina, sys; assert not {'torch', 'sympy', 'lark', 'numpy'} & set(sys.modules); lamina.ArgumentError"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"compile", "load", "library", "Layer", "SpecError"} <= set(dir(lamina))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lamina.nothing


def test_library_lists_layers_that_compile() -> None:
    names = lamina.library()
    assert names == tuple(sorted(names)) and {"group_rational", "linear", "relu"} <= set(names)
    assert lamina.compile("relu", target="reference")(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]


def test_a_path_is_a_specification(tmp_path) -> None:
    file = tmp_path / "twice.lam"
    file.write_text("layer twice { in x[N]  out y[N] = 2 * x }\nlayer thrice { in x[N]  out y[N] = 3 * x }\n")
    assert lamina.compile(file, "thrice", target="reference")(torch.ones(2)).tolist() == [3.0, 3.0]
    assert lamina.compile(str(file), "twice", target="reference")(torch.ones(2)).tolist() == [2.0, 2.0]


def test_what_a_layer_shows() -> None:
    layer = layer_of("row norm")
    assert repr(layer) == "<lamina layer row_norm(x, g) -> (y)>"
    assert layer.graph("layer").level == "layer" and layer.graph().level == "math"
    names = [output.spec.name for output in layer.graph(direction="backward").outputs]
    assert names == ["grad_x", "grad_g"]
    assert len(layer.graph(direction="double_backward").outputs) == 3
    with pytest.raises(lamina.ArgumentError, match="direction: expected one of"):
        layer.graph(direction="sideways")
    report = layer.report()
    assert report.startswith("layer row_norm\n") and "param     g[C]: float" in report


@needs_generator
def test_programs_of_a_training_step_are_named_by_their_part() -> None:
    layer = lamina.compile("layer f { in x[B, C]  out y[B, C] = exp(x) / sum[C](exp(x)) }")
    x = torch.randn(2, 3, requires_grad=True)
    layer(x).sum().backward()
    assert [made.program.direction for made in layer._functions.source.made] == ["training_forward", "training_backward"]


@needs_generator
def test_source_is_that_of_the_last_call() -> None:
    layer = lamina.compile("layer f { in x[N]  out y[N] = x * x + 0.125 }")
    before = layer.source()
    assert "f" in before and layer.source(direction="backward") != before
    layer(torch.ones(3, dtype=torch.float64))
    assert layer.source() != before and layer.source() == layer.source(target="cpp")
    assert "forward (cpp, reals computed in f64)\n  reads     x[N]: f64\n" in layer.report()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_launchers_give_what_calls_give(name: str, target: str) -> None:
    layer = layer_of(name, target)
    tensors = arguments(name)
    run, outputs = layer.launcher("forward", tensors)
    run()
    results = listed(layer(*tensors))
    assert_same(outputs, results)
    cotangents = [torch.randn_like(result) for result in results]
    run, outputs = layer.launcher("backward", tensors, cotangents)
    run()
    leaves = tuple(tensor.clone().requires_grad_() for tensor in tensors)
    assert_same(outputs, torch.autograd.grad(listed(layer(*leaves)), leaves, cotangents))


def test_copies_and_pickles_of_a_layer() -> None:
    layer = layer_of("layer call")
    tensors = arguments("layer call")
    assert copy.deepcopy(layer) is layer
    assert torch.equal(pickle.loads(pickle.dumps(layer))(*tensors), layer(*tensors))


@pytest.mark.parametrize("target", TARGETS)
def test_threads_may_share_a_layer(target: str) -> None:
    layer = lamina.compile("layer f { in x[..., C]  param a[C] = 1  out y[..., C] = exp(-x * a) }", target=target)
    tensors = [(torch.randn(3, 4), torch.randn(4)) for _ in range(4)]
    expected = [gradients(lambda x, a: torch.exp(-x * a), each) for each in tensors]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                assert_same(gradients(layer, tensors[number]), expected[number])
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures


@needs_generator
def test_new_lengths_compile_nothing() -> None:
    layer = lamina.compile("layer f { in x[..., C]  param a[C] = 1  out y[..., C] = cosh(x * a) }")
    for shape in ((3, 4), (5, 4), (2, 3, 7), (0, 4), (1,)):
        gradients(layer, (torch.randn(shape), torch.randn(shape[-1])))
    paths = [(made.path, made.signature) for made in layer._functions.source.made]
    assert len(paths) == len(set(paths)) and len(paths) <= 3


@needs_generator
def test_a_call_costs_little() -> None:
    """Forward of 16 numbers without gradients: far below the cost of one dispatcher call per operation; the bound is generous."""
    layer = layer_of("pointwise", "cpp")
    x, b = torch.randn(4, 4), torch.randn(4)
    layer(x, b)
    best = min(timeit.repeat(lambda: layer(x, b), number=2000, repeat=7)) / 2000
    assert best < 30e-6, f"{best * 1e6:.1f} microseconds a call"


def test_names_do_not_depend_on_the_hash_seed() -> None:
    code = """
import lamina
for name in ("group_rational", "spline_kan", "evonorm_s0"):
    layer = lamina.compile(name)
    print(layer._operators.name, layer._interface.steps, layer._interface.dimensions)
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert len(found) == 1 and b"group_rational_" in found.pop()
