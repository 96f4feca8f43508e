"""`lamina compile`: the report, the files written, packages that need torch alone, and what the user gets wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import lamina
import pytest
import torch
from lamina.lang.check import load
from lamina.report.stages import stages, training_stages

TWO_LAYERS = """
layer double { in x[..., C]  out y[..., C] = 2 * x }
layer shifted { in x[..., C]  param s[C] = 0  accuracy tanh: 2 ulp  out y[..., C] = tanh(x + s) }
"""
UNLOWERED = "layer spectrum { in x[L, D]  in s[D]  out y[L, D] = scan[L](h = s : re(fft[D -> D](h)) + x) }"


@pytest.fixture
def two_layers(tmp_path: Path) -> Path:
    path = tmp_path / "two.lam"
    path.write_text(TWO_LAYERS, encoding="utf-8")
    return path


def test_report_in_words(lamina_cli: Any) -> None:
    code, out, err = lamina_cli("compile", "softmax")
    assert (code, err) == (0, "")
    assert out.startswith("layer softmax\n")
    for landmark in (
        "x[..., C]: float",
        "no approximation is used",
        "saved for backward  saved_0[...]: f32, saved_1[...]: f32",
        "\nforward (cpp, reals computed in f32)\n",
        "\nbackward, in training (cpp, reals computed in f32)\n",
        "each row of C is run through 3 times",
        "8 bytes read and written",
        "exp 0.9 ulp",
    ):
        assert landmark in out, landmark


def test_what_became_of_each_licence() -> None:
    text = """layer f { accuracy tanh, erf: 2 ulp  accuracy lgamma: abs 1e-3  accuracy rel 1e-4
      in x[...]  out y[...] = tanh(exp(x)) * abs(x) }"""
    lines = [line for line in lamina.compile(text).report().splitlines() if "licence for" in line]
    assert [line[line.index("licence for") :].strip() for line in lines] == [
        "licence for tanh, erf: 2 ulp; not used: no approximation in the library fits tanh",
        "licence for lgamma: abs 0.001; not used: the layer calls no such function",
        "licence for every function: rel 0.0001; not used: no approximation in the library fits exp, tanh",
    ]


def test_report_as_json(lamina_cli: Any, two_layers: Path) -> None:
    report = lamina_cli.json("compile", two_layers, "-l", "shifted")
    assert report["layer"] == "shifted" and report["fit"] is None and report["written"] == []
    assert (
        report["licences"] == [{"functions": ["tanh"], "unit": "ulp", "value": 2.0, "called": ["tanh"]}]
        and report["approximations"] == []
    )
    forward, backward = report["programs"]
    assert (forward["direction"], backward["direction"]) == ("forward", "backward")
    assert forward["functions"] == [{"name": "tanh", "ulp": 1.5}]
    assert forward["elements"] == "x" and forward["bytes_per_element"] == pytest.approx(8, abs=0.1)
    assert forward["operations_per_element"] == 2
    assert [kernel["loops"] for kernel in forward["kernels"]] == [["...", "C"]]
    assert [tensor["name"] for tensor in backward["outputs"]] == ["grad_x", "grad_s"]


def test_sizes_and_fit(lamina_cli: Any) -> None:
    report = lamina_cli.json("compile", "group_rational", "-D", "G=4", "--size", "M=3")
    assert report["sizes"] == {"G": 4, "M": 3, "N": 4}
    assert report["fit"]["function"] == "silu" and 0 < report["fit"]["error"] < 0.1
    assert next(each for each in report["tensors"] if each["name"] == "a")["shape"] == ["G", "4"]


def test_files_written(lamina_cli: Any, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    code, out, _ = lamina_cli("compile", "silu", "-o", folder)
    assert code == 0 and f"written to {folder}" in out
    names = {f"silu_{direction}.{kind}" for direction in ("forward", "backward") for kind in ("cpp", "json", "so")}
    assert {path.name for path in folder.iterdir()} == names | {"report.txt", "report.json"}
    assert out.startswith((folder / "report.txt").read_text())
    assert json.loads((folder / "report.json").read_text())["layer"] == "silu"
    # what is written is what a call of the layer runs
    layer = lamina.compile("silu")
    layer(torch.randn(3))
    assert (folder / "silu_forward.cpp").read_text() == layer.source()


@pytest.mark.parametrize("entry", ["gelu", "softmax", "group_rational"])
def test_stages_are_those_that_a_call_runs(entry: str) -> None:
    """Sources shown and reported are those that the binding builds, but for the direction's name in the banner."""

    def body(source: str) -> str:
        return re.sub(r"^// (Lamina .*: layer|made by: ).*\n", "", source, flags=re.MULTILINE)

    checked = load(entry)
    layer = lamina.compile(entry)
    leaves = [torch.randn(shape, requires_grad=True) for shape in _shapes(layer)]
    y = layer(*leaves)
    y.backward(torch.ones_like(y))
    made = {body(each.program.source) for each in layer._functions.source.made}
    run = training_stages(checked) or (stages(checked, "forward"), stages(checked, "backward"))
    assert {body(stage.program.source) for stage in run} <= made


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    from lamina.trial.draw import problems, shape

    problem = problems(layer)[0]
    return [shape(layer, spec, problem) for spec in layer._interface.inputs]


STANDALONE = """
import sys, torch
from package import layer
assert not [name for name in sys.modules if name.partition(".")[0] in ("lamina", "sympy", "networkx", "lark")]
torch.manual_seed(0)
x, w, b = torch.randn(2, 3, 5), torch.randn(7, 5), torch.randn(7)
leaves = [each.requires_grad_() for each in (x, w, b)]
weight = torch.randn(2, 3, 7)
found, wanted = layer(x, b=b, w=w), torch.nn.functional.linear(x, w, b)
torch.testing.assert_close(found, wanted)
for one, other in zip(torch.autograd.grad(found, leaves, weight), torch.autograd.grad(wanted, leaves, weight)):
    torch.testing.assert_close(one, other)
for wrong in (lambda: layer(x, w), lambda: layer(x, w.double(), b), lambda: layer(x, w[:, :4], b), lambda: layer(x[0, 0, 0], w, b)):
    try:
        wrong()
    except (TypeError, ValueError) as problem:
        print(problem)
    else:
        raise AssertionError("a wrong argument is taken")
"""


def test_standalone_package_needs_torch_alone(lamina_cli: Any, tmp_path: Path) -> None:
    code, _, err = lamina_cli("compile", "linear", "--standalone", "-o", tmp_path / "package")
    assert (code, err) == (0, "")
    result = subprocess.run([sys.executable, "-c", STANDALONE], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "w: expected shape (7, 5), found (7, 4)" in result.stdout
    assert "linear: expected x, w, b, each once; found 2 by position" in result.stdout


def test_standalone_package_uses_what_training_saves(lamina_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lamina_cli("compile", "softmax", "--standalone", "-o", tmp_path / "soft_package")[0] == 0
    monkeypatch.syspath_prepend(str(tmp_path))
    from soft_package import layer

    x = torch.randn(4, 9, requires_grad=True)
    weight = torch.randn(4, 9)
    wanted = torch.autograd.grad(torch.softmax(x, -1), x, weight)
    torch.testing.assert_close(torch.autograd.grad(layer(x), x, weight), wanted)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), torch.softmax(x, -1))


CHECKED = """
import torch
from package import layer

t, x = torch.arange(15.0).reshape(5, 3), torch.ones(4, 2)
i = torch.tensor([0, 4, 2, 2])
assert torch.equal(layer(i, x, t), t[i])
for wrong in ((i + 1, x), (i, x[:, :1])):
    try:
        layer(*wrong, t)
    except ValueError as problem:
        print(problem)
    else:
        raise AssertionError("an index outside is taken")
"""


def test_standalone_package_checks_indices(lamina_cli: Any, tmp_path: Path) -> None:
    text = "layer embed { in i[B]: i64 in x[B, L] in t[N, D] out y[B, D] = t[i, D] * x[B, 1] }"
    (tmp_path / "embed.lam").write_text(text, encoding="utf-8")
    assert lamina_cli("compile", tmp_path / "embed.lam", "--standalone", "-o", tmp_path / "package")[0] == 0
    result = subprocess.run([sys.executable, "-c", CHECKED], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "runs from 1 to 5; expected 0..4" in result.stdout and "index `1` of `x[B, L]` leaves its axis" in result.stdout


def test_what_cannot_be_compiled_is_named(lamina_cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "spectrum.lam"
    path.write_text(UNLOWERED, encoding="utf-8")
    for command in (("compile", path), ("inspect", path, "plan"), ("check", path)):
        code, out, err = lamina_cli(*command)
        assert (code, out) == (1, ""), command
        assert str(path) in err and "layer spectrum" in err and "no kernels yet for a transform" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("compile", "group_rational", "-D", "K=4"), 1, "no size `K`; its sizes are: `G`, `M`, `N`"),
        (("compile", "group_rational", "-D", "K"), 2, "expected SIZE=VALUE"),
        (("compile", "group_ratoinal"), 1, "did you mean `group_rational`"),
        (("compile", "missing.lam"), 1, "cannot read `missing.lam`"),
        (("compile", "silu", "-t", "cuda", "--arch", "hopper"), 3, "architecture hopper: expected sm_"),
        (("compile", "silu", "-t", "vax"), 2, "'vax'"),
        (("compile", "silu", "--standalone"), 2, "-o DIR"),
        (("compile",), 2, "FILE"),
        (("tune", "silu"), 2, "No such command"),
        (("evolve", "silu"), 2, "No such command"),
    ],
)
def test_exit_codes(lamina_cli: Any, arguments: tuple[str, ...], code: int, message: str) -> None:
    found, out, err = lamina_cli(*arguments)
    assert (found, out) == (code, "")
    assert message in err and "Traceback" not in err


def test_several_layers(lamina_cli: Any, two_layers: Path) -> None:
    code, _, err = lamina_cli("compile", two_layers)
    assert code == 1 and "several layers, and none chosen" in err and f"{two_layers}:3:7" in err
    code, _, err = lamina_cli("compile", two_layers, "-l", "halved")
    assert code == 1 and "no layer `halved`; expected one of: `double`, `shifted`" in err


def test_help_stays_quick() -> None:
    code = "import sys\nfrom lamina.cli import application\napplication()\nassert not {'torch', 'sympy', 'lark'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""
