"""`lamina inspect` and `lamina ops`: every stage, and the library's listing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lamina
import pytest
import torch
from lamina.ir.text import parse


def shown(lamina_cli: Any, *arguments: str) -> str:
    code, out, err = lamina_cli("inspect", *arguments)
    assert (code, err) == (0, "")
    return str(out)


@pytest.mark.parametrize(
    ("stage", "landmarks"),
    [
        ("tree", ("Layer sizes=()\n", "name: Name name=softmax", "Declaration role=in")),
        ("checked", ("CheckedLayer name=softmax", "Reduce axes=(...) kind=real operation=max over=(C)")),
        ("graph", ("graph softmax math\n", 'reduce(%1, operation="max", over=("C",))')),
        ("plan", ("plan of softmax", "input      x[..., C] f32 contiguous", "kernel_1: loop nest", "row max %2 over C, stage 1")),
        ("source", ("// Lamina ", 'extern "C"', "lamina_run")),
        ("asm", (".text", "lamina_run")),
        ("report", ("layer softmax\n", "saved for backward")),
    ],
)
def test_every_stage(lamina_cli: Any, stage: str, landmarks: tuple[str, ...]) -> None:
    out = shown(lamina_cli, "softmax", stage)
    for landmark in landmarks:
        assert landmark in out, landmark


def test_graph_levels_and_directions(lamina_cli: Any) -> None:
    written = parse(shown(lamina_cli, "linear", "graph", "--level", "layer"))
    recognised = parse(shown(lamina_cli, "linear", "graph", "-D", "O=4"))
    assert [node.op for node in written.nodes].count("contract") == 0 < [node.op for node in recognised.nodes].count("contract")
    assert recognised.axis_lengths["O"] == 4
    backward = parse(shown(lamina_cli, "linear", "graph", "--direction", "backward"))
    assert [output.spec.name for output in backward.outputs] == ["grad_x", "grad_w", "grad_b"]
    second = parse(shown(lamina_cli, "linear", "graph", "--direction", "second"))
    assert [spec.name for spec in second.inputs][-3:] == ["grad_grad_x", "grad_grad_w", "grad_grad_b"]


def test_parts_of_a_training_step(lamina_cli: Any) -> None:
    """Under the names by which programs say how to show them again."""
    assert "output     saved_0[...] f32" in shown(lamina_cli, "softmax", "plan", "--direction", "training_forward")
    assert "input      saved_0[...] f32" in shown(lamina_cli, "softmax", "plan", "--direction", "training_backward")
    second = shown(lamina_cli, "relu", "source", "--direction", "double_backward")
    assert second == shown(lamina_cli, "relu", "source", "--direction", "second")
    code, _, err = lamina_cli("inspect", "relu", "plan", "--direction", "training_forward")
    assert code == 1 and "relu saves nothing for training" in err


def test_graph_as_a_picture(lamina_cli: Any) -> None:
    assert shown(lamina_cli, "relu", "graph", "--dot").startswith('digraph "relu" {')


def test_products_and_dtypes_in_plans(lamina_cli: Any) -> None:
    plan = shown(lamina_cli, "linear", "plan", "--direction", "backward", "--dtype", "bf16")
    assert "reals computed in f32" in plan and "x[..., I] bf16" in plan and "matrix product" in plan and "summed over O" in plan
    assert "reals computed in f64" in shown(lamina_cli, "linear", "plan", "--dtype", "f64")


def test_json(lamina_cli: Any) -> None:
    found = lamina_cli.json("inspect", "relu", "graph")
    assert found["stage"] == "graph" and parse(found["text"]).name == "relu"
    assert lamina_cli.json("inspect", "relu", "report")["layer"] == "relu"


@pytest.mark.parametrize(
    "arguments",
    [
        ("relu", "soup"),
        ("relu", "plan", "--direction", "up"),
        ("relu", "plan", "--dtype", "f8"),
        ("relu", "plan", "--dot"),
        ("relu", "graph", "--level", "layer", "--direction", "backward"),
    ],
)
def test_wrong_usage(lamina_cli: Any, arguments: tuple[str, ...]) -> None:
    code, out, err = lamina_cli("inspect", *arguments)
    assert (code, out) == (2, "") and "Usage: lamina inspect" in err


def test_ops(lamina_cli: Any) -> None:
    entries = {entry["name"]: entry for entry in lamina_cli.json("ops")}
    assert sorted(entries) == sorted(lamina.library())
    assert all(entry["summary"] and entry["tensors"] for entry in entries.values())
    rational = entries["group_rational"]
    assert rational["source"] == "arXiv:2409.10594" and rational["sizes"] == {"G": "8", "M": "5", "N": "4"}
    assert rational["tensors"] == ["in x[..., G*C]", "param a[G, M+1]", "param b[G, N]", "out y[..., G*C]"]
    assert entries["linear"]["sizes"] == {"O": None}
    code, out, _ = lamina_cli("ops")
    assert code == 0 and "group_rational(G = 8, M = 5, N = 4)\n" in out and f"{len(entries)} layers" in out


def test_the_report_of_a_layer_is_the_same_after_a_training_step(lamina_cli: Any, unseen: Path) -> None:
    layer = lamina.compile(unseen)
    x = torch.randn(3, 5, requires_grad=True)
    layer(x).backward(torch.randn(3, 5))
    after = layer.report()
    layer(x.detach())  # inspect lists the forward pass first, then what training runs instead
    forward = layer.report()[len(after) :]
    head, programs = after.split("\nforward, in training", 1)
    assert shown(lamina_cli, str(unseen), "report") == f"{head}{forward}\nforward, in training{programs}"


def test_the_cache_lists_tensors_with_shapes_and_dtypes(lamina_cli: Any) -> None:
    lamina.compile("group_rational_b", sizes={"G": 3})(torch.randn(2, 6).double(), torch.randn(3, 6), torch.randn(3, 4))
    code, out, _ = lamina_cli("cache", "ls")
    assert code == 0
    assert "group_rational_b forward: x[..., 3*C] f64, a[3, 6] f32, b[3, 4] f32" in " ".join(out.split())
