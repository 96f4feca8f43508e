"""No text, however broken, brings up anything but a `SpecError`, and the same text always gives the same answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lamina.errors import ArgumentError, SpecError
from lamina.lang.check import check_file, load
from lamina.lang.library import prelude
from lamina.lang.parse import parse

EXAMPLES = Path(__file__).with_name("examples.lam").read_text(encoding="utf-8")
TOKEN = re.compile(r"\s+|#[^\n]*|\w+|\.\.\.|[^\w\s]")
FURTHER = """
use linear
const half = 1/2
def centred[A](t) = t - mean[A](t)
layer scores { in q[B, M, D]  in k[B, N, D]  out y[B, M, N] = sum[D](q * k) * half }
layer attention { in x[B, T, D]  axis S = T  require D > 1, "wide"  accuracy exp: 2 ulp
  let q[B, T, D] = linear(x)  let a[B, T, S] = scores(q, x)
  out y[B, T, D] = sum[S](softmax[S](a) * x[B, S, D]) }
#
def shifted(t) = t + 1
layer parts(G = 2, H) { in x[..., G*C]  in n[K]: i64  buffer t[4]: i64 = [1, 2, 3, 4]  param w[H, G+1]: complex = normal(0.1)
  let r[..., G*C] = iterate[3](z = x, s = 0 : s + z, shifted(z))
  let h = sum[i in 1..3, H](re(w[H, i]) * chebyshev(i, r))
  out y[..., G*C] = select(h > 0 and not (x == 1), wrap(x)[..., G*C] + h, -h)
  out z[K] = zero(t)[n - 1] }
#
layer waves { in x[B, 2*L + 1]: f32  axis M = 2*L + 1  let u[B, M] = x[B, M]  let f = rfft[M -> F, n = 2*M](u)
  out y[B, M] = scan[M](s = 0 : s * 0.5 + u)  let v[B, M] = irfft[F -> M](f)  out z[B, L] = v[B, 2*L] }
"""
LAYERS = EXAMPLES.split("\n\n") + FURTHER.split("#\n")
WORDS = sorted({token for token in TOKEN.findall(EXAMPLES) if not token.isspace() and not token.startswith("#")})
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def survives(text: str) -> None:
    """Loads the last layer of the text; any exception but SpecError fails the test. Diagnostics must be printable."""
    names = re.findall(r"^\s*layer ([a-z]\w*)", text, re.MULTILINE)
    try:
        load(text + "\n", names[-1] if names else None)
    except ArgumentError as error:  # the text that looks like a layer is in a comment or in another layer
        assert "has no layer" in str(error)
    except SpecError as error:
        assert error.diagnostics
        for diagnostic in error.diagnostics:
            assert diagnostic.span.line >= 1
            assert diagnostic.render()


@settings(SETTINGS, max_examples=150)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    survives(text + " ")


@settings(SETTINGS, max_examples=60)
@given(data=st.binary(max_size=200))
def test_any_bytes_in_a_file(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "spec.lam"
    path.write_bytes(data)
    with pytest.raises(SpecError):
        load(path)


@settings(SETTINGS, max_examples=400)
@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_words_of_the_language(words: list[str]) -> None:
    survives("layer f(G = 4) { in x[B, G*C] in t[B, L] param w[K] = 1 " + " ".join(words))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A layer of the examples with spans of tokens deleted, inserted, swapped or doubled."""
    tokens = TOKEN.findall(draw(st.sampled_from(LAYERS)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, max(0, len(tokens) - 1)))
        end = min(len(tokens), start + draw(st.integers(1, 4)))
        action = draw(st.sampled_from(["delete", "insert", "swap", "double"]))
        if action == "delete":
            del tokens[start:end]
        elif action == "insert":
            tokens.insert(start, f" {draw(st.sampled_from(WORDS))} ")
        elif action == "double":
            tokens[end:end] = tokens[start:end]
        elif tokens:
            other = draw(st.integers(0, len(tokens) - 1))
            tokens[start], tokens[other] = tokens[other], tokens[start]
    return "".join(tokens)


@settings(SETTINGS, max_examples=800)
@given(mutated())
def test_mutations_of_the_examples(text: str) -> None:
    survives(text)


@pytest.mark.parametrize(
    "expression",
    [
        "-" * 20_000 + "x",
        "x" + "^x" * 5_000,
        "x" + " + x" * 5_000,
        "abs(" * 5_000 + "x" + ")" * 5_000,
        "(" * 20_000,
        "9" * 10_000,
        "1e" + "9" * 5_000,
        "sum[i < 9^9^9](x)",
        "sum[i < " + "9" * 30 + "](x)",
        "sum[i < 2^62 * 2^62](x)",
        "".join(f"sum[i{n} < 3](" for n in range(500)) + "x" + ")" * 500,
    ],
)
def test_depth_and_size_are_limited(expression: str) -> None:
    with pytest.raises(SpecError):
        load(f"layer f {{ in x[B] out y[B] = {expression} }}")


def test_parentheses_are_no_depth() -> None:
    assert load(f"layer f {{ in x[B] out y[B] = {'(' * 20_000}x{')' * 20_000} }}").name == "f"


def test_expansion_of_defs_is_limited() -> None:
    doubling = "".join(f"def f{n + 1}(x) = f{n}(x) * f{n}(x)\n" for n in range(60))
    with pytest.raises(SpecError, match="LAM309"):
        load(f"def f0(x) = x * x\n{doubling}layer f {{ in x[B] out y[B] = f60(x) }}")
    nested = "f(" * 40 + "x" + ")" * 40
    with pytest.raises(SpecError, match="LAM309"):
        load(f"def f(x) = x * x\nlayer f {{ in x[B] out y[B] = {nested} }}")


def test_nested_recurrences_are_limited() -> None:
    expression = "x"
    for step in range(60):
        expression = f"iterate[2](h{step} = 0 : {expression} + h{step} * x)"
    with pytest.raises(SpecError):
        load(f"layer f {{ in x[B] out y[B] = {expression} }}")


def test_a_deep_stack_of_the_caller_is_no_excuse() -> None:
    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            survives("layer f { in x[B] out y[B] = " + "-" * 100 + "x }")

    depth = len(_stack())
    descend(sys.getrecursionlimit() - depth - 120)


def _stack() -> list[object]:
    frames, frame = [], sys._getframe()
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return frames


def test_a_file_of_the_largest_size_is_read_and_a_larger_one_refused() -> None:
    layer = "layer f { in x[B] out y[B] = x }\n"
    assert load(layer + "#" * (2**20 - len(layer))).name == "f"
    with pytest.raises(SpecError, match="LAM309"):
        load(layer + "#" * 2**20)


def test_errors_come_with_the_rest_of_the_file() -> None:
    """A syntax error hides neither the next one nor the mistakes of other layers."""
    text = """
    layer a { in x[B out y[B] = x }
    layer b { in x[B] out y[B] = unknown }
    layer c { in x[B] let = 3 out y[B] = x }
    layer d { in x[B] out y[B] = x
    layer e { in x[B] out y[C] = x }
    """
    with pytest.raises(SpecError) as caught:
        load(text)
    assert [(d.span.line, d.code) for d in caught.value.diagnostics] == [
        (2, "LAM001"),
        (3, "LAM101"),
        (4, "LAM001"),
        (6, "LAM001"),
        (6, "LAM201"),
    ]


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_the_answer_does_not_depend_on_the_hash_seed(seed: str) -> None:
    program = (
        "import sys; from lamina.lang.check import check_file; from lamina.lang.parse import parse\n"
        "print(check_file(parse(sys.stdin.read())))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    result = subprocess.run(
        [sys.executable, "-c", program], input=EXAMPLES, capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout == f"{check_file(parse(EXAMPLES))}\n"


def test_parsing_twice_gives_equal_trees() -> None:
    assert parse(EXAMPLES) == parse(EXAMPLES)
    assert parse(EXAMPLES) == parse(EXAMPLES.replace("  ", " \n "))


@pytest.mark.parametrize("text", LAYERS)
def test_the_texts_to_be_mutated_are_right(text: str) -> None:
    assert load(text, re.findall(r"layer ([a-z]\w*)", text)[-1])


def test_the_prelude_is_read_once() -> None:
    assert prelude() is prelude()
