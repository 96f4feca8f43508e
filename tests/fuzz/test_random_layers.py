"""Random layers over the whole language: values, gradients and second gradients of generated kernels against the interpreter.

`make fuzz N=5000 SEED=1` tries others. A layer that once failed is kept in `regressions`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from layer_generator import random_layer
from layer_writer import BASE_AXES, RandomLayer
from shrink import shrunken
from worker import Worker

FIRST_SEED = 20260
UNITS, UNIT = 10, 20  # layers built together: what a build costs is mostly the runtime they share
REGRESSIONS = [pytest.param(path, id=path.stem) for path in sorted((Path(__file__).parent / "regressions").glob("*.lam"))]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = Worker()
        yield made
        made.close()


def judge(layers: list[RandomLayer], worker: Worker, level: str = "-O1") -> None:
    outcomes = worker.attempt(layers, level)
    failed = [outcome for outcome in outcomes if outcome.failure]
    texts = [f"seed {each.layer.seed}, {each.layer.dtype}\n{each.layer.text}{each.failure}" for each in failed[:2]]
    if failed:
        small = shrunken(failed[0], lambda layers: worker.attempt(layers, level))
        texts.append(f"smaller\n{small.layer.text}{small.failure}")
    assert not failed, "\n\n".join(texts)
    refused = Counter(outcome.refusal for outcome in outcomes if outcome.refusal)
    assert not refused, refused


@pytest.mark.parametrize("unit", range(UNITS))
def test_random_layers_as_interpreted(unit: int, worker: Worker) -> None:
    first = FIRST_SEED + unit * UNIT
    judge([random_layer(seed) for seed in range(first, first + UNIT)], worker, "-O1" if unit % 5 == 0 else "-O0")


def test_the_generator_covers_the_language() -> None:
    """Every construct stands in some layer of the ordinary run."""
    layers = [random_layer(FIRST_SEED + number) for number in range(UNITS * UNIT)]
    text = "\n".join(layer.text for layer in layers)
    constructs = (
        *("in x", "param ", "buffer ", "axis ", "let ", "[...", ": complex", ": i32", ": i64", ": bool", ": f32", "len(", "index("),
        *(
            "sum[",
            "prod[",
            "max[",
            "min[",
            "mean[",
            "any[",
            "all[",
            "in 1..",
            "zero(",
            "wrap(",
            "clamp(",
            "reflect(",
            "iterate[",
            "scan[",
        ),
        *("fft[", "ifft[", "rfft[", "irfft[", "dct[", "idct[", ", n = ", "chebyshev(", "legendre(", "hermite(", "bspline("),
        *("cis(", "re(", "im(", "conj(", "arg(", "select(", "mixed(", "unit[", "dense(", "gated(", "shifted(", "2*", "M+1", "M*"),
    )
    assert [construct for construct in constructs if construct not in text] == []
    assert {random_layer(FIRST_SEED + number).dtype for number in range(UNIT)} == {"f64", "f32", "bf16", "f16"}
    patterns = (
        r"scan\[\w+\]\(s = 0 : .*scan\[",  # a recurrence within one
        r"\[[^\]]*[23]\*P\d+ \+ (2\*)?i",  # a window with a stride
        r"(sum|max)\[\w+\]\((\w+ *)?(sin\()?(max|min|mean|sum|prod)\[",  # a reduction of reductions
    )
    assert [pattern for pattern in patterns if not re.search(pattern, text)] == []
    assert {layer.tied for layer in layers} == {True, False}
    assert {"transposed", "sliced", "column"} <= {layout for layer in layers for layout in layer.strided.values()}


def test_the_same_layer_for_the_same_seed() -> None:
    assert [random_layer(seed) for seed in range(30)] == [random_layer(seed) for seed in range(30)]


@pytest.mark.parametrize("path", REGRESSIONS)
def test_regressions(path: Path, worker: Worker) -> None:
    """A specification that once failed. Its first line has dtype, orders of derivatives and, where they matter, how much the C++
    compiler optimises, that values tie, and what lengths have to meet."""
    text = path.read_text(encoding="utf-8")
    head = re.match(r"# (\w+), orders (\d)(?:, (-O\d))?(, tied)?(?:, lengths: (.*))?\n", text)
    assert head, f"{path.name}: expected a first line such as '# f64, orders 2, -O3, lengths: A >= 1; A == B'"
    conditions = tuple(head[5].split("; ")) if head[5] else ()
    axes = {axis: axis for axis in BASE_AXES}
    judge(
        [RandomLayer(0, "", "", (), axes, conditions, head[1], int(head[2]), written=text, tied=bool(head[4]))],
        worker,
        head[3] or "-O1",
    )
