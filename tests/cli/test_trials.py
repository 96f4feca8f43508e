"""`lamina check` and `lamina bench`: that they pass what is right, fail what is wrong, and measure what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lamina
import pytest
import torch
from lamina.binding.layer import Layer
from lamina.errors import ArgumentError
from lamina.lang.check import load
from lamina.trial.benchmark import COPY, EAGER, LAYER, parse_shapes, problem_of
from lamina.trial.compare import compare
from lamina.trial.draw import draw, problems
from lamina.trial.timing import interleaved


def test_check_passes(lamina_cli: Any) -> None:
    code, out, err = lamina_cli("check", "poly_relu")
    assert (code, err) == (0, "")
    assert "all" in out and "comparisons hold, on 3 sets of lengths" in out and "FAILED" not in out
    assert "second_grad_y" in out and "by differences" in out


def test_check_of_a_recurrence(lamina_cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "lti.lam"
    path.write_text("layer lti { in x[B, L, D] param a[D] = uniform(0.9, 0.99) out h[B, L, D] = scan[L](s = 0 : a*s + x) }")
    code, out, err = lamina_cli("check", str(path), "--dtype", "f64")
    assert (code, err) == (0, "")
    assert "second_a" in out and "FAILED" not in out


def test_check_as_json(lamina_cli: Any) -> None:
    found = lamina_cli.json("check", "relu", "--order", "1", "--dtype", "bf16")
    assert found["passed"] and {each["dtype"] for each in found["comparisons"] if each["target"] == "cpp"} == {"bf16"}
    assert {each["tensor"] for each in found["comparisons"]} == {"y", "grad_x", "by differences"}


@pytest.mark.parametrize("share", [1e-5, float("nan")])
def test_check_fails_a_wrong_result(lamina_cli: Any, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    right = Layer.__call__

    def wrong(layer: Layer, *tensors: Any, **named: Any) -> Any:
        result = right(layer, *tensors, **named)
        return result * (1 + share)

    monkeypatch.setattr(Layer, "__call__", wrong)
    code, out, _ = lamina_cli("check", "silu", "--dtype", "f32", "--order", "0")
    assert code == 1 and "FAILED" in out and "comparisons FAILED" in out


def test_a_wrong_derivative_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference's own derivatives come from the same rules as the compiled ones; difference quotients do not."""
    from lamina.trial.reference import Reference

    right = Reference.results

    def wrong(reference: Reference, arguments: Any, step: int, noise: Any = None) -> Any:
        results = right(reference, arguments, step, noise)
        return {name: value * (1.001 if step else 1.0) for name, value in results.items()}

    monkeypatch.setattr(Reference, "results", wrong)
    found = compare(lamina.compile("silu"), load("silu"), ("f64",), order=1)
    assert not any(each.passed for each in found if each.tensor == "by differences")


def test_problems_meet_requirements(tmp_path: Path) -> None:
    path = tmp_path / "paired.lam"
    path.write_text("layer paired { in x[B, 2*P]  require P >= 3  out y[B, P] = x[B, 2*P] - x[B, 2*P+1] }", encoding="utf-8")
    layer = lamina.compile(path)
    found = problems(layer)
    assert len(found) == 3 and all(problem.lengths["P"] >= 3 for problem in found)
    assert found[2].lengths["B"] == 1
    for problem in found:
        (x,) = draw(layer, problem, "f32")
        assert x.shape == (problem.lengths["B"], 2 * problem.lengths["P"])
        assert torch.equal(layer(x), x[:, 0::2] - x[:, 1::2])
        assert torch.equal(draw(layer, problem, "f32")[0], x)


def test_bench(lamina_cli: Any) -> None:
    found = lamina_cli.json("bench", "group_rational", "--shape", "x=3x5x16", "--seconds", "0")
    forward, training = found["measurements"]
    assert (forward["name"], training["name"]) == ("forward", "forward + backward")
    assert set(forward["seconds"]) == {LAYER, EAGER, COPY} and all(value > 0 for value in forward["seconds"].values())
    elements, parameters = 3 * 5 * 16, 8 * 6 + 8 * 4
    assert forward["moved"] == 4 * (2 * elements + parameters)
    assert training["moved"] == 4 * (5 * elements + 3 * parameters)
    code, out, _ = lamina_cli("bench", "gelu", "--shape", "x=100", "--seconds", "0")
    assert code == 0 and "PyTorch's own operation" in out and "of the bandwidth of a copy" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("silu", "--shape", "x=3y"), 2, "expected NAME=LENGTH"),
        (("silu", "--shape", "z=3"), 1, "no tensor is called so; the layer's are x"),
        (("group_rational", "--shape", "x=3x9"), 1, "x: dimension 1 must be G*C"),
        (("silu", "--dtype", "f8"), 2, "'f8'"),
    ],
)
def test_bench_says_what_is_wrong(lamina_cli: Any, arguments: tuple[str, ...], code: int, message: str) -> None:
    found, out, err = lamina_cli("bench", *arguments)
    assert (found, out) == (code, "") and message in err


def test_shapes() -> None:
    assert parse_shapes(["x=64x197x768", "b=scalar"]) == {"x": (64, 197, 768), "b": ()}
    layer = lamina.compile("linear", sizes={"O": 3})
    problem = problem_of(layer, {"x": (4, 6, 5)})
    assert (problem.leading, problem.lengths["I"]) == ((4, 6), 5)
    with pytest.raises(ArgumentError):
        problem_of(layer, {"w": (4, 5)})


def test_candidates_are_timed_in_turn() -> None:
    order: list[str] = []
    medians = interleaved({"one": lambda: order.append("one"), "two": lambda: order.append("two")}, 0.0)
    assert set(medians) == {"one", "two"} and order == ["one", "two"] * (len(order) // 2)


def test_a_layer_without_compiled_gradients(lamina_cli: Any, unseen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are compared and timed; that there are no gradients is said, and no failure."""
    from lamina.passes.autodiff import NotDifferentiable

    def refuse(*arguments: Any) -> Any:
        raise NotDifferentiable("floor")

    monkeypatch.setattr("lamina.pipeline.backward", refuse)
    monkeypatch.setattr("lamina.pipeline.training_pair", refuse)
    code, out, err = lamina_cli("check", unseen, "--dtype", "f32")
    assert (code, err) == (0, "") and "left out" in out and "the derivative of floor is not known" in out
    code, out, _ = lamina_cli("bench", unseen, "--shape", "x=2x5", "--seconds", "0")
    assert code == 0 and "no backward pass" in out
    report = lamina_cli.json("compile", unseen)
    assert [program["direction"] for program in report["programs"]] == ["forward"]
    assert "the derivative of floor is not known" in report["missing"][0]


def test_an_internal_mistake_is_a_failure_not_a_traceback(lamina_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lamina.trial import compare as module

    right = module._results

    def broken(layer: Any, arguments: Any, step: int) -> Any:
        if step:
            raise AssertionError("no nest computes this")
        return right(layer, arguments, step)

    monkeypatch.setattr(module, "_results", broken)
    code, out, _ = lamina_cli("check", "silu", "--dtype", "f32", "--order", "1")
    assert code == 1 and "FAILED: AssertionError: no nest computes this" in out
